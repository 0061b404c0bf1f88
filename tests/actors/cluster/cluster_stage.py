"""One gateway of a cluster without sockets: its rooms, its claims, and what it says to its peers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.actors.cluster.remote_members import RemoteConnection
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.actors.hosting.hosting_tasks import HostingTasks
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.actors.runtime.telemetry import Counters, TurnTracer
from omnisonic.models import RoomId
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.room_memory import Claim, Outcome, RoomWrite
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.wire.peer_messages import ConnectionNumber, EdgeJoin, PeerMessage
from tests.actors.handles import member
from tests.actors.room_stage import Poisoned
from tests.rooms import eventually


class Rooms:
    """The parts of a gateway that its cluster needs."""

    def __init__(self, nursery: trio.Nursery, room_class: Callable[[RoomContext], RoomState] = Poisoned) -> None:
        def context(room_id: RoomId, epoch: str, relay_prefixes: RelayPrefixes) -> RoomContext:
            memory = RoomMemory(epoch, HistoryLimits())
            return RoomContext(room_id, memory, 60, 0, trio.current_time, lambda: 17, relay_prefixes)

        self.dispatcher = Dispatcher()
        self.registry = Registry(context, room_class, self.dispatcher, Counters(), TurnTracer(), nursery)
        self._nursery = nursery

    async def start_child(self, name: str, run: Callable[[trio.TaskStatus[None]], Awaitable[None]]) -> None:
        await self._nursery.start(run, name=name)


class LateMemory(InProcessRoomMemory):
    """A store that outlives each gateway. `is_silent`: it does what it is asked to, and does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_silent = False

    @property
    def outlives_process(self) -> bool:
        return True

    async def claim_unless_held(
        self, room_ids: Sequence[RoomId], owner: str, *, fences: Mapping[RoomId, int] | None = None
    ) -> list[Claim]:
        claims = await super().claim_unless_held(room_ids, owner, fences=fences)
        if self.is_silent:
            await trio.sleep_forever()
        return claims

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        if self.is_silent:
            await trio.sleep_forever()
        return await super().write(writes)


class Peer:
    """Another gateway, whose part a test plays. `heard` is what it was told."""

    def __init__(self, bus: MemoryBus, run: str) -> None:
        self.heard: list[PeerMessage] = []
        self.links = PeerLinks(bus, run, self)
        self._news = trio.Event()

    def on_message(self, peer: str, message: PeerMessage) -> None:
        del peer
        self.heard.append(message)
        self._news.set()

    def on_reset(self, peer: str) -> None:
        raise AssertionError(f"The link with {peer} was reset.")

    def on_silent(self, peer: str) -> None:
        raise AssertionError(f"{peer} is silent.")

    async def wait_for(self, message: PeerMessage) -> None:
        """Wait until this was heard."""
        with trio.fail_after(30):
            while message not in self.heard:
                self._news = trio.Event()
                await self._news.wait()


class ClusterStage:
    """A gateway in its cluster. With a `room_class` its rooms are a program's."""

    def __init__(self, nursery: trio.Nursery, room_class: type[Room[Any]] | None = None) -> None:
        self.memory, self._bus = LateMemory(), MemoryBus()
        self._nursery = nursery
        hosting = None if room_class is None else Hosting(room_class)
        self.rooms = Rooms(nursery) if hosting is None else Rooms(nursery, hosting.create_room)
        self.registry = self.rooms.registry
        self.cluster = Cluster(
            self.rooms, self.memory, self._bus, name="b", now_ms=lambda: 17, grace_s=0, history_bytes=0
        )
        if hosting is not None:
            self.cluster.save_room = HostingTasks(hosting, self.rooms, nursery).save_room

    async def open_peer(self, run: str) -> Peer:
        """Have another gateway in the cluster."""
        peer = Peer(self._bus, run)
        await self._nursery.start(peer.links.run)
        return peer

    def tell(self, peer: Peer, message: PeerMessage) -> None:
        """Have the peer say this to the gateway."""
        peer.links.send(self.cluster.lease.run, message)

    async def enter(self, peer: Peer, room_id: RoomId, number: ConnectionNumber) -> None:
        """Have a connection of the peer enter a room of the gateway."""
        self.tell(peer, EdgeJoin(room_id, number, member(f"{peer.links.run_name}{number}")))
        await eventually(lambda: number in self.numbers_of(peer, room_id))

    def numbers_of(self, peer: Peer, room_id: RoomId) -> set[ConnectionNumber]:
        """The connections of the peer that are in the room."""
        actor = self.registry.get(room_id)
        connections = [] if actor is None else [entry.connection for entry in actor.entries]
        remote = [each for each in connections if isinstance(each, RemoteConnection) and each.is_open]
        return {each.number for each in remote if each.group.peer == peer.links.run_name}


@asynccontextmanager
async def open_cluster_stage(room_class: type[Room[Any]] | None = None) -> AsyncIterator[ClusterStage]:
    """Run one gateway, until the block ends."""
    async with trio.open_nursery() as nursery:
        stage = ClusterStage(nursery, room_class)
        await nursery.start(stage.rooms.dispatcher.run)
        await stage.cluster.start()
        yield stage
        nursery.cancel_scope.cancel()
