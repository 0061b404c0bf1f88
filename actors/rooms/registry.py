"""The registry: the rooms there are, made when somebody enters, forgotten when they have been empty (DESIGN 3).

It is the rooms' supervisor too: one for one, each with a restart window of its own. A room that crashes too often is
closed, alone. Making a room is idempotent. Owned by the gateway; its methods run on the trio thread and do not wait.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

import trio

from omnisonic.actors.rooms.actor import RoomCell, new_epoch
from omnisonic.actors.rooms.mailbox import Expire
from omnisonic.actors.rooms.relay_prefixes import Heads
from omnisonic.actors.rooms.state import Room, RoomContext
from omnisonic.actors.runtime.counters import Counters
from omnisonic.actors.runtime.dead_letters import DeadLetter, DeadLetters
from omnisonic.actors.runtime.supervisor import Backoff, EndedLife
from omnisonic.actors.runtime.telemetry import Sampler
from omnisonic.models import RoomId
from omnisonic.wire.closing import CloseCode, Closing

EMPTY_S: Final = 60.0
"""A room is forgotten when it has been empty this long (SPEC 5.4)."""

CLOSED: Final = 32
"""Rooms that failed too often and were closed: so many are remembered."""

_log = logging.getLogger(__name__)


class RosterWatcher(Protocol):
    """Is told of rosters that changed, to mirror them, and of rooms that are new, to fill in their leases."""

    def roster_changed(self, cell: RoomCell) -> None: ...

    def room_made(self, cell: RoomCell) -> None: ...


class Scheduler(Protocol):
    """Gives rooms their turns."""

    def ready(self, actor: RoomCell) -> None: ...


@dataclass(slots=True)
class Totals:
    """What rooms have done, those that are forgotten included."""

    messages: int = 0
    deliveries: int = 0
    fanned_out_bytes: int = 0

    def add(self, cell: RoomCell) -> None:
        self.messages += cell.messages
        self.deliveries += cell.deliveries
        self.fanned_out_bytes += cell.fanned_out_bytes


class Registry:
    """Every room of one gateway. `past` is what those have done that are forgotten."""

    def __init__(
        self,
        make_context: Callable[[RoomId, str, Heads], RoomContext],
        room_class: Callable[[RoomContext], Room],
        scheduler: Scheduler,
        counters: Counters,
        sampler: Sampler,
        nursery: trio.Nursery,
    ) -> None:
        self.dead_letters = DeadLetters()
        self.closed: dict[RoomId, EndedLife] = {}
        self.watchers: list[RosterWatcher] = []
        self._cells: dict[RoomId, RoomCell] = {}
        self._heads = Heads()
        self._make_context = make_context
        self._room_class = room_class
        self.has_mail = scheduler.ready
        self._counters = counters
        self._sampler = sampler
        self.past = Totals()
        self._nursery = nursery
        self._backoff = Backoff()

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[RoomCell]:
        return iter(list(self._cells.values()))

    def get(self, room_id: RoomId) -> RoomCell | None:
        """The room, if there is one."""
        return self._cells.get(room_id)

    def room(self, room_id: RoomId) -> RoomCell:
        """The room, made now if there is none."""
        cell = self._cells.get(room_id)
        if cell is None:
            context = self._make_context(room_id, new_epoch(), self._heads)
            cell = self._cells[room_id] = RoomCell(context, self._room_class, self, self._sampler)
            for watcher in self.watchers:
                watcher.room_made(cell)
        return cell

    def sweep(self, now_s: float, empty_s: float = EMPTY_S) -> None:
        """Forget rooms that have been empty for `empty_s`, and let rooms look at leases that ran out."""
        for cell in self:
            if cell.next_expiry_s is not None and cell.next_expiry_s <= now_s:
                cell.tell(Expire())
            elif cell.empty_since_s is not None and now_s - cell.empty_since_s >= empty_s and not cell.mailbox:
                self._forget(cell)

    def totals(self) -> Totals:
        """What all rooms have done so far."""
        totals = replace(self.past)
        for cell in self:
            totals.add(cell)
        return totals

    def _forget(self, cell: RoomCell) -> None:
        if self._cells.get(cell.room_id) is cell:
            del self._cells[cell.room_id]
            self.past.add(cell)

    def roster_changed(self, cell: RoomCell) -> None:
        for watcher in self.watchers:
            watcher.roster_changed(cell)

    def crashed(self, cell: RoomCell, crash: Exception, letter: DeadLetter) -> None:
        self.dead_letters.add(letter)
        allowed = cell.window.allows(trio.current_time())
        event = "room.crashed" if allowed else "room.closed"
        fields = {"room": cell.room_id, "incarnation": cell.incarnation, "letter": letter.type}
        with self._sampler.crash(cell.room_id, crash):
            _log.error(event, extra=fields, exc_info=crash)
        if allowed:
            self._counters.room_restarts += 1
            self._nursery.start_soon(self._restart, cell)
            return
        self._forget(cell)
        self._bury(cell, letter)
        cell.close(Closing(CloseCode.INTERNAL_ERROR, "this room failed too often"))
        self.roster_changed(cell)

    def _bury(self, cell: RoomCell, letter: DeadLetter) -> None:
        """Remember a room that could not be saved; the oldest are forgotten."""
        self.closed.pop(cell.room_id, None)
        self.closed[cell.room_id] = EndedLife(letter.at_ms, letter.reason)
        while len(self.closed) > CLOSED:
            del self.closed[next(iter(self.closed))]

    async def _restart(self, cell: RoomCell) -> None:
        await trio.sleep(self._backoff.delay_s(len(cell.window)))
        cell.restart()
