"""The registry: the rooms there are, made when somebody enters, forgotten when they have been empty (DESIGN 3).

It is the rooms' supervisor too: one for one, each with a restart window of its own. A room that crashes too often is
closed, alone. Making a room is idempotent. Owned by the gateway; its methods run on the trio thread and do not wait.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import trio

from omnisonic.actors.cell import CellEvents, RoomCell, new_epoch
from omnisonic.actors.dead_letters import DeadLetter, DeadLetters
from omnisonic.actors.mailbox import Expire
from omnisonic.actors.room import Heads, Room, RoomContext
from omnisonic.actors.supervisor import Backoff
from omnisonic.models import RoomId
from omnisonic.wire.closing import CloseCode, Closing

EMPTY_S: Final = 60.0
"""A room is forgotten when it has been empty this long (SPEC 5.4)."""

_log = logging.getLogger(__name__)


class RosterWatcher(Protocol):
    """Is told of rosters that changed, to mirror them, and of rooms that are new, to fill in their leases."""

    def roster_changed(self, cell: RoomCell) -> None: ...

    def room_made(self, cell: RoomCell) -> None: ...


class Scheduler(Protocol):
    """Gives rooms their turns."""

    def ready(self, actor: RoomCell) -> None: ...


class RoomCounters(Protocol):
    """Counts what rooms do."""

    def handled(self, messages: int, deliveries: int, size: int) -> None: ...

    def restarted(self) -> None: ...


class Registry(CellEvents):
    """Every room of one gateway."""

    def __init__(
        self,
        make_context: Callable[[RoomId, str, Heads], RoomContext],
        room_class: Callable[[RoomContext], Room],
        scheduler: Scheduler,
        counters: RoomCounters,
        nursery: trio.Nursery,
    ) -> None:
        self.dead_letters = DeadLetters()
        self.watchers: list[RosterWatcher] = []
        self._cells: dict[RoomId, RoomCell] = {}
        self._heads = Heads()
        self._make_context = make_context
        self._room_class = room_class
        self._scheduler = scheduler
        self._counters = counters
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
            cell = self._cells[room_id] = RoomCell(context, self._room_class, self)
            for watcher in self.watchers:
                watcher.room_made(cell)
        return cell

    def sweep(self, now_s: float) -> None:
        """Forget rooms that have been empty, and let rooms look at leases that ran out."""
        for cell in self:
            if cell.next_expiry_s is not None and cell.next_expiry_s <= now_s:
                cell.tell(Expire())
            elif cell.empty_since_s is not None and now_s - cell.empty_since_s >= EMPTY_S and not cell.mailbox:
                del self._cells[cell.room_id]

    def has_mail(self, cell: RoomCell) -> None:
        self._scheduler.ready(cell)

    def roster_changed(self, cell: RoomCell) -> None:
        for watcher in self.watchers:
            watcher.roster_changed(cell)

    def handled(self, cell: RoomCell, messages: int, deliveries: int, size: int) -> None:
        self._counters.handled(messages, deliveries, size)

    def crashed(self, cell: RoomCell, crash: Exception, letter: DeadLetter) -> None:
        self.dead_letters.add(letter)
        self._counters.restarted()
        allowed = cell.window.allows(trio.current_time())
        event = "room.crashed" if allowed else "room.closed"
        _log.error(
            event, extra={"room": cell.room_id, "incarnation": cell.incarnation, "letter": letter.type}, exc_info=crash
        )
        if allowed:
            self._nursery.start_soon(self._restart, cell)
            return
        if self._cells.get(cell.room_id) is cell:
            del self._cells[cell.room_id]
        cell.close(Closing(CloseCode.INTERNAL_ERROR, "this room failed too often"))
        self.roster_changed(cell)

    async def _restart(self, cell: RoomCell) -> None:
        await trio.sleep(self._backoff.delay_s(len(cell.window)))
        cell.restart()
