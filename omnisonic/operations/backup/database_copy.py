"""Copies the rows of a database out of it, and into an empty one, by Postgres' COPY. Asyncio, through asyncpg.

That works between versions of Postgres, and needs none of its programs. The tables come from the catalogue, so that a
new migration needs no change here.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from graphlib import TopologicalSorter
from typing import Any, Final, TypeAlias

import asyncpg

from omnisonic.operations.backup import BackupRunning
from omnisonic.operations.backup.contents import Sequence as SequenceState
from omnisonic.operations.backup.contents import Table
from omnisonic.stores.database.migrations import LOCK as MIGRATION_LOCK
from omnisonic.stores.database.migrations import Connection, DatabaseUnreachable, connect
from omnisonic.studio.uploads.unreferenced_objects import COPY_LOCK

LOCK_TIMEOUT: Final = "2s"
"""Longest wait for another backup, a migration, or a statement of the garbage collector."""
NOT_COPIED: Final = ("schema_migrations", "upload_segments", "export_previews")
"""The table of the migrations, which migrating makes, and those of segments and previews, which are made again."""
TEXT_FORM: Final = (
    "SET datestyle = ISO",
    "SET intervalstyle = postgres",
    "SET extra_float_digits = 3",
    "SET timezone = 'UTC'",
    "SET idle_in_transaction_session_timeout = 0",
    "SET statement_timeout = 0",
    f"SET lock_timeout = '{LOCK_TIMEOUT}'",
)
"""What makes texts of values exact, and the same everywhere."""

_TABLES: Final = """
SELECT class.relname::text AS name, array_agg(attribute.attname::text ORDER BY attribute.attnum) AS columns
FROM pg_class AS class
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind = 'r'
    AND attribute.attnum > 0 AND NOT attribute.attisdropped AND attribute.attgenerated = ''
    AND NOT EXISTS (SELECT FROM pg_depend AS depend WHERE depend.objid = class.oid AND depend.deptype = 'e')
GROUP BY class.relname
ORDER BY class.relname
"""

_REFERENCES: Final = """
SELECT source.relname::text AS source, target.relname::text AS target
FROM pg_constraint AS reference
JOIN pg_class AS source ON source.oid = reference.conrelid
JOIN pg_class AS target ON target.oid = reference.confrelid
WHERE reference.contype = 'f' AND source.relnamespace = current_schema()::regnamespace
    AND target.relnamespace = source.relnamespace AND source.oid <> target.oid
"""

_SEQUENCES: Final = """
-- $1 tables. The sequences of their columns, as SQL names them.
SELECT * FROM (
    SELECT class.relname::text AS name, attribute.attname::text AS column,
        pg_get_serial_sequence(quote_ident(class.relname), attribute.attname) AS sequence
    FROM pg_class AS class
    JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
    WHERE class.relnamespace = current_schema()::regnamespace AND class.relname = ANY($1::text[])
        AND attribute.attnum > 0 AND NOT attribute.attisdropped
) AS every WHERE sequence IS NOT NULL ORDER BY name, "column"
"""

_SET_SEQUENCE: Final = """
-- $1 table, $2 column, $3 its last value, $4 whether that was used.
SELECT setval(pg_get_serial_sequence(quote_ident($1), $2)::regclass, $3, $4)
"""

_LOST: Final = (
    ConnectionError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalClientError,
)
"""What asyncpg raises on a connection that is lost; the last one when it was lost while nobody used it."""

WriteBlock: TypeAlias = Callable[[bytes], Coroutine[Any, Any, None]]


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[Connection]:
    """A connection for copying. Raises `DatabaseUnreachable`, also when it is lost within the block."""
    connection = await connect(url)
    try:
        for statement in TEXT_FORM:
            await connection.execute(statement)
        yield connection
    except _LOST as problem:
        raise DatabaseUnreachable("The database went away: try again when it is back.") from problem
    finally:
        connection.terminate()


async def hold_objects(connection: Connection) -> None:
    """From now on, for as long as the connection lasts, no object is deleted whose row is there.

    Raises:
        BackupRunning: Another backup does so.
    """
    await _lock(connection, "SELECT pg_advisory_lock($1)", COPY_LOCK)


@asynccontextmanager
async def one_moment(connection: Connection) -> AsyncIterator[None]:
    """A block that sees the database as it was at one moment, between migrations. Raises `BackupRunning`."""
    await _lock(connection, "SELECT pg_advisory_lock_shared($1)", MIGRATION_LOCK)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock_shared($1)", MIGRATION_LOCK)


async def list_tables(connection: Connection) -> list[Table]:
    """All tables but those that are not copied, each after those that it refers to."""
    tables = {row["name"]: Table(row["name"], row["columns"]) for row in await connection.fetch(_TABLES)}
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(tables, ()))
    for row in await connection.fetch(_REFERENCES):
        sorter.add(row["source"], row["target"])
    return [tables[name] for name in sorter.static_order() if name in tables and name not in NOT_COPIED]


async def read_sequences(connection: Connection, tables: Sequence[Table]) -> list[SequenceState]:
    """Where the sequences of these tables are."""
    states = []
    for row in await connection.fetch(_SEQUENCES, [table.name for table in tables]):
        # The server has quoted the name.
        state = await connection.fetchrow(f"SELECT last_value, is_called FROM {row['sequence']}")  # noqa: S608
        assert state is not None
        states.append(SequenceState(row["name"], row["column"], state["last_value"], state["is_called"]))
    return states


async def dump_table(connection: Connection, table: Table, write: WriteBlock) -> int:
    """Pass all rows of a table to `write`, as text. Returns how many they are."""
    status = await connection.copy_from_table(table.name, columns=table.columns, output=write)
    return _count(status)


async def load_table(connection: Connection, table: Table, blocks: AsyncIterator[bytes]) -> int:
    """Insert the rows that `dump_table` has written. Returns how many they are. Raises `asyncpg.PostgresError`."""
    status = await connection.copy_to_table(table.name, columns=table.columns, source=blocks)
    return _count(status)


async def set_sequences(connection: Connection, states: Sequence[SequenceState]) -> None:
    """Continue the sequences where they were."""
    for state in states:
        await connection.execute(_SET_SEQUENCE, state.table, state.column, state.last_value, state.is_called)


async def has_rows(connection: Connection, tables: Sequence[Table]) -> bool:
    """Whether any of these tables has a row."""
    for table in tables:
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {quote(table.name)})"):  # noqa: S608
            return True
    return False


async def lock_tables(connection: Connection, tables: Sequence[Table]) -> None:
    """Keep everybody else from these tables until the transaction ends. Raises `asyncpg.LockNotAvailableError`."""
    names = ", ".join(quote(table.name) for table in tables)
    await connection.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


def quote(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


async def _lock(connection: Connection, statement: str, number: int) -> None:
    try:
        await connection.execute(statement, number)
    except asyncpg.LockNotAvailableError:
        raise BackupRunning(
            "Another backup of this studio is running, or its database is being migrated: try again later."
        ) from None


def _count(status: Any) -> int:
    """The number in a status such as `COPY 5`."""
    return int(str(status).rpartition(" ")[2])
