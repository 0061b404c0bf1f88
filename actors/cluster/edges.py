"""The edge's side of the cluster: rooms of other gateways with connections to this one (SPEC 5.5, DESIGN 8).

A room has one of three places: it is here (`Registry`), it is at another gateway (`EdgeRoom`), or nobody here knows. A
room that is made here is claimed first; when another gateway holds it, an edge room takes its connections and its mail.
An edge room whose owner is silent, has released the room or is not its owner, tries to claim it, until it knows more.

Overload: one claim of a room at a time; those that are to be tried again wait for `RETRY_S`. Store unavailable: an edge
room waits for its owner, unless this gateway is cut off from the store itself; then the room goes on here, provisional.
Crash: with the gateway. Shutdown: connections are closed by the gateway.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final
from weakref import WeakValueDictionary

from omnisonic.actors.cluster.edge_context import EdgeContext
from omnisonic.actors.cluster.edge_room import EdgeRoom
from omnisonic.actors.cluster.entry_window import EntryWindow
from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.actors.cluster.moving import move_members, transfer
from omnisonic.actors.cluster.shared_view import SharedView
from omnisonic.actors.cluster.tail import Tail
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.port import RoomPort
from omnisonic.actors.rooms.registry import Registry
from omnisonic.models import RoomId
from omnisonic.wire.peer_messages import Moving, NotOwner, OwnerClose, OwnerPush, OwnerTurn

RETRY_S: Final = 0.1
"""After an answer that this room is not there, it is claimed again after this time."""
QUIET_S: Final = 0.8
"""An owner that is not reported silent for this long is heard again."""

_log = logging.getLogger(__name__)


class EdgeRooms:
    """The edge rooms of one gateway. `now_s` is monotonic seconds, `now_ms` the server's clock."""

    def __init__(
        self, registry: Registry, links: PeerLinks, now_s: Callable[[], float], now_ms: Callable[[], int]
    ) -> None:
        self.is_draining = False
        self.rejoins = 0
        """How many members have entered their room again, because packets were lost, or it has another owner."""
        self._registry = registry
        self._links = links
        self._now_s = now_s
        self._context = EdgeContext(links.send, self._window_of, now_ms)
        self._windows = WeakValueDictionary[str, EntryWindow]()
        """How members enter at each owner; each is held by the edge rooms of that owner."""
        self._rooms: dict[RoomId, EdgeRoom] = {}
        self._claiming: set[RoomId] = set()
        """Edge rooms for which a claim is under way."""
        self._try_at_s: dict[RoomId, float] = {}
        self._silent_at_s: dict[RoomId, float] = {}
        self._cut_off: set[RoomId] = set()
        """Edge rooms whose members are not in the room at the owner any more."""

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[EdgeRoom]:
        return iter(list(self._rooms.values()))

    def get(self, room_id: RoomId) -> EdgeRoom | None:
        """The edge room of this name, if there is one."""
        return self._rooms.get(room_id)

    def find_place(self, room_id: RoomId) -> RoomPort:
        """Where a connection enters this room."""
        return self._rooms.get(room_id) or self._registry.get_or_make(room_id)

    def may_own(self, room_id: RoomId) -> bool:
        """Whether the room is here, or may be made and claimed here."""
        if self.is_draining:
            return False
        return room_id not in self._rooms or (room_id in self._claiming and self._registry.get(room_id) is not None)

    def tail_of(self, room_id: RoomId) -> Tail | None:
        """What members here have heard of this room at its owner."""
        edge = self._rooms.get(room_id)
        return None if edge is None else edge.tail

    def view_of(self, room_id: RoomId) -> SharedView | None:
        """What members here see of what this room shares."""
        edge = self._rooms.get(room_id)
        return None if edge is None else edge.view

    # The outcome of a claim

    def settle(self, actor: RoomActor, owner: str) -> None:
        """Another gateway holds the room that was made here, or that was ours: its members go on there."""
        room_id = actor.room_id
        edge = self._rooms.get(room_id)
        if edge is None:
            edge = self._rooms[room_id] = EdgeRoom(room_id, owner, self._context)
            self._links.watch(owner)
        elif edge.owner != owner or room_id in self._cut_off:
            self._links.watch(owner)
            self._links.unwatch(edge.owner)
            self._silent_at_s.pop(room_id, None)
            edge.is_paused = False
            self._join_again(edge, owner)
        self._claiming.discard(room_id)
        self._cut_off.discard(room_id)
        self._registry.withdraw(actor)
        move_members(actor, edge)
        if edge.is_paused and self._now_s() - self._silent_at_s.get(room_id, -QUIET_S) >= QUIET_S:
            edge.resume()

    def take_over(self, actor: RoomActor) -> None:
        """The room is here now: the members of its edge room enter."""
        edge = self._rooms.get(actor.room_id)
        if edge is not None:
            edge.say_goodbye()
            self.rejoins += len(edge.connections)
            self._forget(edge)
            edge.move(actor)

    def keep_waiting(self, actor: RoomActor) -> None:
        """Nobody could say who holds the room: its edge room waits on, and `actor` is dropped."""
        edge = self._rooms[actor.room_id]
        self._claiming.discard(actor.room_id)
        self._try_at_s[actor.room_id] = self._now_s() + RETRY_S
        self._registry.withdraw(actor)
        transfer(actor.mailbox, edge)

    # Called for messages of owners

    def take(self, peer: str, message: OwnerTurn | OwnerPush | OwnerClose | NotOwner | Moving) -> None:
        """Do what the owner of a room says. What another gateway says is ignored."""
        edge = self._rooms.get(message.room)
        if edge is None or edge.owner != peer:
            return
        match message:
            case OwnerTurn():
                edge.take_turn(message, self._now_s())
                if edge.is_paused and message.room not in self._claiming and message.room not in self._cut_off:
                    edge.resume()
            case OwnerPush():
                edge.push(message)
            case OwnerClose():
                edge.close(message)
            case NotOwner():
                self._cut_off.add(message.room)
                edge.is_paused = True
                self._try_at_s[message.room] = self._now_s() + RETRY_S
            case Moving():
                edge.untaken.confirm(message.taken, is_last=True)
                self._cut_off.add(message.room)
                self._claim(edge)

    def on_reset(self, peer: str) -> None:
        """What was under way to this owner, or from it, may be lost: all enter again."""
        self._window_of(peer).narrow(self._now_s())
        for edge in self:
            if edge.owner == peer and edge.room_id not in self._cut_off:
                edge.is_paused = True
                self._join_again(edge, peer)

    def on_silent(self, peer: str) -> None:
        """An owner was not heard for a while: claim its rooms, in case it is dead."""
        for edge in self:
            if edge.owner == peer:
                self._silent_at_s[edge.room_id] = self._now_s()
                self._claim(edge)

    def on_tick(self) -> None:
        """Try again what is to be tried again, and forget rooms without members. Called several times a second."""
        now_s = self._now_s()
        for room_id, at_s in list(self._try_at_s.items()):
            if at_s <= now_s:
                del self._try_at_s[room_id]
                if (edge := self._rooms.get(room_id)) is not None:
                    self._claim(edge)
        for window in list(self._windows.values()):
            window.tick(now_s)
        for edge in self:
            room_id = edge.room_id
            if room_id in self._claiming:
                continue
            if not len(edge):
                self._forget(edge)
            elif self._is_heard_again(edge, now_s):
                edge.resume()

    def _join_again(self, edge: EdgeRoom, owner: str) -> None:
        self.rejoins += len(edge.connections)
        edge.join_again(owner)

    def _window_of(self, owner: str) -> EntryWindow:
        return self._windows.setdefault(owner, EntryWindow())

    def _is_heard_again(self, edge: EdgeRoom, now_s: float) -> bool:
        room_id = edge.room_id
        if not edge.is_paused or room_id in self._cut_off or room_id in self._try_at_s:
            return False
        if now_s - self._silent_at_s.get(room_id, now_s) < QUIET_S:
            return False
        del self._silent_at_s[room_id]
        return True

    def _claim(self, edge: EdgeRoom) -> None:
        """Find out who owns the room; it may be us."""
        edge.is_paused = True
        if edge.room_id in self._claiming or self.is_draining:
            return
        self._claiming.add(edge.room_id)
        self._registry.get_or_make(edge.room_id)

    def _forget(self, edge: EdgeRoom) -> None:
        room_id = edge.room_id
        del self._rooms[room_id]
        self._links.unwatch(edge.owner)
        self._claiming.discard(room_id)
        self._cut_off.discard(room_id)
        self._try_at_s.pop(room_id, None)
        self._silent_at_s.pop(room_id, None)
