"""The cluster: every room has one owner among several gateways (SPEC 5.5, DESIGN 8).

    lease  -> whether this gateway may own rooms
    claims -> which rooms it owns, and what becomes of the others        (`ClaimedRooms`)
    owning -> members of its rooms who are connected elsewhere           (`OwnedRooms`)
    edges  -> rooms that live elsewhere, with connections to this one    (`EdgeRooms`)
    links  -> what gateways say to each other                            (`PeerLinks`)

This is what joins them. A room that is local to one gateway passes through none of it but once, when it is made.

Overload and crash: see each part. Lease stale: all rooms of this gateway are provisional at once, and none has remote
members. Declared dead: it takes another name, and claims its rooms again; those that have another owner go on there.
Shutdown: `hand_over`, then `end`.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, assert_never

import trio

from omnisonic import __version__
from omnisonic.actors.cluster.claims import ClaimedRooms
from omnisonic.actors.cluster.edges import EdgeRooms
from omnisonic.actors.cluster.lease import Lease
from omnisonic.actors.cluster.link import BEAT_S, QUEUE_BYTES
from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.actors.cluster.moving import move_members
from omnisonic.actors.cluster.owning import OwnedRooms
from omnisonic.actors.cluster.run_names import run_names
from omnisonic.actors.cluster.shared_view import SharedView
from omnisonic.actors.cluster.tail import Tail
from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.port import RoomPort
from omnisonic.actors.rooms.registry import Registry
from omnisonic.models import RoomId
from omnisonic.stores.bus import Bus
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.wire.gateway_info import GatewayInfo, encode_info
from omnisonic.wire.peer_messages import (
    Answer,
    Ask,
    Beat,
    EdgeJoin,
    EdgeLeave,
    EdgeRole,
    EdgeSaid,
    Moving,
    NotOwner,
    OwnerClose,
    OwnerPush,
    OwnerTurn,
    Part,
    PeerMessage,
)
from omnisonic.wire.recovery import Position

TICK_S: Final = 0.1
BEGIN_S: Final = 4.0
"""At the start, for a lease, and for a store that does not know yet who holds which room."""
HAND_OVER_S: Final = 3.0
"""At the end, for the mail and the saving of rooms with members elsewhere."""
HAND_OVERS: Final = 64
"""So many rooms are handed over at a time: one that is slow to save keeps no other one."""
SETTLE_S: Final = 0.01
SILENCES: Final = 8
"""After this many reports in a row that a peer is silent, one every `BEAT_S`, its members count as gone."""
LINKS_S: Final = 1.0
"""At the end, for what still waits for peers."""


class ClusterGateway(Protocol):
    """The parts of a gateway that the cluster needs."""

    @property
    def registry(self) -> Registry: ...

    async def start_child(self, name: str, run: Callable[[trio.TaskStatus[None]], Awaitable[None]]) -> None: ...


class PeerInspection(Protocol):
    """What answers operators' questions about rooms of other gateways, and those of others about rooms here."""

    def on_ask(self, peer: str, ask: Ask) -> None: ...

    def on_answer(self, peer: str, answer: Answer) -> None: ...

    def on_reset(self, peer: str) -> None:
        """What was under way to this peer, or from it, may be lost."""
        ...


class Cluster:
    """One gateway in its cluster. `name` is the gateway's; each run adds something of its own.

    `history_bytes` is what a room remembers at most: members who enter get it over the links.
    `save_room` saves what a program's room has of its own, before another gateway goes on with it.
    """

    def __init__(
        self,
        gateway: ClusterGateway,
        store: RoomMemoryStore,
        bus: Bus,
        *,
        name: str,
        now_ms: Callable[[], int],
        grace_s: float,
        history_bytes: int,
    ) -> None:
        self._gateway = gateway
        self._registry = registry = gateway.registry
        self._silences: dict[str, tuple[int, float]] = {}
        """How often in a row each peer was reported silent, and when it was last."""
        self.save_room: Callable[[RoomId], Awaitable[None]] | None = None
        self.inspection: PeerInspection | None = None
        self.store = store

        def tell() -> bytes:
            return encode_info(GatewayInfo(name, __version__, now_ms()))

        self.lease = Lease(store, self, run_names(name), tell)
        self.links = PeerLinks(bus, self.lease.run, self, queue_bytes=QUEUE_BYTES + history_bytes)
        self.edges = EdgeRooms(registry, self.links, trio.current_time, now_ms)
        self.owned = OwnedRooms(registry, self.edges, self.links)
        self.claims = ClaimedRooms(
            store,
            owner=self.lease.run,
            now_ms=now_ms,
            grace_s=grace_s,
            events=self,
            announce=registry.announce,
            on_released=self.owned.end_move,
        )
        registry.memory_watcher = self.claims
        registry.dispatcher.after_pause = self.lease.check

    async def start(self) -> None:
        """Begin the lease; returns when rooms may be claimed, or after `BEGIN_S`."""
        await self._gateway.start_child("lease", self.lease.run_renewals)
        await self._gateway.start_child("links", self.links.run)
        with trio.move_on_after(BEGIN_S):
            while not self.lease.is_valid or self.lease.settled_in_s:  # noqa: ASYNC110 - it has no event
                await trio.sleep(SETTLE_S)
        await self._gateway.start_child("memory", self.claims.run)
        await self._gateway.start_child("claims", self.claims.run_claims)
        await self._gateway.start_child("cluster", self._run_timers)

    def find_place(self, room_id: RoomId) -> RoomPort:
        """Where a connection enters this room."""
        return self.edges.find_place(room_id)

    async def hand_over(self) -> None:
        """Release the rooms with members elsewhere, and then all others. Nobody is here any more.

        A room that is not ready after `HAND_OVER_S` is stopped as it is: when it is released, others may own it.
        """
        self.edges.is_draining = True
        limit = trio.CapacityLimiter(HAND_OVERS)
        with trio.move_on_after(HAND_OVER_S):
            async with trio.open_nursery() as nursery:
                for actor in self._rooms_with_remotes():
                    nursery.start_soon(self._hand_over, actor, limit)
        for actor in self._rooms_with_remotes():
            self.owned.reject(actor)
            self._release(actor)
        try:
            await self.claims.release_all()
        finally:
            self.owned.end_moves()
        await self.links.drain(LINKS_S)

    async def end(self) -> None:
        """End the lease: others may claim what this gateway still holds."""
        await self.lease.end()

    def _rooms_with_remotes(self) -> list[RoomActor]:
        return [actor for actor in self._registry if actor.remotes is not None and self.claims.owns(actor.room_id)]

    async def _hand_over(self, actor: RoomActor, limit: trio.CapacityLimiter) -> None:
        async with limit:
            while actor.mailbox:  # noqa: ASYNC110 - a room has no event for it
                await trio.sleep(SETTLE_S)
            self.owned.begin_move(actor)
            actor.hold()
            try:
                if self.save_room is not None:
                    await self.save_room(actor.room_id)
            finally:
                self._release(actor)

    def _release(self, actor: RoomActor) -> None:
        """Handle nothing of this room any more, and release it."""
        self._registry.withdraw(actor)
        self.claims.release(actor)

    async def _run_timers(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        while True:
            await trio.sleep(TICK_S)
            self.edges.on_tick()
            self.owned.sweep()

    # Called by the lease

    def on_stale(self) -> None:
        self.claims.on_stale()

    def on_renewed(self) -> None:
        self._take_run()
        self.claims.on_valid()

    def on_dead(self) -> None:
        self.claims.on_stale()
        self._take_run()

    def _take_run(self) -> None:
        run = self.lease.run
        if self.claims.owner != run:
            self.claims.owner = run
            self.links.change_run(run)

    # Called by the claims

    @property
    def is_valid(self) -> bool:
        return self.lease.is_valid

    def tail_of(self, room_id: RoomId) -> Tail | None:
        return self.edges.tail_of(room_id)

    def view_of(self, room_id: RoomId) -> SharedView | None:
        return self.edges.view_of(room_id)

    def begins_provisional(self, actor: RoomActor) -> bool:
        if not self.lease.is_valid or self.edges.get(actor.room_id) is None:
            return True
        self.owned.reject(actor)  # who has entered here meanwhile, from elsewhere
        self.edges.keep_waiting(actor)
        return False

    def on_here(self, actor: RoomActor) -> None:
        self.edges.take_over(actor)

    def on_held(self, actor: RoomActor, owner: str) -> None:
        self.owned.reject(actor)
        self.edges.settle(actor, owner)

    def on_replaced(self, actor: RoomActor) -> None:
        self.owned.reject(actor)
        self._registry.withdraw(actor)
        move_members(actor, self._registry.get_or_make(actor.room_id))

    def on_stale_room(self, actor: RoomActor) -> None:
        position = Position(actor.epoch, actor.offset)
        for entry in actor.entries:
            if isinstance(entry.connection, Connection):
                entry.connection.since = position
        self.owned.reject(actor)

    # Called by the links

    def on_message(self, peer: str, message: PeerMessage) -> None:
        match message:
            case OwnerTurn() | OwnerPush() | OwnerClose() | NotOwner() | Moving():
                self.edges.take(peer, message)
            case EdgeSaid():
                self.owned.take(peer, message)
            case EdgeJoin():
                self.owned.join(peer, message)
            case EdgeLeave():
                self.owned.leave(peer, message)
            case EdgeRole():
                self.owned.change_role(peer, message)
            case Ask():
                if self.inspection is not None:
                    self.inspection.on_ask(peer, message)
            case Answer():
                if self.inspection is not None:
                    self.inspection.on_answer(peer, message)
            case Beat() | Part():
                pass
            case _ as never:
                assert_never(never)

    def on_reset(self, peer: str) -> None:
        self.owned.drop_peer(peer)
        self.edges.on_reset(peer)
        if self.inspection is not None:
            self.inspection.on_reset(peer)

    def on_silent(self, peer: str) -> None:
        self.edges.on_silent(peer)
        now_s = trio.current_time()
        in_a_row = {each: told for each, told in self._silences.items() if now_s - told[1] <= 2 * BEAT_S}
        count = in_a_row.pop(peer, (0, now_s))[0] + 1
        if count < SILENCES:
            in_a_row[peer] = count, now_s
        else:
            self.owned.give_up(peer)
        self._silences = in_a_row  # the others were heard since, or are not watched any more
