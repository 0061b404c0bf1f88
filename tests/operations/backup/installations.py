"""Installations to back up and to restore: a database and a storage, with all that people may have left in them."""

import contextlib
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg

from omnisonic.operations.backup import Summary, database_copy
from omnisonic.operations.backup.archive_reader import open_archive
from omnisonic.operations.backup.archive_writer import ArchiveWriter, new_archive
from omnisonic.operations.backup.backup import back_up
from omnisonic.operations.backup.restore import restore
from omnisonic.operations.backup.verification import Contents, verify_archive
from omnisonic.stores.storage import Key, Label, Storage
from omnisonic.stores.storage.local import LocalStorage
from tests.postgres_server import blocking

NOW: Final = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
SECRETS: Final = {"secret": b"signs cookies\n", "admin-token": b"opens doors\n"}
ODD_NAME: Final = "Bø's\ttake\\N \N{MUSICAL SYMBOL G CLEF}\r\n.wav"
LARGE: Final = bytes(range(256)) * 20_000


class Quiet:
    """A report that only counts. `at_step` is called with each step."""

    def __init__(self, at_step: Callable[[str], None] = lambda _: None) -> None:
        self.steps: list[tuple[str, int]] = []
        self.done_bytes = 0
        self._at_step = at_step

    def begin(self, what: str, total_bytes: int) -> None:
        self.steps.append((what, total_bytes))
        self._at_step(what)

    def advance(self, size_bytes: int) -> None:
        self.done_bytes += size_bytes


@dataclass
class Installation:
    """A database and a storage; `open_storage` opens the latter anew for each use."""

    url: str
    open_storage: Callable[[], Storage]
    secrets: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def local(cls, url: str, folder: Path) -> "Installation":
        """With its files in `folder`."""
        return cls(url, lambda: LocalStorage(folder))

    def fill(self) -> list[Key]:
        """Have people make everything there is: a key of each kind of object, in their order."""
        return blocking(_fill(self.url, self.open_storage()))

    def rows(self) -> dict[str, list[str]]:
        """All rows of all tables, as texts in order."""
        return blocking(_rows(self.url))

    def execute(self, statement: str, *values: object) -> Any:
        """The first value that a statement gives."""
        return blocking(_execute(self.url, statement, *values))

    def objects(self) -> dict[Key, str]:
        """The hash of each object that the database names and that is there."""
        return blocking(_hashes(self.url, self.open_storage()))

    def back_up(self, path: Path, report: Quiet | None = None, *, secrets: dict[str, bytes] = SECRETS) -> Summary:
        """Make the archive `path`, in place of one that is there."""
        with new_archive(path, replace=True) as file:
            archive = ArchiveWriter(file, path.name, written_at=int(NOW.timestamp()))
            with contextlib.closing(archive):
                return blocking(self._back_up(archive, report or Quiet(), secrets))

    async def _back_up(self, archive: ArchiveWriter, report: Quiet, secrets: dict[str, bytes]) -> Summary:
        async with aclosing(self.open_storage()) as storage:
            return await back_up(self.url, storage, secrets, archive, report, now=NOW)

    def restore(self, path: Path, report: Quiet | None = None) -> Contents:
        """Verify and restore the archive `path`."""
        with open_archive(path) as archive:
            contents = verify_archive(archive, Quiet())

            async def work() -> None:
                async with aclosing(self.open_storage()) as storage:
                    put = self.secrets.__setitem__
                    await restore(self.url, storage, put, archive, contents, report or Quiet())

            blocking(work())
            return contents


def verified(path: Path) -> Contents:
    """What is in an archive, when it is whole."""
    with open_archive(path) as archive:
        return verify_archive(archive, Quiet())


def written(members: list[tuple[str, bytes]]) -> bytes:
    """An archive of these members, with a manifest that fits them."""
    file = io.BytesIO()
    with contextlib.closing(ArchiveWriter(file, "the archive", written_at=0)) as archive:
        for name, content in members:
            archive.add(name, content)
        archive.finish()
    return file.getvalue()


def rehashed(archive: bytes) -> bytes:
    """The archive with a manifest that fits what is in it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = []
        for info in tar:
            file = tar.extractfile(info)
            assert file is not None
            members.append((info.name, file.read()))
    return written(members[:-1])


async def _fill(url: str, storage: Storage) -> list[Key]:
    upload, export, piece = f"uploads/{uuid4()}", f"exports/{uuid4()}", f"pieces/{uuid4()}"
    connection = await asyncpg.connect(url)
    try:
        user = await connection.fetchval(
            "INSERT INTO users (email, name, password_hash) VALUES ('ada@example.com', $1, '$argon2id$') RETURNING id",
            ODD_NAME,
        )
        await connection.execute("INSERT INTO logins (id, user_id) VALUES ('digest', $1)", user)
        session = await connection.fetchval(
            "INSERT INTO sessions (owner_id, name, tempo_bpm) VALUES ($1, $2, 100::float8 / 3) RETURNING id",
            user,
            ODD_NAME,
        )
        await put(storage, upload, LARGE, Label("audio/wav", ODD_NAME))
        await add_upload(connection, user, upload, LARGE, session=session)
        await put(storage, export, b"mix", Label("audio/flac", "mix.flac"))
        await connection.execute(
            "INSERT INTO exports (session_id, user_id, format, status, file_name, file_size, sha256, object_key,"
            " due_at) VALUES ($1, $2, 'flac', 'completed', 'mix.flac', 3, $3, $4, NULL)",
            session, user, hashlib.sha256(b"mix").hexdigest(), export,
        )  # fmt: skip
        await put(storage, piece, b"chunk")
        resumable = await connection.fetchval(
            "INSERT INTO resumable_uploads (user_id, file_name, size, received, expires_at)"
            " VALUES ($1, 'take.wav', 10, 5, now() + '1 day') RETURNING id",
            user,
        )
        await connection.execute("INSERT INTO upload_pieces VALUES ($1, 0, 5, $2)", resumable, piece)
        await connection.execute(
            "INSERT INTO loose_objects (object_key, due_at, user_id, resumable_id) VALUES ($1, 'infinity', $2, $3)",
            f"uploads/{uuid4()}", user, resumable,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO kept_messages (session_id, epoch, message_offset, member_id, client_id, content_digest,"
            " user_id, display_name, type, payload, said_at)"
            " SELECT $1, 'e', n, 'm', n::text, decode('00ff', 'hex'), $2, $3,"
            ' \'chat\', \'"\\u0000\\n"\', now() FROM generate_series(1, 500) AS n',
            session, user, ODD_NAME,
        )  # fmt: skip
        await connection.execute("DELETE FROM kept_messages WHERE message_offset > 490")
    finally:
        await connection.close()
        await storage.aclose()
    return [export, piece, upload]


async def add_upload(
    connection: Any, user: object, key: Key, content: bytes, *, session: object = None, sha256: str | None = None
) -> None:
    """Add the row of an upload whose object has this content."""
    await connection.execute(
        "WITH track AS (INSERT INTO tracks (id, name, position, chosen_id) VALUES ($1, $5, 1, $1))"
        "INSERT INTO uploads"
        " (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256, track_id, peaks)"
        " VALUES ($1, $2, $3, $4, $5, $6, 'audio/wav', $7, $1, decode('00ff0a5c', 'hex'))",
        uuid4(), user, session, key, ODD_NAME, len(content), sha256 or hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


async def put(storage: Storage, key: Key, content: bytes, label: Label | None = None) -> None:
    """Put an object."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await storage.put(key, chunks(), label)


async def _rows(url: str) -> dict[str, list[str]]:
    async with database_copy.open_connection(url) as connection:
        tables = await database_copy.list_tables(connection)
        return {
            table.name: [
                str(row["row"])
                for row in await connection.fetch(f'SELECT t::text AS row FROM "{table.name}" AS t ORDER BY t::text')
            ]
            for table in tables
        }


async def _execute(url: str, statement: str, *values: object) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


async def _hashes(url: str, storage: Storage) -> dict[Key, str]:
    connection = await asyncpg.connect(url)
    hashes = {}
    try:
        for row in await connection.fetch(
            "SELECT object_key FROM uploads UNION SELECT object_key FROM upload_pieces"
            " UNION SELECT object_key FROM exports WHERE object_key IS NOT NULL"
        ):
            digest = hashlib.sha256()
            async for block in storage.read(row["object_key"]):
                digest.update(block)
            hashes[row["object_key"]] = digest.hexdigest()
    finally:
        await connection.close()
        await storage.aclose()
    return hashes
