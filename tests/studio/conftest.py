"""The database and the people that the stores of accounts, sessions and access are tested with."""

from collections.abc import AsyncIterator

import pytest

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from tests.stores.conftest import thread as thread
from tests.studio.databases import Base, base_at
from tests.studio.people import MemoryPeople, People, PostgresPeople
from tests.studio.uploading import Studio, opened_studio


@pytest.fixture(params=["memory", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which session store a test of the contract runs on."""
    return str(request.param)


@pytest.fixture
async def base(thread: AsyncioThread, database_url: str) -> AsyncIterator[Base]:
    """A migrated database with nothing in it."""
    async with base_at(database_url, thread) as base:
        yield base


@pytest.fixture
async def people(kind: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[People]:
    """Nobody yet, and the session store of this `kind`."""
    if kind == "memory":
        yield MemoryPeople()
        return
    async with base_at(request.getfixturevalue("database_url"), thread) as base:
        yield PostgresPeople(base)


@pytest.fixture
async def studio(base: Base) -> Studio:
    """Three people, one session, no uploads."""
    return await opened_studio(base)
