"""The ticker: sends `Tick` mail to rooms with a `tick_s`. One task for all rooms of a gateway, with a heap of timers.

A room ticks while somebody is in it. Overload: a room gets its next tick only after it has handled the last one, so a
slow room ticks less often and ticks never pile up. Crash: restarted by its supervisor; the timers are kept. Shutdown:
cancelled.
"""

import heapq
from dataclasses import dataclass, field
from typing import Final

import trio

from omnisonic.actors.hosting.hosted_room import hosted_room
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Tick
from omnisonic.actors.rooms.registry import Registry

SHORTEST_S: Final = 0.001
"""The shortest interval of ticks."""


@dataclass(order=True)
class _TickTimer:
    """When the next tick of a room is due, and whether the last one still waits in its mailbox."""

    due_s: float
    number: int
    actor: RoomActor = field(compare=False)
    is_sent: bool = field(default=False, compare=False)

    def mark_handled(self) -> None:
        """The room has handled its tick."""
        self.is_sent = False


class Ticker:
    """The timers of all rooms of one gateway. It learns of changed rosters as a watcher of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._due: list[_TickTimer] = []
        self._ticking: set[RoomActor] = set()
        self._wake = trio.Event()
        self._count = 0

    def on_room_made(self, actor: RoomActor) -> None:
        """Do nothing: an empty room does not tick."""

    def on_roster_change(self, actor: RoomActor) -> None:
        """Start a timer, if somebody is in the room and it has a `tick_s`."""
        interval_s = _interval_s(actor)
        if actor.entries and interval_s and actor not in self._ticking:
            self._ticking.add(actor)
            self._count += 1
            heapq.heappush(self._due, _TickTimer(trio.current_time() + interval_s, self._count, actor))
            self._wake.set()

    def on_room_moved(self, actor: RoomActor) -> None:
        """Do nothing: the next tick finds out."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Send ticks until cancelled."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            with trio.move_on_at(self._due[0].due_s if self._due else float("inf")):
                await self._wake.wait()
            now_s = trio.current_time()
            while self._due and self._due[0].due_s <= now_s:
                self._send_tick(heapq.heappop(self._due), now_s)

    def _send_tick(self, timer: _TickTimer, now_s: float) -> None:
        actor, interval_s = timer.actor, _interval_s(timer.actor)
        if not actor.entries or not interval_s or self._registry.get(actor.room_id) is not actor:
            self._ticking.discard(actor)
            return
        if not timer.is_sent:
            timer.is_sent = True
            actor.tell(Tick(timer.mark_handled))
        # Counted from when it was due, so that ticks do not drift, but never in the past.
        timer.due_s = max(timer.due_s + interval_s, now_s)
        heapq.heappush(self._due, timer)


def _interval_s(actor: RoomActor) -> float:
    """Seconds between two ticks of this room. 0: it does not tick."""
    room = hosted_room(actor)
    tick_s = 0.0 if room is None else room.user_room.tick_s
    return max(tick_s, SHORTEST_S) if tick_s > 0 else 0.0
