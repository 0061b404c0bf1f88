"""The client on each async library."""

from collections.abc import AsyncIterator

import pytest

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from tests.client.libraries import AsyncioClient, Client


@pytest.fixture(params=["trio", "asyncio"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """The client on trio, and then the one on asyncio."""
    if request.param == "trio":
        yield Client()
    else:
        async with open_asyncio_thread() as thread:
            yield AsyncioClient(thread)
