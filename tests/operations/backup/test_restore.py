"""A backup is restored onto an empty installation, and nothing is lost (`omnisonic.operations.backup`)."""

import hashlib
import stat
from pathlib import Path

import pytest

from omnisonic.errors import OmnisonicError
from omnisonic.operations import backup
from omnisonic.operations.backup import ArchiveTooNew, CannotRestore, NotEmpty
from omnisonic.stores.database.migrations import known_migrations, migrate
from omnisonic.stores.storage.s3 import S3Storage
from tests.operations.backup.installations import LARGE, SECRETS, Installation, Quiet, rehashed, verified
from tests.postgres_server import PostgresServer, blocking, fresh_database
from tests.s3_server import S3Server
from tests.stores.storage.shelves import bucket_at


def test_everything_is_as_it_was(source: Installation, target: Installation, tmp_path: Path) -> None:
    """Each row of each table, each object bit for bit, the secrets, and where the sequences were."""
    keys, archive = source.fill(), tmp_path / "studio.tar"
    backed_up = source.back_up(archive)
    contents = target.restore(archive)
    assert target.rows() == source.rows()
    assert target.objects() == source.objects()
    assert target.objects()[keys[-1]] == hashlib.sha256(LARGE).hexdigest()
    assert target.secrets == SECRETS
    assert target.execute("SELECT nextval('kept_messages_number_seq')") == 501
    assert contents.summary == backed_up
    assert (backed_up.tables, backed_up.files) == (len(source.rows()), 3)
    assert backed_up.rows == sum(map(len, source.rows().values()))
    assert {"uploads", "exports", "upload_pieces", "kept_messages", "logins"} <= {
        table for table, rows in source.rows().items() if rows
    }


def test_segments_and_previews_are_not_in_a_backup(source: Installation, target: Installation, tmp_path: Path) -> None:
    """They are made again from their files, so neither their rows nor their objects are missed."""
    source.fill()
    source.execute(
        "INSERT INTO upload_segments SELECT id, 1, 'segments/a', 'ab', '{3}', 1, 1, 16, 1 FROM uploads RETURNING format"
    )
    source.execute(
        "INSERT INTO export_previews SELECT id, '\\x00', 'previews/a', 1, 'ab' FROM exports RETURNING file_size"
    )
    backed_up = source.back_up(tmp_path / "studio.tar")
    assert (backed_up.files, backed_up.missing, backed_up.damaged) == (3, [], [])
    target.restore(tmp_path / "studio.tar")
    assert target.execute("SELECT count(*) FROM uploads") == 1
    assert target.execute("SELECT count(*) FROM upload_segments") == 0
    assert target.execute("SELECT count(*) FROM export_previews") == 0


def test_only_its_owner_can_read_an_archive(source: Installation, tmp_path: Path) -> None:
    """It has secrets in it. Nothing else is left in the folder."""
    source.fill()
    folder = tmp_path / "backups"
    folder.mkdir()
    source.back_up(folder / "studio.tar")
    assert stat.S_IMODE((folder / "studio.tar").stat().st_mode) == 0o600
    assert [file.name for file in folder.iterdir()] == ["studio.tar"]


def test_an_archive_is_restored_into_a_database_that_was_never_migrated(
    source: Installation, postgres_process: PostgresServer, tmp_path: Path
) -> None:
    """The restore makes the tables."""
    source.fill()
    source.back_up(tmp_path / "studio.tar")
    postgres_process.execute("CREATE DATABASE bare")
    try:
        bare = Installation.local(postgres_process.url_of("bare"), tmp_path / "bare")
        bare.restore(tmp_path / "studio.tar")
        assert bare.rows() == source.rows()
    finally:
        postgres_process.execute("DROP DATABASE bare WITH (FORCE)")


def test_an_archive_of_an_older_version_is_migrated(postgres_process: PostgresServer, tmp_path: Path) -> None:
    """Into a database that was never used. One that a newer version has made is refused, with what to do."""
    older = known_migrations()[:-1]
    postgres_process.execute("CREATE DATABASE old")
    postgres_process.execute("CREATE DATABASE new")
    try:
        old = Installation.local(postgres_process.url_of("old"), tmp_path / "old")
        new = Installation.local(postgres_process.url_of("new"), tmp_path / "new")
        blocking(migrate(old.url, older))
        old.execute("INSERT INTO users (name) VALUES ('Ada')")
        old.back_up(tmp_path / "old.tar")
        with fresh_database(postgres_process) as url, pytest.raises(NotEmpty, match="newer version"):
            Installation.local(url, tmp_path / "fresh").restore(tmp_path / "old.tar")
        new.restore(tmp_path / "old.tar")
        assert new.execute("SELECT name FROM users") == "Ada"
        assert new.execute("SELECT max(number) FROM schema_migrations") == len(older) + 1
    finally:
        postgres_process.execute("DROP DATABASE old WITH (FORCE)")
        postgres_process.execute("DROP DATABASE new WITH (FORCE)")


def test_an_archive_of_a_newer_database_is_refused(
    source: Installation, postgres_process: PostgresServer, tmp_path: Path
) -> None:
    """By a version that does not have its migrations. Nothing is changed."""
    source.fill()
    archive = tmp_path / "studio.tar"
    source.back_up(archive)
    number = len(known_migrations())
    assert verified(archive).description.migration == number
    newer = archive.read_bytes().replace(b'"migration": %d' % number, b'"migration": %d' % (number + 1))
    archive.write_bytes(rehashed(newer))
    with fresh_database(postgres_process) as url, pytest.raises(ArchiveTooNew, match="restore it with that version"):
        Installation.local(url, tmp_path / "target").restore(archive)
    assert not (tmp_path / "target").exists()


def test_an_installation_with_anything_in_it_is_refused(
    source: Installation, target: Installation, tmp_path: Path
) -> None:
    """A single account is enough. Nothing is changed: neither rows nor objects nor secrets."""
    source.fill()
    source.back_up(tmp_path / "studio.tar")
    target.execute("INSERT INTO users (name) VALUES ('Bo')")
    before = target.rows()
    with pytest.raises(NotEmpty, match="There is a studio already") as refused:
        target.restore(tmp_path / "studio.tar")
    assert refused.value.code == "installation_not_empty"
    assert target.rows() == before
    assert not target.secrets
    assert not (tmp_path / "restored").exists()


def test_whoever_comes_first_has_the_database(source: Installation, target: Installation, tmp_path: Path) -> None:
    """Somebody signs up while the objects are put: their account stays, and the restore ends without a row."""
    source.fill()
    source.back_up(tmp_path / "studio.tar")

    def sign_up(step: str) -> None:
        if "tables" in step:
            target.execute("INSERT INTO users (name) VALUES ('Bo')")

    with pytest.raises(NotEmpty):
        target.restore(tmp_path / "studio.tar", Quiet(sign_up))
    assert {table for table, rows in target.rows().items() if rows} == {"users"}


@pytest.mark.parametrize("step", ["files", "tables"])
def test_a_restore_that_was_broken_off_is_repeated(
    source: Installation, target: Installation, tmp_path: Path, step: str
) -> None:
    """Before the objects, and between them and the rows. What is there already does not matter."""
    source.fill()
    source.back_up(tmp_path / "studio.tar")

    class BrokenOff(Exception):
        pass

    def break_off(what: str) -> None:
        if step in what:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        target.restore(tmp_path / "studio.tar", Quiet(break_off))
    assert not any(target.rows().values())
    target.restore(tmp_path / "studio.tar")
    assert target.rows() == source.rows()
    assert target.objects() == source.objects()


def test_rows_that_the_database_does_not_take_leave_it_empty(
    source: Installation, target: Installation, tmp_path: Path
) -> None:
    """All tables or none: the error is in the last of them."""
    source.fill()
    source.execute("ALTER TABLE exports DROP CONSTRAINT exports_check")
    source.execute("UPDATE exports SET status = 'failed', error_message = 'no'")
    source.back_up(tmp_path / "studio.tar")
    with pytest.raises(CannotRestore, match="as empty as before"):
        target.restore(tmp_path / "studio.tar")
    assert not any(target.rows().values())


def test_objects_move_from_a_bucket_into_a_folder_and_back(
    source: Installation, target: Installation, s3: S3Server, tmp_path: Path
) -> None:
    """An archive does not say where objects were. In the bucket they get their labels again."""
    in_bucket = Installation(source.url, lambda: S3Storage(bucket_at(s3.port)))
    *_, key = in_bucket.fill()
    in_bucket.back_up(tmp_path / "studio.tar")
    target.restore(tmp_path / "studio.tar")
    expected = target.objects()
    before = s3.head(key)
    s3.clear()
    target.back_up(tmp_path / "again.tar")
    for table in ("users", "tracks", "loose_objects"):
        in_bucket.execute(f"TRUNCATE {table} CASCADE")
    in_bucket.restore(tmp_path / "again.tar")
    assert in_bucket.objects() == expected
    assert len(s3.objects()) == 3
    after = s3.head(key)
    assert (after["ContentType"], after["ContentDisposition"]) == (before["ContentType"], before["ContentDisposition"])


def test_errors_have_codes_of_their_own() -> None:
    """Programs can tell them apart."""
    errors = [one for one in vars(backup).values() if isinstance(one, type) and issubclass(one, OmnisonicError)]
    codes = [one.code for one in errors if one is not OmnisonicError]
    assert len(set(codes)) == len(codes) == 10
    assert "internal" not in codes
