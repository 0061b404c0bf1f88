"""Several workers of one gateway for tests, in one process: real channels and sockets, one loop."""

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count as numbers
from typing import Any
from urllib.parse import urlencode

import trio

from omnisonic.actors.gateway import Gateway
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.workers.hand_over import WAIT_S
from omnisonic.actors.workers.place import WorkerChannels, WorkerPlace, owner_of
from omnisonic.actors.workers.worker import Worker
from omnisonic.operations.gateway_process import open_gateway
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence.memory import MemoryPresence
from tests.clients import Bare, upgrade_request
from tests.rooms import OPTIONS


@dataclass
class WorkersPort:
    """The port of `count` workers, and how members come in."""

    port: int
    count: int

    def room_of(self, index: int, name: str = "jam") -> str:
        """The name of a room that this worker has."""
        return next(room for number in numbers() if owner_of(room := f"{name}{number}", self.count) == index)

    def request(self, member: str, room: str, **query: str) -> bytes:
        """What a member who enters sends first."""
        target = "/?" + urlencode({"roomId": room, "memberId": member, "displayName": member, **query})
        return upgrade_request(target, self.port)

    async def bare(self, member: str, room: str, more: bytes = b"", **query: str) -> Bare:
        """A client who has sent its request, and `more` with it."""
        bare = Bare(await trio.open_tcp_stream("127.0.0.1", self.port))
        await bare.stream.send_all(self.request(member, room, **query) + more)
        return bare

    async def enter(self, member: str, room: str, more: bytes = b"", **query: str) -> Bare:
        """A member who has been welcomed. Errors: `AssertionError` for one who is refused."""
        bare = await self.bare(member, room, more, **query)
        head = await bare.head()
        assert head.startswith(b"HTTP/1.1 101"), head
        bare.welcome = await bare.next("welcome")
        return bare


@dataclass
class Workers(WorkersPort):
    """The port of all workers, and those that run, by their index."""

    channels: WorkerChannels
    running: dict[int, Gateway] = field(default_factory=dict)


class WorkersStage:
    """The listening socket and the channels, of which each worker gets a copy."""

    def __init__(self, count: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.workers = Workers(self.listener.getsockname()[1], count, WorkerChannels(count))

    @asynccontextmanager
    async def worker(
        self,
        index: int,
        *,
        wait_s: float = WAIT_S,
        room_class: Callable[[RoomContext], RoomState] = RoomState,
        **options: Any,
    ) -> AsyncIterator[Gateway]:
        """Run one worker until the block ends. `options` are fields of `GatewayOptions`."""
        chosen = replace(OPTIONS, **options)
        place = WorkerPlace.of(",".join(map(str, (index, *map(os.dup, self.workers.channels.fds)))))
        worker = Worker(place, chosen.admission, chosen.render_metrics, wait_s=wait_s)
        if chosen.render_metrics is not None:
            chosen = replace(chosen, render_metrics=worker.render_metrics)
        async with open_gateway(
            chosen,
            [self.listener.dup()],
            presence=MemoryPresence(),
            bus=MemoryBus(),
            owner=f"test/{index + 1}",
            room_class=room_class,
            worker=worker,
        ) as gateway:
            self.workers.running[index] = gateway
            yield gateway
            del self.workers.running[index]
        for channel in (*place.channels, *place.inspection_channels):
            channel.close()

    def close(self) -> None:
        """Close the sockets."""
        self.listener.close()
        self.workers.channels.close()


@asynccontextmanager
async def open_workers_stage(count: int) -> AsyncIterator[WorkersStage]:
    """A stage for `count` workers, of which none runs."""
    stage = WorkersStage(count)
    try:
        yield stage
    finally:
        stage.close()


@asynccontextmanager
async def open_workers(count: int, **options: Any) -> AsyncIterator[Workers]:
    """Run `count` workers. `options` are fields of `GatewayOptions`."""
    async with open_workers_stage(count) as stage, trio.open_nursery() as nursery:
        stop = trio.Event()

        async def run(opened: AbstractAsyncContextManager[Gateway], task_status: trio.TaskStatus[None]) -> None:
            async with opened:
                task_status.started()
                await stop.wait()

        for index in range(count):
            await nursery.start(run, stage.worker(index, **options))
        yield stage.workers
        stop.set()
