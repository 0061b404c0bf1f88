"""The pool of connections to Postgres: queries with a deadline, errors in words. Asyncio, through asyncpg.

Overload: a query that gets no connection within its deadline is `Unavailable` (`Deadlines`). Crash of the server:
queries under way are `Unavailable`, and the next ones get new connections. A server that hangs is `Unavailable`, too,
after the deadlines of a statement and of its end. Whether a statement that ended in `Unavailable` was executed is not
known, but it was executed as a whole or not at all. Shutdown: `aclose`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import asyncpg

from omnisonic.errors import Unavailable
from omnisonic.stores.database import CONNECTIONS

TIMEOUT_S: Final = 2.5
"""Longest wait for the database in all. A fifth of it is for a free connection: with an exhausted pool, a web that is
busy answers within a second."""
OPEN_S: Final = 10.0
"""Longest that opening a connection may take, unless callers wait longer. See `_open_connection`."""
CLOSE_S: Final = 2.0

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Row] | asyncpg.pool.PoolConnectionProxy[Row]"
Opening: TypeAlias = "asyncio.Task[asyncpg.Connection[Row]]"

FAILURES: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # A replica that is not the primary yet; a deadlock.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
)
"""What asyncpg raises when the server is away, stopping, starting or refusing. For a connection that is lost already it
raises `InterfaceError`, as for programming errors."""

SENTENCE: Final = "The database does not answer now. Try again in a moment."


class Deadlines(NamedTuple):
    """How long a caller of the database waits at most, in seconds.

    `acquire_s` is for a free connection; `query_s` for a statement, which the server is then told to cancel; and
    `release_s` for the server to do so, before the connection is closed.
    """

    acquire_s: float
    query_s: float
    release_s: float

    @classmethod
    def within(cls, timeout_s: float) -> "Deadlines":
        """The deadlines that add up to `timeout_s`."""
        return cls(0.2 * timeout_s, 0.6 * timeout_s, 0.2 * timeout_s)


DEADLINES: Final = Deadlines.within(TIMEOUT_S)
COMMAND: Final = Deadlines.within(25)
"""For an operator's command and for work in the background: nobody's request waits for it."""


class Database:
    """A pool of connections to `url`. Open it in the loop that uses it."""

    def __init__(self, url: str, *, connections: int = CONNECTIONS, deadlines: Deadlines = DEADLINES) -> None:
        self._url = url
        self._connections = connections
        self._deadlines = deadlines
        self._pool: asyncpg.Pool[Row] | None = None
        self._unclaimed: list[Opening] = []
        self._is_closed = False

    async def open(self) -> None:
        """Create the pool. It connects with the first query, so a server that is not up yet is no error."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections,
            command_timeout=self._deadlines.query_s,
            timeout=self._deadlines.acquire_s,
            connect=self._open_connection,
            reset=_reset_nothing,
            server_settings={"application_name": "omnisonic"},
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, each statement on it by itself. Errors: `Unavailable`, also for what fails inside."""
        assert self._pool is not None, "open() comes first"
        try:
            connection = await _acquire(self._pool, self._deadlines.acquire_s)
            try:
                yield connection
            except asyncpg.InternalClientError as problem:  # the protocol state of the connection is broken
                connection.terminate()
                raise ConnectionResetError from problem
            except asyncpg.InterfaceError as problem:
                if _is_lost(connection):
                    raise ConnectionResetError from problem
                raise
            finally:
                await self._pool.release(connection, timeout=self._deadlines.release_s)
        except FAILURES as failure:
            raise Unavailable(SENTENCE) from failure

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: all of the block or nothing. Errors: `Unavailable`."""
        async with self.connection() as connection, connection.transaction():
            try:
                yield connection
            except TimeoutError:
                # No rollback: the server does not answer, and rolls back when the connection is closed.
                connection.terminate()
                raise

    async def row(self, query: str, *values: Any) -> Row | None:
        """The first row. Errors: `Unavailable`."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def rows(self, query: str, *values: Any) -> list[Row]:
        """All rows. Errors: `Unavailable`."""
        async with self.connection() as connection:
            return await connection.fetch(query, *values)

    async def ping(self) -> None:
        """One round trip. Errors: `Unavailable`."""
        await self.row("SELECT 1")

    async def aclose(self) -> None:
        """Close all connections, those in use after `CLOSE_S`. Safe to call twice."""
        self._is_closed = True
        if self._pool is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._pool.close()
                    await asyncio.gather(*self._unclaimed, return_exceptions=True)
            except TimeoutError:
                self._pool.terminate()
            for opening in self._unclaimed:
                opening.add_done_callback(_close_unclaimed)
            self._unclaimed.clear()

    async def _open_connection(self, *args: Any, **options: Any) -> "asyncpg.Connection[Row]":
        """Open a connection. When the caller gives up, opening continues, and the next caller gets the connection.

        So a server that is slower than callers wait is reached in the end; and asyncpg logs errors when opening is
        cancelled.
        """
        while self._unclaimed:
            opening = self._unclaimed.pop()
            if not _has_failed(opening):
                break
        else:
            timeout_s = max(OPEN_S, self._deadlines.acquire_s)
            opening = asyncio.create_task(asyncpg.connect(*args, **options | {"timeout": timeout_s}))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if self._is_closed:  # there is no next caller
                opening.add_done_callback(_close_unclaimed)
            else:
                self._unclaimed.append(opening)
            raise


async def _acquire(pool: "asyncpg.Pool[Row]", within_s: float) -> "asyncpg.pool.PoolConnectionProxy[Row]":
    try:
        return await pool.acquire(timeout=within_s)
    except asyncpg.InterfaceError as problem:  # it is closed, or the server wants what asyncpg cannot do
        raise ConnectionAbortedError from problem


def _has_failed(opening: Opening) -> bool:
    """Whether it will not give a usable connection."""
    return opening.done() and (opening.cancelled() or opening.exception() is not None or opening.result().is_closed())


def _close_unclaimed(opening: Opening) -> None:
    """Close a connection that no caller took, if it was opened."""
    if not _has_failed(opening):
        opening.result().terminate()


def _is_lost(connection: Connection) -> bool:
    """Whether the connection was lost. asyncpg may raise that it was "released" for that reason."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def _reset_nothing(_connection: Any) -> None:
    """No statement changes the state of a connection, so there is nothing to reset. That saves a round trip a query."""
