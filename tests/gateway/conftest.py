"""Stages for the gateway's tests: over the stores in the process, and over a real Valkey where that may differ."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, TypeAlias

import pytest

from omnisonic.operations.gateway_stores import open_presence_and_bus
from tests.gateway.people import People, open_people
from tests.rooms import Stage, open_stage
from tests.valkey_server import ValkeyServer

OpenStage: TypeAlias = Callable[..., AbstractAsyncContextManager[Stage]]


STORES: Final = ("memory", "valkey")
BOTH_STORES: Final = pytest.mark.parametrize("store_kind", STORES)
"""For a test that sees what the gateway writes to its store, in a module of others that do not."""


@pytest.fixture
def store_kind() -> str:
    """The kind of presence store and bus. What members say to each other never passes through them."""
    return "memory"


@pytest.fixture(params=STORES)
def both_stores(request: pytest.FixtureRequest) -> str:
    """For a module whose tests all depend on the store: it has this as its `store_kind`."""
    return str(request.param)


@pytest.fixture
async def stage_over(store_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[OpenStage]:
    """Opens a stage with options, over this kind of presence store and bus."""
    url = None
    if store_kind == "valkey":
        server: ValkeyServer = request.getfixturevalue("valkey")
        url = server.url
    async with open_presence_and_bus(url) as (presence, bus):
        yield partial(open_stage, presence=presence, bus=bus)


@pytest.fixture
async def people(database_url: str) -> AsyncIterator[People]:
    """The accounts and sessions in a database of their own."""
    async with open_people(database_url) as people:
        yield people


@pytest.fixture
async def stage(stage_over: OpenStage) -> AsyncIterator[Stage]:
    """A gateway with the usual options and no rate limit."""
    async with stage_over() as stage:
        yield stage
