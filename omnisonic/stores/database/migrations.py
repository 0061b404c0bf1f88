"""The migrations of the database: numbered, forward only, each applied once and recorded (DESIGN 4).

They are the SQL files in the package's folder `migrations`. The table `schema_migrations`, which is created here,
records what was applied. Asyncio, through asyncpg, on connections of its own.

Overload: two programs that migrate at once take turns, by an advisory lock, and so do a migration and a backup; where
nothing is to be applied, nobody waits. Crash: a migration and its row are one transaction, so it was applied whole or
not at all; the lock goes with the connection. Shutdown: cancel at any time.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from omnisonic.errors import OmnisonicError

LOCK: Final = 0x6F6D6E69
"""The number of the advisory lock that migrating holds: "omni" in ASCII."""
START_S: Final = 5.0
"""How long to wait for a database that does not answer yet: it may be starting."""
RETRY_S: Final = 0.1
CONNECT_S: Final = 2.0
SAY_S: Final = 10.0
"""How often the log says that a migration waits."""
FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_log = logging.getLogger(__name__)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class DatabaseUnreachable(OmnisonicError):
    """The database cannot be connected to. The sentence says why, and holds no password."""

    code = "database_unreachable"


class DatabaseBehind(OmnisonicError):
    """Some migrations were not applied yet."""

    code = "database_behind"


class DatabaseAhead(OmnisonicError):
    """The database was migrated by a newer version than this one."""

    code = "database_ahead"


class MigrationChanged(OmnisonicError):
    """The file of an applied migration has changed."""

    code = "migration_changed"


class MigrationFailed(OmnisonicError):
    """The database refused a migration. Those before it were applied, this one was not."""

    code = "migration_failed"


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration. `number` counts from 1."""

    number: int
    name: str
    sql: str = field(repr=False)

    @property
    def checksum(self) -> str:
        """SHA-256 of its text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04} {self.name}"


def known_migrations(folder: Traversable | None = None) -> list[Migration]:
    """The migrations of this version, or those in `folder`, in order. Errors: `ValueError` for a missing number."""
    listed = (folder or files("omnisonic") / "migrations").iterdir()
    named = [(matched, file) for file in listed if (matched := FILE_NAME.fullmatch(file.name))]
    found = [Migration(int(matched[1]), matched[2], file.read_text(encoding="utf-8")) for matched, file in named]
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"Migrations count 1, 2, 3 and so on: {', '.join(map(str, found))}")
    return found


async def migrate(url: str, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply the migrations that were not applied yet, in order. Returns them.

    While another program migrates the database, or copies it for a backup, this waits, and says so in the log.

    Errors: `DatabaseUnreachable`; `DatabaseAhead` and `MigrationChanged` before anything is applied; `MigrationFailed`.
    """
    known = known_migrations() if migrations is None else migrations
    async with _connection(url) as connection:
        if not _waiting(known, await _read_applied(connection)):
            return []
        await _take_turn(connection)
        await connection.execute(TABLE)
        waiting = _waiting(known, await _read_applied(connection))
        for migration in waiting:
            await _apply(connection, migration)
        return waiting


async def status(url: str, migrations: Sequence[Migration] | None = None) -> list[tuple[Migration, datetime | None]]:
    """Each migration, and when it was applied. Errors: `DatabaseUnreachable`, `DatabaseAhead`, `MigrationChanged`."""
    known = known_migrations() if migrations is None else migrations
    async with _connection(url) as connection:
        applied = await _read_applied(connection)
    _check_history(known, applied)
    times = {number: row["applied_at"] for number, row in applied.items()}
    return [(migration, times.get(migration.number)) for migration in known]


async def check_migrated(url: str, migrations: Sequence[Migration] | None = None) -> None:
    """Check that the database is as this version needs it. Errors: those of `status`, and `DatabaseBehind`."""
    if any(applied_at is None for _, applied_at in await status(url, migrations)):
        raise DatabaseBehind("The database is behind: run `omnisonic migrate`.")


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as problem:
        raise MigrationFailed(f"Migration {migration} cannot be applied: {problem.args[0]}.") from problem


async def _take_turn(connection: Connection) -> None:
    taking = asyncio.ensure_future(connection.execute("SELECT pg_advisory_lock($1)", LOCK))
    try:
        while not (await asyncio.wait({taking}, timeout=SAY_S))[0]:
            _log.warning("migrations.waiting")
    finally:
        taking.cancel()
    await taking


async def _read_applied(connection: Connection) -> dict[int, asyncpg.Record]:
    """What was applied, by number. Nothing, in a database that was never migrated."""
    if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return {}
    rows = await connection.fetch("SELECT number, name, checksum, applied_at FROM schema_migrations ORDER BY number")
    return {row["number"]: row for row in rows}


def _waiting(known: Sequence[Migration], applied: dict[int, asyncpg.Record]) -> list[Migration]:
    """What is to be applied. Errors: those of `_check_history`."""
    _check_history(known, applied)
    return [migration for migration in known if migration.number not in applied]


def _check_history(known: Sequence[Migration], applied: dict[int, asyncpg.Record]) -> None:
    by_number = {migration.number: migration for migration in known}
    for number, row in applied.items():
        migration = by_number.get(number)
        if migration is None:
            raise DatabaseAhead(
                f"The database is ahead, by migration {number:04} {row['name']}: "
                "run the version of Omnisonic that made it."
            )
        if migration.checksum != row["checksum"]:
            raise MigrationChanged(
                f"Migration {migration} was changed after it had been applied: "
                "put it back, and write a new one instead."
            )


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url)
    try:
        yield connection
    except (
        OSError,
        asyncpg.InterfaceError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
    ) as gone:
        raise DatabaseUnreachable(f"The database at {_address(url)} went away: try again when it is back.") from gone
    finally:
        connection.terminate()


async def connect(url: str, *, start_s: float = START_S) -> Connection:
    """Connect. While the database does not answer, try again for `start_s`.

    Errors: `DatabaseUnreachable` at once when the database refuses, and after `start_s` when it does not answer.
    """
    deadline_s = asyncio.get_running_loop().time() + start_s
    while True:
        try:
            return await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=None)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as no:
            if asyncio.get_running_loop().time() >= deadline_s:
                raise DatabaseUnreachable(_timeout_message(url, no)) from no
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as refusal:
            raise DatabaseUnreachable(_refusal_message(url, refusal)) from refusal
        await asyncio.sleep(RETRY_S)


def _timeout_message(url: str, problem: Exception) -> str:
    reason = "it refuses connections" if isinstance(problem, ConnectionRefusedError) else "it does not answer"
    return f"The database at {_address(url)} cannot be reached, {reason}: start it, or correct DATABASE_URL."


def _refusal_message(url: str, refusal: Exception) -> str:
    address = _address(url)
    match refusal:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"The database at {address} does not accept the user or the password in DATABASE_URL: correct them."
        case asyncpg.InvalidCatalogNameError():
            return f"There is no database of that name at {address}: create it, or correct DATABASE_URL."
        case asyncpg.TooManyConnectionsError():
            return f"The database at {address} has no connection left: close some, or raise its max_connections."
        case _:
            return f"The database at {address} cannot be used ({type(refusal).__name__}): correct DATABASE_URL."


def _address(url: str) -> str:
    """Host and port of the database, without user and password."""
    parts: Any = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
