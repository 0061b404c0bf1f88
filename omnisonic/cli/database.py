"""Opens the database for one command of an operator."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from omnisonic.cli.startup_checks import check_schema
from omnisonic.stores.database.pool import Database

T = TypeVar("T")


async def with_database(url: str, act: Callable[[Database], Awaitable[T]]) -> T:
    """Do something in the database at `url`. Raises database errors, and what `act` raises."""
    await check_schema(url)
    database = Database(url, connections=1)
    await database.open()
    try:
        return await act(database)
    finally:
        await database.aclose()
