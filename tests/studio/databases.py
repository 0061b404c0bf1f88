"""Adapters on a real database, as a trio test can call them: they live in the asyncio thread."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.database.pool import Database, Row
from tests.postgres_server import PATIENT
from tests.stores.conftest import HANG_S, InThread

DEAD_URL: Final = "postgresql://nobody@127.0.0.1:9/nothing"
"""Nobody listens there."""

T = TypeVar("T")


class Base:
    """A database, open in the asyncio thread; `of` brings what stands on it to trio."""

    def __init__(self, thread: AsyncioThread, url: str) -> None:
        self.database = Database(url, deadlines=PATIENT)
        self.thread = thread

    def of(self, store: T) -> T:
        """`store`, as seen from trio."""
        return cast("T", InThread(self.thread, store))

    async def sql(self, statement: str, *values: Any) -> Sequence[Row]:
        """Run one statement, beside the stores."""
        return await self.thread.call(self.database.rows, statement, *values, timeout_s=HANG_S)

    @asynccontextmanager
    async def holding(self, statement: str, *values: Any) -> AsyncIterator[None]:
        """What a statement locks, until the block ends."""
        transaction = InThread(self.thread, self.database.transaction())
        connection = await transaction.__getattr__("__aenter__")()
        try:
            await self.thread.call(connection.execute, statement, *values, timeout_s=HANG_S)
            yield
        finally:
            await transaction.__getattr__("__aexit__")(None, None, None)

    async def once_waiting(self, count: int) -> None:
        """Wait until so many statements, or more, wait for a lock: a sign-in whose use is noted may be one of them."""
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while await self.number(statement) < count:
            await trio.lowlevel.checkpoint()

    async def number(self, statement: str, *values: Any) -> int:
        """The number that a statement answers."""
        return int((await self.sql(statement, *values))[0][0])


@asynccontextmanager
async def base_at(url: str, thread: AsyncioThread) -> AsyncIterator[Base]:
    """The database at `url`, closed with the block."""
    base = Base(thread, url)
    await thread.call(base.database.open, timeout_s=HANG_S)
    try:
        yield base
    finally:
        await thread.call(base.database.aclose, timeout_s=HANG_S)
