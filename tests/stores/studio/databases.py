"""Adapters on a real database, as a trio test can call them: they live in the asyncio thread."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

from omnisonic.asyncio_thread import AsyncioThread
from omnisonic.database.pool import Database, Row
from tests.stores.conftest import DEADLINE_S, InThread

DEAD_URL: Final = "postgresql://nobody@127.0.0.1:9/nothing"
"""Nobody listens there."""

T = TypeVar("T")


class Base:
    """A database, open in the asyncio thread; `of` brings what stands on it to trio."""

    def __init__(self, thread: AsyncioThread, url: str) -> None:
        self.database = Database(url)
        self.thread = thread

    def of(self, store: T) -> T:
        """`store`, as seen from trio."""
        return cast("T", InThread(self.thread, store))

    async def sql(self, statement: str, *values: Any) -> Sequence[Row]:
        """Run one statement, beside the stores."""
        return await self.thread.call(self.database.rows, statement, *values, timeout_s=DEADLINE_S)

    async def number(self, statement: str, *values: Any) -> int:
        """The number that a statement answers."""
        return int((await self.sql(statement, *values))[0][0])


@asynccontextmanager
async def base_at(url: str, thread: AsyncioThread) -> AsyncIterator[Base]:
    """The database at `url`, closed with the block."""
    base = Base(thread, url)
    await thread.call(base.database.open, timeout_s=DEADLINE_S)
    try:
        yield base
    finally:
        await thread.call(base.database.aclose, timeout_s=DEADLINE_S)
