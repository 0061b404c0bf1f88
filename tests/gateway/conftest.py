"""Stages for the gateway's tests: over the stores in the process, and over a real Valkey."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

import pytest

from omnisonic.operations.gateway_process import open_presence_and_bus
from tests.gateway.people import People, open_people
from tests.rooms import Stage, open_stage
from tests.valkey_server import ValkeyServer

OpenStage: TypeAlias = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture(params=["memory", "valkey"])
async def stage_over(request: pytest.FixtureRequest) -> AsyncIterator[OpenStage]:
    """Opens a stage with options, over each kind of presence store and bus."""
    url = None
    if request.param == "valkey":
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
    """A gateway with the usual options and no rate limit, over each kind of presence store and bus."""
    async with stage_over() as stage:
        yield stage
