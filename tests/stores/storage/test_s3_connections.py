"""Downloads do not take the connections that everything else needs of an S3 server."""

from contextlib import AsyncExitStack, aclosing
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.http.api.downloads import TOTAL
from omnisonic.http.api.listening import MOST_AT_ONCE
from omnisonic.stores.storage.s3 import CONNECTIONS
from tests.s3_server import S3Server
from tests.stores.storage.shelves import Shelf, bucket_at, reading, s3_shelf
from tests.stores.storage.test_storage import noise

DOWNLOADS: Final = TOTAL + MOST_AT_ONCE
RESERVE: Final = 100
"""For uploads, joins and jobs."""
SLOW: Final = noise(1_048_576)
"""More than a client reads ahead, so the connection stays taken."""


def test_there_are_more_connections_than_downloads() -> None:
    """With a reserve."""
    assert CONNECTIONS >= DOWNLOADS + RESERVE


async def test_with_all_downloads_running_the_storage_answers(thread: AsyncioThread, s3: S3Server) -> None:
    """Nobody takes more than the first block; a ping and a put are done all the same."""

    async def hold_all(shelf: Shelf) -> None:
        async with AsyncExitStack() as held:
            for _ in range(DOWNLOADS):
                chunks = await held.enter_async_context(aclosing(reading(shelf.store, "uploads/slow")))
                assert await anext(chunks)
            await shelf.store.ping()

    async with s3_shelf(thread, s3, bucket_at(s3.port)) as shelf:
        await shelf.put("uploads/slow", SLOW)
        await shelf.do(hold_all, shelf)
