"""Restores a verified archive onto an empty installation. Asyncio.

Objects and secrets come first, each whole or not at all; the rows come last, in one transaction. So before that the
installation is still empty, and whatever ends a restore, it can simply be repeated. After that it is complete.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TypeAlias

import asyncpg

from omnisonic.errors import Unavailable
from omnisonic.operations.backup import ArchiveTooNew, CannotRestore, NotEmpty, Report, count_files, database_copy
from omnisonic.operations.backup.archive_reader import ArchiveReader
from omnisonic.operations.backup.contents import Description, Kind, Member, StoredObject, Table
from omnisonic.operations.backup.verification import Contents, ExpectedObjects
from omnisonic.stores.database.migrations import Connection, known_migrations, migrate, status
from omnisonic.stores.storage import Label, Storage, StorageRefused

PutSecret: TypeAlias = Callable[[str, bytes], None]
"""Stores a secret of the data directory under its name."""


async def restore(
    url: str, storage: Storage, put_secret: PutSecret, archive: ArchiveReader, contents: Contents, report: Report
) -> None:
    """Restore `archive`, of which `contents` were verified. Sets the number of rows in its summary.

    Args:
        url: The database, which has no rows.
        storage: Where the objects are put.
        put_secret: Stores a secret.
        archive: What is restored.
        contents: What `verify_archive` has found in it.
        report: Is told how it goes on.

    Raises:
        ArchiveTooNew: The archive needs migrations that this version does not have.
        NotEmpty: There are rows in the database.
        CannotRestore: The database does not take the rows. It is as empty as before.
        DatabaseUnreachable, DatabaseAhead, Unavailable, StorageFull: Try again when that is mended.
    """
    description, summary = contents.description, contents.summary
    await _prepare_database(url, description)
    report.begin(f"Restoring {count_files(summary.files)}.", summary.file_bytes)
    await _put_objects_and_secrets(archive, storage, put_secret, report)
    report.begin(f"Restoring {summary.tables} tables.", 0)
    try:
        summary.rows = await _load_database(url, description, archive, report)
    except asyncpg.PostgresError as problem:
        raise CannotRestore(
            f"The database does not take what is in the archive ({problem.args[0]}), and is as empty as before."
        ) from problem
    await migrate(url)


async def _prepare_database(url: str, description: Description) -> None:
    """Bring an empty database to the migration of the archive."""
    known = known_migrations()
    needed = [migration for migration in known if migration.number <= description.migration]
    if not needed or needed[-1].number != description.migration:
        raise ArchiveTooNew(
            f"The archive was made by Omnisonic {description.omnisonic}, whose database is newer than that of this "
            "version: restore it with that version."
        )
    async with database_copy.open_connection(url) as connection:
        await _check_empty(connection, await database_copy.list_tables(connection))
    applied = [step.number for step, applied_at in await status(url) if applied_at]
    if applied and applied[-1] > description.migration:
        raise NotEmpty(
            "The database has no rows, but a newer version than that of the archive has made its tables. Restore into "
            "a database that was never used: move the folder postgres/ of the data directory away, or set "
            "DATABASE_URL to a new one."
        )
    await migrate(url, needed)


async def _check_empty(connection: Connection, tables: list[Table]) -> None:
    if await database_copy.has_rows(connection, tables):
        raise NotEmpty(
            "There is a studio already: its database is not empty, and nothing was changed. Restore into an empty one: "
            "set OMNISONIC_DATA_DIR to a new folder, or DATABASE_URL to a new database."
        )


async def _put_objects_and_secrets(
    archive: ArchiveReader, storage: Storage, put_secret: PutSecret, report: Report
) -> None:
    expected: ExpectedObjects | None = None
    for member in archive.members():
        if member.kind == Kind.OBJECT_LIST:
            expected = ExpectedObjects(archive, member)
        elif member.kind == Kind.OBJECT:
            assert expected is not None, "it was verified"
            found = expected.find(member, [])
            try:
                await storage.put(found.key, _reported(archive.blocks(member), report), _label(found))
            except StorageRefused as refused:
                raise Unavailable(refused.reason) from refused
        elif member.kind == Kind.SECRET:
            put_secret(member.subject, b"".join(archive.blocks(member)))


async def _load_database(url: str, description: Description, archive: ArchiveReader, report: Report) -> int:
    """Insert all rows in one transaction. Returns how many. Raises `asyncpg.PostgresError`."""
    rows = 0
    async with database_copy.open_connection(url) as connection, connection.transaction():
        there = {table.name: set(table.columns) for table in await database_copy.list_tables(connection)}
        for table in description.tables:
            if not set(table.columns) <= there.get(table.name, set()):
                raise CannotRestore(f"The archive has a table {table.name} that this version does not know.")
        # Whoever uses the database meanwhile waits, and finds the rows.
        await database_copy.lock_tables(connection, description.tables)
        await _check_empty(connection, description.tables)
        members = list(itertools.takewhile(lambda member: member.kind <= Kind.DATABASE, archive.members()))
        for table in description.tables:
            blocks = _rows_of(table, members, archive)
            rows += await database_copy.load_table(connection, table, _reported(blocks, report))
        await database_copy.set_sequences(connection, description.sequences)
    return rows


def _rows_of(table: Table, members: Sequence[Member], archive: ArchiveReader) -> Iterator[bytes]:
    for member in members:
        if member.kind == Kind.DATABASE and member.subject == table.name:
            yield from archive.blocks(member)


async def _reported(blocks: Iterator[bytes], report: Report) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block
        report.advance(len(block))


def _label(found: StoredObject) -> Label | None:
    if found.mime_type is None or found.file_name is None:
        return None
    return Label(found.mime_type, found.file_name)
