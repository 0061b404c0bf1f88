"""Makes an archive of an installation that may be running (see the package for why it is consistent). Asyncio.

Overload: one object at a time, one block in memory. Crash and Ctrl-C: the lock goes with the connection, and the
archive does not get its name. A database or a storage that does not answer: an error, and no archive.
"""

from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from omnisonic import __version__
from omnisonic.errors import Unavailable
from omnisonic.operations.backup import NothingToBackUp, Report, Summary, count_files, database_copy
from omnisonic.operations.backup.archive_writer import ArchiveWriter, LineFile
from omnisonic.operations.backup.contents import DESCRIPTION, FORMAT, OBJECT_LIST, Description, StoredObject, Table
from omnisonic.stores.database.migrations import Connection, status
from omnisonic.stores.storage import NoSuchObject, Storage, StorageRefused
from omnisonic.studio.exports import MEDIA_TYPES

PART_BYTES: Final = 4_194_304
"""How much of a table is one member: it is in memory until its size is known."""
PREFETCH: Final = 1000
"""How many rows of the list of objects are read at a time."""

_OBJECTS: Final = """
-- Every object that a row refers to. The order is that of the bytes of the keys, as Python compares them.
SELECT * FROM (
    SELECT object_key AS key, file_size AS size, nullif(sha256, '') AS sha256, mime_type, file_name, NULL AS format
    FROM uploads
    UNION ALL
    SELECT object_key, coalesce(file_size, 0), nullif(sha256, ''), NULL, file_name, format
    FROM exports WHERE object_key IS NOT NULL
    UNION ALL
    SELECT object_key, size, NULL, NULL, NULL, NULL FROM upload_pieces
) AS every ORDER BY key COLLATE "C"
"""

Secrets: TypeAlias = Mapping[str, bytes]
"""The secrets of the data directory by name."""


async def back_up(
    url: str, storage: Storage, secrets: Secrets, archive: ArchiveWriter, report: Report, *, now: datetime
) -> Summary:
    """Write everything into `archive`, and finish it.

    Args:
        url: The database.
        storage: Where the objects are.
        secrets: The secrets that are files.
        archive: Where everything is written.
        report: Is told how it goes on.
        now: The time that the archive says.

    Returns:
        What is in it. `missing` and `damaged` say what is wrong with the storage.

    Raises:
        NothingToBackUp: The database was never migrated.
        BackupRunning: Another backup runs.
        ArchiveNotWritten: The file cannot be written.
        DatabaseUnreachable, DatabaseAhead, MigrationChanged, Unavailable: The database or the storage has a problem.
    """
    migration = max((step.number for step, applied_at in await status(url) if applied_at), default=0)
    if not migration:
        raise NothingToBackUp("There is nothing to back up: the database is empty, no studio has used it yet.")
    summary = Summary(secrets=sorted(secrets))
    objects = LineFile("the archive")
    try:
        async with database_copy.open_connection(url) as connection:
            await database_copy.hold_objects(connection)
            async with database_copy.one_moment(connection):
                await _copy_database(connection, migration, archive, summary, report, now)
                await _list_objects(connection, objects, summary)
            archive.add_lines(OBJECT_LIST, objects)
            report.begin(f"Copying {count_files(summary.files)}.", summary.file_bytes)
            await _copy_objects(connection, storage, objects, archive, summary, report)
    finally:
        objects.close()
    for name in summary.secrets:
        archive.add(f"secrets/{name}", secrets[name])
    archive.finish()
    return summary


async def _copy_database(
    connection: Connection, migration: int, archive: ArchiveWriter, summary: Summary, report: Report, now: datetime
) -> None:
    tables = await database_copy.list_tables(connection)
    # Sequences do not belong to the moment. They are read after it began, so they are at least as far as the rows.
    sequences = await database_copy.read_sequences(connection, tables)
    description = Description(FORMAT, __version__, migration, f"{now:%Y-%m-%dT%H:%M:%SZ}", tables, sequences)
    archive.add(DESCRIPTION, msgspec.json.format(msgspec.json.encode(description)))
    summary.tables, summary.rows = len(tables), 0
    report.begin(f"Copying {len(tables)} tables.", 0)
    for table in tables:
        parts = _TableParts(archive, table, report)
        summary.rows += await database_copy.dump_table(connection, table, parts.write)
        parts.flush()


async def _list_objects(connection: Connection, objects: LineFile, summary: Summary) -> None:
    async for row in connection.cursor(_OBJECTS, prefetch=PREFETCH):
        media_type = MEDIA_TYPES[row["format"]] if row["format"] else row["mime_type"]
        objects.add(StoredObject(row["key"], row["size"], row["sha256"], media_type, row["file_name"]))
        summary.files += 1
        summary.file_bytes += row["size"]


async def _copy_objects(
    connection: Connection,
    storage: Storage,
    objects: LineFile,
    archive: ArchiveWriter,
    summary: Summary,
    report: Report,
) -> None:
    for expected in objects.records(StoredObject):
        try:
            is_whole = await _copy_object(storage, expected, archive, report)
        except NoSuchObject:
            summary.missing.append(expected.key)
            summary.files -= 1
            summary.file_bytes -= expected.size
            continue
        except StorageRefused as refused:
            raise Unavailable(refused.reason) from refused
        if not is_whole:
            summary.damaged.append(expected.key)
        # Without the connection, objects may be deleted.
        await connection.execute("SELECT 1")


async def _copy_object(storage: Storage, expected: StoredObject, archive: ArchiveWriter, report: Report) -> bool:
    """Copy one object. False when its size or hash is not what the database says. Raises `NoSuchObject`."""
    left, is_begun, is_longer = expected.size, False, False
    async with aclosing(storage.read(expected.key)) as blocks:  # type: ignore[type-var]
        async for block in blocks:
            if not is_begun:
                archive.begin(f"objects/{expected.key}", expected.size)
                is_begun = True
            is_longer = is_longer or len(block) > left
            wanted = block[:left]
            archive.write(wanted)
            report.advance(len(wanted))
            left -= len(wanted)
    if not is_begun:
        archive.begin(f"objects/{expected.key}", expected.size)
    digest = archive.end()
    return not left and not is_longer and expected.sha256 in (None, digest)


class _TableParts:
    """Collects the rows of a table, and writes a member whenever there is enough."""

    def __init__(self, archive: ArchiveWriter, table: Table, report: Report) -> None:
        self._archive = archive
        self._table = table
        self._report = report
        self._waiting = bytearray()
        self._count = 0

    async def write(self, block: bytes) -> None:
        """Append rows."""
        self._waiting += block
        if len(self._waiting) >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._archive.add(f"database/{self._table.name}/{self._count:08}", bytes(self._waiting))
            self._report.advance(len(self._waiting))
            self._waiting.clear()
            self._count += 1
