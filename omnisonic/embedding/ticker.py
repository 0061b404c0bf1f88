"""The ticker: tells rooms that their time has come. One task for all rooms of a gateway, and a heap of who is due.

A room ticks while somebody is in it. Overload: a tick that the room has not come to yet is not sent twice, so a room
that is late ticks less often and never has a heap of ticks to work off. Crash: restarted by its supervisor; what is due
is kept. Shutdown: cancelled.
"""

import heapq
from dataclasses import dataclass, field
from typing import Final

import trio

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Tick
from omnisonic.actors.rooms.registry import Registry
from omnisonic.embedding.hosting import HostedRoom

SHORTEST_S: Final = 0.001
"""Rooms do not tick more often than this."""


@dataclass(order=True)
class _Clock:
    """When a room is due, and whether it has not come yet to what it was told."""

    due_s: float
    number: int
    actor: RoomActor = field(compare=False)
    is_told: bool = field(default=False, compare=False)

    def begun(self) -> None:
        self.is_told = False


class Ticker:
    """Every room of one gateway that ticks. It is told of rosters as a watcher of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._due: list[_Clock] = []
        self._ticking: set[RoomActor] = set()
        self._wake = trio.Event()
        self._count = 0

    def on_room_made(self, actor: RoomActor) -> None:
        """Nobody is in it yet."""

    def on_roster_change(self, actor: RoomActor) -> None:
        """Begin to tell it the time, if somebody is there and it wants to know."""
        interval_s = _interval_s(actor)
        if actor.entries and interval_s and actor not in self._ticking:
            self._ticking.add(actor)
            self._count += 1
            heapq.heappush(self._due, _Clock(trio.current_time() + interval_s, self._count, actor))
            self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell rooms the time, until cancelled."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            with trio.move_on_at(self._due[0].due_s if self._due else float("inf")):
                await self._wake.wait()
            now_s = trio.current_time()
            while self._due and self._due[0].due_s <= now_s:
                self._tell(heapq.heappop(self._due), now_s)

    def _tell(self, clock: _Clock, now_s: float) -> None:
        actor, interval_s = clock.actor, _interval_s(clock.actor)
        if not actor.entries or not interval_s or self._registry.get(actor.room_id) is not actor:
            self._ticking.discard(actor)
            return
        if not clock.is_told:
            clock.is_told = True
            actor.tell(Tick(clock.begun))
        # From when it was due, so that a beat does not drift; not into the past.
        clock.due_s = max(clock.due_s + interval_s, now_s)
        heapq.heappush(self._due, clock)


def _interval_s(actor: RoomActor) -> float:
    """Seconds between two ticks of this room; 0 for none."""
    room = actor.handoff.left
    tick_s = room.author.tick_s if isinstance(room, HostedRoom) else 0.0
    return max(tick_s, SHORTEST_S) if tick_s > 0 else 0.0
