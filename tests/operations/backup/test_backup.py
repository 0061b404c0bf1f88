"""A backup fits together whatever happens meanwhile, and says what is missing (`omnisonic.operations.backup`)."""

import asyncio
import contextlib
import threading
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from omnisonic.errors import Unavailable
from omnisonic.operations.backup import ArchiveNotWritten, BackupRunning, NothingToBackUp
from omnisonic.operations.backup.archive_writer import ArchiveWriter
from omnisonic.stores.database.migrations import DatabaseUnreachable
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Key
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.stores.storage.s3 import S3Storage
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention
from tests.operations.backup.installations import Installation, Quiet, add_upload, put, verified
from tests.postgres_server import PATIENT, PostgresServer, blocking
from tests.s3_server import S3Server
from tests.stores.storage.shelves import bucket_at

ROUNDS = 40
"""How many uploads and deletions happen while a backup runs."""


async def _collect(url: str, folder: Path, *keys: Key) -> int:
    """Delete these objects, as a request does, and then what the worker finds. Returns how many it has deleted."""
    database = Database(url, connections=1, deadlines=PATIENT)
    await database.open()
    try:
        async with aclosing(LocalStorage(folder)) as storage:
            collector = GarbageCollector(UploadRetention(database), storage)
            await collector.collect(list(keys))
            return await collector.sweep()
    finally:
        await database.aclose()


def test_what_is_deleted_while_a_backup_runs_is_in_it(
    source: Installation, target: Installation, tmp_path: Path
) -> None:
    """Its row goes after the moment of the backup, before its object is copied; the object is deleted afterwards."""
    *_, key = source.fill()
    before, hashes = source.rows(), source.objects()
    collected = []

    def delete(step: str) -> None:
        if "files" in step:
            source.execute("DELETE FROM uploads WHERE object_key = $1", key)
            collected.append(blocking(_collect(source.url, tmp_path / "uploads", key)))

    summary = source.back_up(tmp_path / "studio.tar", Quiet(delete))
    assert (collected, summary.missing) == ([0], [])
    target.restore(tmp_path / "studio.tar")
    assert target.rows() == before
    assert target.objects() == hashes
    source.execute("UPDATE loose_objects SET due_at = now() WHERE doomed")
    assert blocking(_collect(source.url, tmp_path / "uploads")) == 1


def test_all_tables_are_of_one_moment(source: Installation, target: Installation, tmp_path: Path) -> None:
    """What is added and deleted while tables are copied is not seen, in none of them."""
    source.fill()
    before = source.rows()

    def change(step: str) -> None:
        if "tables" in step:
            source.execute("INSERT INTO users (name) VALUES ('Bo')")
            source.execute("DELETE FROM uploads")

    source.back_up(tmp_path / "studio.tar", Quiet(change))
    assert source.rows() != before
    target.restore(tmp_path / "studio.tar")
    assert target.rows() == before


class Musicians(threading.Thread):
    """Upload and delete for as long as the block lasts, as the web and the worker do, in batches of their own."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__()
        self.rounds = 0
        self.problem: BaseException | None = None
        self._url = url
        self._folder = folder
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._play())
        except BaseException as problem:  # noqa: BLE001 - shown by the test
            self.problem = problem

    def __enter__(self) -> "Musicians":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()

    async def _play(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            async with aclosing(LocalStorage(self._folder)) as storage:
                user = await connection.fetchval("INSERT INTO users (name) VALUES ('Bo') RETURNING id")
                while not self._stopping.is_set():
                    key = f"uploads/{uuid4()}"
                    content = f"stem {key}".encode() * 1000
                    await put(storage, key, content)
                    await add_upload(connection, user, key, content)
                    await connection.execute(
                        "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE user_id = $1"
                        " ORDER BY random() LIMIT 1) AND random() < 0.7",
                        user,
                    )
                    await _collect(self._url, self._folder)
                    self.rounds += 1
        finally:
            await connection.close()


def test_backups_fit_together_while_people_upload_and_delete(
    source: Installation, target: Installation, tmp_path: Path
) -> None:
    """Each of several: no file is missing, all are what the database says, and the last one is restored."""
    source.fill()
    archive = tmp_path / "studio.tar"
    with Musicians(source.url, tmp_path / "uploads") as musicians:
        seen = 0
        while seen < ROUNDS and musicians.problem is None:
            summary = source.back_up(archive)
            assert (summary.missing, summary.damaged) == ([], [])
            seen = musicians.rounds
    assert musicians.problem is None
    contents = target.restore(archive)
    assert contents.summary.missing == []
    assert len(target.objects()) == contents.summary.files


def test_what_the_storage_does_not_have_is_named(source: Installation, target: Installation, tmp_path: Path) -> None:
    """One file is gone, one is shorter, one has another content. All others are in the archive, and it is whole."""
    export, piece, upload = source.fill()
    folder = tmp_path / "uploads"
    (folder / export).unlink()
    (folder / piece).write_bytes(b"chu")
    (folder / upload).write_bytes((folder / upload).read_bytes()[:-1] + b"?")
    summary = source.back_up(tmp_path / "studio.tar")
    assert (summary.missing, summary.damaged, summary.files) == ([export], [piece, upload], 2)
    assert verified(tmp_path / "studio.tar").summary.missing == [export]
    target.restore(tmp_path / "studio.tar")
    assert target.rows() == source.rows()
    assert (tmp_path / "restored" / piece).read_bytes() == b"chu\0\0"


def test_a_file_that_is_longer_than_the_database_says_is_named(source: Installation, tmp_path: Path) -> None:
    """It does not spoil the archive."""
    _, piece, _ = source.fill()
    with (tmp_path / "uploads" / piece).open("ab") as file:
        file.write(b"more")
    assert source.back_up(tmp_path / "studio.tar").damaged == [piece]
    assert verified(tmp_path / "studio.tar").summary.files == 3


def test_one_backup_at_a_time(source: Installation, tmp_path: Path) -> None:
    """The second one says so. One that has ended has no lock any more."""
    source.fill()
    refused = []

    def back_up_again(step: str) -> None:
        if "files" not in step:
            return
        with pytest.raises(BackupRunning) as refusal:
            source.back_up(tmp_path / "second.tar")
        refused.append(refusal.value.code)

    source.back_up(tmp_path / "first.tar", Quiet(back_up_again))
    assert refused == ["backup_running"]
    assert not (tmp_path / "second.tar").exists()
    source.back_up(tmp_path / "second.tar")


def test_a_database_that_was_never_used_is_not_backed_up(postgres_process: PostgresServer, tmp_path: Path) -> None:
    """An archive of nothing would only comfort."""
    postgres_process.execute("CREATE DATABASE unused")
    try:
        with pytest.raises(NothingToBackUp):
            Installation.local(postgres_process.url_of("unused"), tmp_path).back_up(tmp_path / "studio.tar")
    finally:
        postgres_process.execute("DROP DATABASE unused WITH (FORCE)")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_ends_without_an_archive_when_its_connection_is_lost(source: Installation, tmp_path: Path) -> None:
    """Files may be deleted from then on."""
    source.fill()

    def cut(step: str) -> None:
        if "files" in step:
            source.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(DatabaseUnreachable):
        source.back_up(tmp_path / "studio.tar", Quiet(cut))
    assert [file.name for file in tmp_path.iterdir()] == ["uploads"]


def test_a_storage_that_does_not_answer_ends_a_backup_without_an_archive(
    source: Installation, s3: S3Server, tmp_path: Path
) -> None:
    """It does not count as one whose files are missing. A bucket that is not there is named."""
    in_bucket = Installation(source.url, lambda: S3Storage(bucket_at(s3.port)))
    in_bucket.fill()
    elsewhere = Installation(source.url, lambda: S3Storage(bucket_at(s3.port, name="none")))
    with pytest.raises(Unavailable, match="none"):
        elsewhere.back_up(tmp_path / "studio.tar")
    s3.kill()
    with pytest.raises(Unavailable):
        in_bucket.back_up(tmp_path / "studio.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_full_disk_is_called_so(size: int) -> None:
    """Whenever the system says it: at the end, or when a block is written."""
    with contextlib.suppress(OSError), Path("/dev/full").open("wb") as full:
        archive = ArchiveWriter(full, "studio.tar", written_at=0)
        with pytest.raises(ArchiveNotWritten, match=r"^studio\.tar cannot be written"):
            _write_secret(archive, bytes(size))
        archive.close()


def _write_secret(archive: ArchiveWriter, content: bytes) -> None:
    archive.add("secrets/secret", content)
    archive.finish()
