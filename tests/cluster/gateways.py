"""Several gateways in one process, over stores that they share."""

import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import trio

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.errors import Unavailable
from omnisonic.operations.gateway_process import open_gateway
from omnisonic.stores.bus import Bus, BusEvent
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from tests.rooms import OPTIONS, Stage, listening


class SharedMemory(InProcessRoomMemory):
    """A store that outlives each gateway of a test."""

    @property
    def outlives_process(self) -> bool:
        return True


class MemoryView:
    """The store as one gateway sees it. `is_away`: it does not answer."""

    def __init__(self, memory: RoomMemoryStore) -> None:
        self._memory = memory
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away and name != "outlives_process":
            raise Unavailable("It is away.")
        return getattr(self._memory, name)


class BusView:
    """The bus as one gateway sees it. `is_away`: nothing passes in either direction."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.is_away = False

    async def publish(self, channel: str, data: bytes) -> int:
        if self.is_away:
            raise Unavailable("It is away.")
        return await self._bus.publish(channel, data)

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[BusEvent]]:
        async with self._bus.subscribe(*channels) as events, aclosing(self._heard(events)) as heard:
            yield heard

    async def _heard(self, events: AsyncIterator[BusEvent]) -> AsyncGenerator[BusEvent, None]:
        async for event in events:
            if not self.is_away:
                yield event

    async def aclose(self) -> None:
        pass


class Stores:
    """What the gateways of a test share, and how each of them sees it."""

    def __init__(self, memory: RoomMemoryStore | None = None, bus: Bus | None = None) -> None:
        self.memory: RoomMemoryStore = memory or SharedMemory()
        self.presence: PresenceStore = MemoryPresence()
        self.bus: Bus = bus or MemoryBus()
        self.memories: dict[str, MemoryView] = {}
        self.busses: dict[str, BusView] = {}

    def cut_off(self, name: str, *, is_away: bool = True) -> None:
        """Let this gateway reach nothing any more, as if it were dead, or let it come back."""
        self.memories[name].is_away = self.busses[name].is_away = is_away


@asynccontextmanager
async def open_member_of_cluster(
    name: str, stores: Stores, *, hosting: Hosting | None = None, **options: Any
) -> AsyncIterator[Stage]:
    """Run one gateway of a cluster."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    memory = stores.memories[name] = MemoryView(stores.memory)
    bus = stores.busses[name] = BusView(stores.bus)
    async with open_gateway(
        replace(OPTIONS, **options),
        [listener],
        presence=stores.presence,
        bus=bus,
        memory=cast("RoomMemoryStore", memory),
        owner=name,
        is_clustered=True,
        hosting=hosting,
    ) as gateway:
        yield Stage(gateway, stores.presence, stores.bus, port)


@asynccontextmanager
async def open_cluster(*names: str, stores: Stores | None = None, **options: Any) -> AsyncIterator[list[Stage]]:
    """Run several gateways over the same stores."""
    stores = stores or Stores()
    async with AsyncExitStack() as stack:
        stages = [await stack.enter_async_context(open_member_of_cluster(name, stores, **options)) for name in names]
        await listening(stages[0], len(names))
        yield stages


def cluster_of(stage: Stage) -> Cluster:
    """The cluster's part of this gateway."""
    cluster = stage.gateway.cluster
    assert cluster is not None
    return cluster


def owners(stages: list[Stage], room: str = "jam") -> list[int]:
    """Which of these gateways own the room."""
    return [number for number, stage in enumerate(stages) if cluster_of(stage).claims.owns(room)]


async def run_until(
    stop: trio.Event,
    name: str,
    stores: Stores,
    options: dict[str, Any],
    task_status: trio.TaskStatus[Stage] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run one gateway in a task of its own, until it is to stop gracefully."""
    async with open_member_of_cluster(name, stores, **options) as stage:
        task_status.started(stage)
        await stop.wait()
