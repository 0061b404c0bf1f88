"""Both presence stores and both buses behind one face, so that one suite holds for each."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread, open_asyncio_thread
from omnisonic.stores.bus import Bus, BusEvent
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.stores.valkey import TIMEOUT_S
from tests.valkey_cluster import ValkeyCluster
from tests.valkey_server import ValkeyServer

DEADLINE_S: Final = 10.0
HANG_S: Final = 60.0
"""What a call takes that is not what a test is about: one that takes longer hangs."""
PATIENT_S: Final = 5.0
"""The deadline of a store whose own deadline is not what a test is about."""
SLACK_S: Final = 0.25
"""What a busy machine may add to a deadline."""


@pytest.fixture(params=["memory", "valkey"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which adapter a test of the contract runs on."""
    return str(request.param)


@pytest.fixture(params=["memory", "valkey", "cluster"])
def place(request: pytest.FixtureRequest) -> str:
    """Where a test of the contract has its store: in this process, on one server, on a cluster."""
    return str(request.param)


def url_of(place: str, request: pytest.FixtureRequest) -> str:
    """The URL of the Valkey that `place` means, running and empty."""
    server: ValkeyServer | ValkeyCluster = request.getfixturevalue("valkey" if place == "valkey" else "valkey_cluster")
    return server.url


@pytest.fixture
async def thread() -> AsyncIterator[AsyncioThread]:
    """An asyncio thread for the adapters that need one."""
    async with open_asyncio_thread() as thread:
        yield thread


class InThread:
    """Calls the methods of `target`, which lives in the asyncio thread, from trio."""

    def __init__(self, thread: AsyncioThread, target: object) -> None:
        self._thread = thread
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._thread.call(method, *args, timeout_s=HANG_S, **kwargs)

        return call


@asynccontextmanager
async def presence_at(url: str, thread: AsyncioThread, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[PresenceStore]:
    """A `ValkeyPresence` that a trio test can call, closed with the block."""
    store = cast("PresenceStore", InThread(thread, ValkeyPresence(url, timeout_s=timeout_s)))
    try:
        yield store
    finally:
        await store.aclose()


class BusInThread(InThread):
    """A bus in the asyncio thread, with subscriptions that a trio test can iterate over."""

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[BusEvent]]:
        """As `Bus.subscribe`."""
        subscription = InThread(self._thread, cast("Bus", self._target).subscribe(*channels))
        events = InThread(self._thread, await subscription.__getattr__("__aenter__")())
        try:
            yield _Iterated(events.__getattr__("__anext__"))
        finally:
            with trio.CancelScope(shield=True):
                await subscription.__getattr__("__aexit__")(None, None, None)


@dataclass
class _Iterated(AsyncIterator[BusEvent]):
    following: Callable[[], Awaitable[BusEvent]]

    async def __anext__(self) -> BusEvent:
        return await self.following()


@asynccontextmanager
async def bus_at(url: str, thread: AsyncioThread, *, timeout_s: float = PATIENT_S) -> AsyncIterator[Bus]:
    """A `ValkeyBus` that a trio test can use, closed with the block."""
    bus = cast("Bus", BusInThread(thread, ValkeyBus(url, timeout_s=timeout_s)))
    try:
        yield bus
    finally:
        await bus.aclose()


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Stage:
    """A presence store and its time."""

    store: PresenceStore
    clock: Clock | None = field(default=None)

    async def once_passed(self, ttl_s: float, holds: Callable[[], Awaitable[bool]]) -> None:
        """Let `ttl_s` pass, then see that `holds`: at once on an injected clock, within the deadline on a server."""
        if self.clock is not None:
            self.clock.now_s += ttl_s
            assert await holds()
            return
        with trio.fail_after(DEADLINE_S):
            while not await holds():
                await trio.lowlevel.checkpoint()


@pytest.fixture
async def stage(place: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The presence store at this `place`, empty."""
    if place == "memory":
        clock = Clock()
        yield Stage(MemoryPresence(clock), clock)
        return
    async with presence_at(url_of(place, request), thread, timeout_s=PATIENT_S) as store:
        yield Stage(store)


@pytest.fixture
async def bus(place: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """The bus at this `place`."""
    async with AsyncExitStack() as stack:
        if place == "memory":
            yield MemoryBus()
        else:
            yield await stack.enter_async_context(bus_at(url_of(place, request), thread))
