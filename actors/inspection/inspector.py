"""The inspector: answers an operator's questions about one gateway and performs actions, in the gateway's own loop.

Every method is a short plain call between two tasks; questions about all rooms are asked in slices. It is called from
another thread (`omnisonic.actors.inspection.thread_call`), so a blocked loop is noticed, too.

Overload: a caller waits for an answer before its next question. Crash: raised to the caller. Shutdown: nothing to do.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from omnisonic import __version__
from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.cluster.edge_room import EdgeRoom
from omnisonic.actors.cluster.link_stats import gateway_of
from omnisonic.actors.inspection import reports
from omnisonic.actors.inspection.reports import Moment
from omnisonic.actors.inspection.stats_sampler import StatsSampler
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import ClientMessages, Dismiss, ExternalMessage, Remove
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.tap import Bounds, Sample, Tap
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.supervisor import ChildRecord
from omnisonic.actors.runtime.telemetry import Counters
from omnisonic.errors import InvalidInput
from omnisonic.models import MemberId, RoomId
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import Frame
from omnisonic.wire.inspection_lines import (
    ChildLine,
    ClosedRoom,
    ClusterLine,
    GatewayLine,
    LetterLine,
    RoomDetail,
    RoomLine,
)
from omnisonic.wire.messages import decode

SLICE: Final = 50
"""Rooms in one question: half a millisecond."""
TAPS: Final = 8
TAPS_A_ROOM: Final = 4


@dataclass(frozen=True)
class GatewayParts:
    """The parts of a gateway that reports are made from. `notes` are remarks of its tasks, by task name."""

    registry: Registry
    counters: Counters
    connections: Collection[object]
    children: Mapping[str, ChildRecord]
    notes: Mapping[str, Callable[[], str]]
    stats_sampler: StatsSampler
    now_ms: Callable[[], int]
    name: Callable[[], str]
    inspectors: Callable[[], int]
    cluster: Callable[[], Cluster | None]


class Inspector:
    """The inspector of one gateway. Actions raise `InvalidInput`, with a code of the wire's table."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._began_s = trio.current_time()
        self._taps = 0

    # Looking

    def rooms(self) -> Sequence[RoomActor | EdgeRoom]:
        """All rooms, to be reported in slices: those that are here, and those at other gateways with members here."""
        cluster = self._parts.cluster()
        if cluster is None:
            return list(self._parts.registry)
        edges = cluster.edges  # while an edge room is claimed, there is a room here, too, which is not reported
        return [actor for actor in self._parts.registry if edges.get(actor.room_id) is None] + list(edges)

    def lines(self, rooms: Sequence[RoomActor | EdgeRoom]) -> tuple[RoomLine, ...]:
        """Rooms in rows; at most `SLICE` at once. A room that was forgotten meanwhile is reported as it was."""
        moment, closed = self._moment(), self._parts.registry.closed
        return tuple(
            reports.edge_line(room)
            if isinstance(room, EdgeRoom)
            else reports.room_line(room, moment, closed.get(room.room_id))
            for room in rooms
        )

    def detail(self, room_id: RoomId) -> RoomDetail:
        """One room."""
        return reports.room_detail(self._room(room_id), self._moment(), self._parts.registry.closed.get(room_id))

    def gateway(self) -> GatewayLine:
        """The gateway in a row."""
        parts, totals = self._parts, self._parts.stats_sampler.totals
        return GatewayLine(
            name=parts.name(),
            pid=os.getpid(),
            version=__version__,
            uptime_s=round(trio.current_time() - self._began_s, 1),
            connections=len(parts.connections),
            rooms=len(parts.registry),
            members=totals.members,
            messages=totals.messages,
            messages_per_s=round(totals.messages_per_s, 1),
            deliveries=totals.deliveries,
            deliveries_per_s=round(totals.deliveries_per_s, 1),
            restarts=parts.counters.room_restarts,
            dead_letters=parts.registry.dead_letters.total,
            inspectors=parts.inspectors(),
        )

    def children(self) -> tuple[ChildLine, ...]:
        """The gateway's tasks."""
        parts, now_s = self._parts, trio.current_time()
        notes = {name: note() for name, note in parts.notes.items()}
        return tuple(reports.child_line(record, notes.get(name, ""), now_s) for name, record in parts.children.items())

    def cluster(self) -> tuple[ClusterLine, ...]:
        """The gateway in its cluster; nothing when it is alone."""
        cluster = self._parts.cluster()
        return () if cluster is None else (reports.cluster_line(cluster, self._parts.registry),)

    def closed(self) -> tuple[ClosedRoom, ...]:
        """Rooms that failed too often, lately."""
        since_ms = self._parts.now_ms() - reports.RECENT_MS
        closed = self._parts.registry.closed.items()
        return tuple(
            ClosedRoom(room, reports.to_datetime(life.at_ms), life.reason)
            for room, life in closed
            if life.at_ms > since_ms
        )

    def dead_letters(self, room_id: RoomId | None, *, payload: bool) -> tuple[tuple[LetterLine, ...], int]:
        """The dead letters of a room, or all, and how many there have been in all."""
        letters = self._parts.registry.dead_letters
        return tuple(
            reports.letter_line(number, letter, payload=payload, replayed=letters.is_replayed(number))
            for number, letter in letters.numbered()
            if room_id is None or letter.room_id == room_id
        ), letters.total

    # Doing

    def kick(self, room_id: RoomId, member_id: MemberId) -> None:
        """Close a member's connection (4003), or stop waiting for them."""
        for entry in self._room(room_id).entries:
            if entry.member.member_id == member_id:
                if entry.wait is not None:
                    self._room(room_id).tell(Remove(member_id, Closing(CloseCode.KICKED).word))
                    return
                if entry.connection is None:
                    raise InvalidInput("That member is there by a lease, without a connection.", code="not_connected")
                entry.connection.close(Closing(CloseCode.KICKED))
                return
        raise InvalidInput("There is no such member in that room.", code="unknown_member")

    def close(self, room_id: RoomId) -> None:
        """Close everybody's connection (4004)."""
        self._room(room_id).tell(Dismiss(Closing(CloseCode.ROOM_CLOSED)))

    def restart(self, room_id: RoomId) -> None:
        """Drop the room's state and make a new one from its roster; its members do not notice."""
        actor = self._room(room_id)
        if not actor.is_alive:
            raise InvalidInput("That room has crashed and is being started again already.", code="restarting")
        actor.reset()

    def replay(self, number: int) -> RoomId:
        """Send a dead letter to its room again, once, as its sender, if they are still there. Returns the room."""
        letters = self._parts.registry.dead_letters
        letter = dict(letters.numbered()).get(number)
        if letter is None:
            raise InvalidInput("There is no dead letter of that number any more.", code="unknown_letter")
        if letters.is_replayed(number):
            raise InvalidInput("That letter was sent to its room again before.", code="already_replayed")
        if letter.frame is None:
            raise InvalidInput(f"The letter is a {letter.kind}, and nobody said that.", code="not_replayable")
        self._send_letter(letter, letter.frame)
        letters.mark_replayed(number)
        return letter.room_id

    def _send_letter(self, letter: DeadLetter, frame: Frame) -> None:
        actor = self._room(letter.room_id)
        if letter.kind == ExternalMessage.__name__:
            actor.tell(ExternalMessage(decode(frame[1]), _ignore_reply))
            return
        for entry in actor.entries:
            if entry.member.member_id == letter.sender and entry.connection is not None:
                if not actor.offer(ClientMessages(entry.connection, [frame], len(frame[1]))):
                    raise InvalidInput("That room has more to do than it can; try again later.", code="room_busy")
                return
        raise InvalidInput(f"{letter.sender} is not connected to that room any more.", code="sender_gone")

    def tap(self, room_id: RoomId, bounds: Bounds, show: Callable[[Sample], None], end: Callable[[str], None]) -> Tap:
        """Show messages of a room, within the bounds; `end` gets the reason when it is over."""
        actor = self._room(room_id)
        if self._taps >= TAPS or len(actor.taps or ()) >= TAPS_A_ROOM:
            raise InvalidInput("There are as many taps as there may be; end one.", code="too_many_taps")

        def remove(tap: Tap, reason: str) -> None:
            self._taps -= 1
            actor.taps = [other for other in actor.taps or () if other is not tap] or None
            end(reason)

        tap = Tap(bounds, trio.current_time, show, remove)
        self._taps += 1
        actor.taps = [*(actor.taps or ()), tap]
        return tap

    def _room(self, room_id: RoomId) -> RoomActor:
        cluster = self._parts.cluster()
        edge = None if cluster is None else cluster.edges.get(room_id)
        if edge is not None:
            owner = gateway_of(edge.owner)
            raise InvalidInput(f"That room is at another gateway, {owner}.", code="owned_elsewhere")
        actor = self._parts.registry.get(room_id)
        if actor is None:
            raise InvalidInput("There is no such room.", code="unknown_room")
        return actor

    def _moment(self) -> Moment:
        return Moment(trio.current_time(), self._parts.now_ms())


def _ignore_reply(_reply: Reply) -> None:
    """The first attempt was already answered."""
