"""Every room memory store behind one face, so that one suite holds for each."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import Claim, Claimed, Outcome, RoomMemoryStore, RoomWrite
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from tests.stores.conftest import PATIENT_S, Clock, InThread
from tests.valkey_cluster import ValkeyCluster
from tests.valkey_server import ValkeyServer

LEASE_S: Final = 60.0
"""Longer than any test."""
BLOCKS_TTL_S: Final = 0.2
SETTLE_S: Final = 60.0
"""Longer than any test: a store is unsettled until the test says otherwise."""


@dataclass
class Stage:
    """A store, and what a test does to it.

    Attributes:
        store: Settles at once, but in this process, where it is settled from the start.
        unsettled: The same records and leases, for somebody to whom nothing has settled that began since the test did.
        empty: Makes it lose everything.
        clock: The time, where a test moves it.
    """

    store: RoomMemoryStore
    unsettled: RoomMemoryStore
    empty: Callable[[], None]
    clock: Clock | None = None

    async def claim(self, room: str = "jam", owner: str = "gateway") -> Claimed:
        """Claim one room, whoever holds it."""
        [claimed] = await self.store.claim([room], owner)
        return claimed

    async def ask(self, owner: str, room: str = "jam") -> Claim:
        """Claim one room unless it is held."""
        [claim] = await self.store.claim_unless_held([room], owner)
        return claim

    async def take(self, owner: str, room: str = "jam") -> Claimed:
        """Claim one room, which nobody holds."""
        claim = await self.ask(owner, room)
        assert isinstance(claim, Claimed)
        return claim

    async def write(self, write: RoomWrite) -> Outcome:
        """Write one change."""
        [outcome] = await self.store.write([write])
        return outcome


class _MemoryInThread(InThread):
    outlives_process = True


def memory_at(url: str, thread: AsyncioThread, *, timeout_s: float = PATIENT_S, **options: Any) -> RoomMemoryStore:
    """The store at `url` as a trio test can call it. The test closes it."""
    return cast("RoomMemoryStore", _MemoryInThread(thread, ValkeyRoomMemory(url, timeout_s=timeout_s, **options)))


@asynccontextmanager
async def open_stage(place: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The room memory store at this `place`, empty."""
    if place == "memory":
        clock = Clock()
        store = InProcessRoomMemory(blocks_ttl_s=BLOCKS_TTL_S, clock=clock, settle_s=SETTLE_S)
        yield Stage(store, store, store.lose_everything, clock)
        return
    server: ValkeyServer | ValkeyCluster = request.getfixturevalue("valkey" if place == "valkey" else "valkey_cluster")
    shared = memory_at(server.url, thread, blocks_ttl_s=60, settle_s=0.0)
    unsettled = memory_at(server.url, thread, blocks_ttl_s=60, settle_s=SETTLE_S)
    yield Stage(shared, unsettled, server.flush)
    await shared.aclose()
    await unsettled.aclose()


@asynccontextmanager
async def store_at(
    url: str, thread: AsyncioThread, *, settle_s: float, timeout_s: float = PATIENT_S
) -> AsyncIterator[RoomMemoryStore]:
    """The store at `url`, closed with the block."""
    store = memory_at(url, thread, settle_s=settle_s, timeout_s=timeout_s)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def settling_stores(
    url: str, thread: AsyncioThread, *, timeout_s: float = PATIENT_S
) -> AsyncIterator[tuple[RoomMemoryStore, RoomMemoryStore, RoomMemoryStore]]:
    """Three gateways at one store: the first two see what began during the test as settled, the third one does not."""
    async with (
        store_at(url, thread, settle_s=0.0, timeout_s=timeout_s) as first,
        store_at(url, thread, settle_s=0.0, timeout_s=timeout_s) as second,
        store_at(url, thread, settle_s=LEASE_S, timeout_s=timeout_s) as third,
    ):
        yield first, second, third


async def begin(store: RoomMemoryStore, run: str) -> None:
    """Let this run begin."""
    assert (await store.renew(run, begins=True, ttl_s=LEASE_S)).is_alive


async def lives(store: RoomMemoryStore, run: str) -> bool:
    """Renew the lease of this run, once the servers answer."""
    while True:
        try:
            return (await store.renew(run, ttl_s=LEASE_S)).is_alive
        except Unavailable:
            await trio.lowlevel.checkpoint()
