"""The registry: all rooms of a gateway, created on the first join, forgotten when empty for a while (DESIGN 3).

It is also the rooms' supervisor: one-for-one, each room with its own restart window. A room that crashes too often is
closed, and no other. Creating a room is idempotent. Owned by the gateway; its methods run on the trio thread and do not
wait.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

import trio

from omnisonic.actors.rooms.actor import RoomActor, new_epoch
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Expire
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.runtime.dead_letters import DeadLetter, DeadLetters
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.actors.runtime.supervisor import Backoff, EndedRun
from omnisonic.actors.runtime.telemetry import Counters, TurnTracer
from omnisonic.models import RoomId
from omnisonic.wire.closing import CloseCode, Closing

EMPTY_S: Final = 60.0
"""A room is forgotten when it has been empty this long (SPEC 5.4)."""

HISTORIES_BYTES: Final = 268_435_456
"""What all rooms together remember at most."""

CLOSED: Final = 32
"""How many rooms that crashed too often are remembered."""

_log = logging.getLogger(__name__)


class RosterWatcher(Protocol):
    """Is called when a roster has changed, to mirror it, and when a room is new, to read its leases."""

    def on_roster_change(self, actor: RoomActor) -> None: ...

    def on_room_made(self, actor: RoomActor) -> None: ...

    def on_room_moved(self, actor: RoomActor) -> None:
        """Is called when a room goes on in another gateway, after it was forgotten here."""
        ...


class MemoryWatcher(Protocol):
    """Is called when a room is new, when what it remembers has changed, and when it is forgotten.

    After `on_memory_change` it is not called again for the same room until it sets the actor's `is_unsaved` to False.
    `announces`: it calls `Registry.announce` when it is known whether a new room lives here. `is_full`: empty rooms are
    not to be forgotten now, because too many that were still have to be written.
    """

    @property
    def announces(self) -> bool: ...

    @property
    def is_full(self) -> bool: ...

    def on_room_made(self, actor: RoomActor) -> None: ...

    def on_memory_change(self, actor: RoomActor) -> None: ...

    def on_room_forgotten(self, actor: RoomActor) -> None: ...

    def on_room_deleted(self, room_id: RoomId) -> None:
        """Is called when the session of a room was deleted, whether the room is here or not."""
        ...


@dataclass(slots=True)
class Totals:
    """What rooms have done, including rooms that are forgotten."""

    messages: int = 0
    deliveries: int = 0
    fanned_out_bytes: int = 0

    def add(self, actor: RoomActor) -> None:
        self.messages += actor.messages
        self.deliveries += actor.deliveries
        self.fanned_out_bytes += actor.fanned_out_bytes


class Registry:
    """Every room of one gateway. `past` holds the totals of rooms that are forgotten."""

    def __init__(
        self,
        make_context: Callable[[RoomId, str, RelayPrefixes], RoomContext],
        room_class: Callable[[RoomContext], RoomState],
        dispatcher: Dispatcher,
        counters: Counters,
        tracer: TurnTracer,
        nursery: trio.Nursery,
    ) -> None:
        self.dead_letters = DeadLetters()
        self.closed: dict[RoomId, EndedRun] = {}
        self.watchers: list[RosterWatcher] = []
        self.memory_watcher: MemoryWatcher | None = None
        self._actors: dict[RoomId, RoomActor] = {}
        self._relay_prefixes = RelayPrefixes()
        self._make_context = make_context
        self._room_class = room_class
        self.dispatcher = dispatcher
        self.schedule = dispatcher.schedule
        self._counters = counters
        self._tracer = tracer
        self.past = Totals()
        self._nursery = nursery
        self._backoff = Backoff()

    def __len__(self) -> int:
        return len(self._actors)

    def __iter__(self) -> Iterator[RoomActor]:
        return iter(list(self._actors.values()))

    def get(self, room_id: RoomId) -> RoomActor | None:
        """The room, if there is one."""
        return self._actors.get(room_id)

    def get_or_make(self, room_id: RoomId) -> RoomActor:
        """The room of this name; it is made when there is none."""
        actor = self._actors.get(room_id)
        if actor is None:
            context = self._make_context(room_id, new_epoch(), self._relay_prefixes)
            actor = self._actors[room_id] = RoomActor(context, self._room_class, self, self._tracer)
            if self.memory_watcher is None or not self.memory_watcher.announces:
                self.announce(actor)
            if self.memory_watcher is not None:
                self.memory_watcher.on_room_made(actor)
        return actor

    def announce(self, actor: RoomActor) -> None:
        """Tell the watchers that this room is new."""
        for watcher in self.watchers:
            watcher.on_room_made(actor)

    def withdraw(self, actor: RoomActor) -> None:
        """Forget a room that goes on in another gateway; its members stay connected. Its mailbox is left as it is."""
        if self._actors.get(actor.room_id) is actor:
            del self._actors[actor.room_id]
            self.past.add(actor)
            actor.withdraw()
            for watcher in self.watchers:
                watcher.on_room_moved(actor)

    def sweep(self, now_s: float, empty_s: float = EMPTY_S) -> None:
        """Forget rooms that have been empty for `empty_s`, what is too old, and tell rooms to end what ran out."""
        total_bytes = 0
        for actor in self:
            history = actor.memory.history
            if history.size:
                history.expire(now_s)
                total_bytes += history.size
            if actor.next_expiry_s is not None and actor.next_expiry_s <= now_s:
                actor.tell(Expire())
            elif self._is_over(actor, now_s - empty_s):
                actor.memory.is_left = True
                self._forget(actor)
        if total_bytes > HISTORIES_BYTES:
            self._shrink_histories(total_bytes)

    def _is_over(self, actor: RoomActor, until_s: float) -> bool:
        """Whether to forget this room: it has been empty since `until_s` or before, and can be written."""
        since_s, watcher = actor.empty_since_s, self.memory_watcher
        return since_s is not None and since_s <= until_s and not actor.mailbox and not (watcher and watcher.is_full)

    def _shrink_histories(self, total_bytes: int) -> None:
        """Forget the histories of rooms that have said nothing for the longest time, until a quarter is free again."""
        for actor in sorted(self, key=lambda actor: actor.memory.history.last_s):
            if total_bytes <= HISTORIES_BYTES * 3 // 4:
                return
            total_bytes -= actor.memory.history.size
            actor.memory.history.forget_to(actor.offset)

    def totals(self) -> Totals:
        """What all rooms have done so far, including rooms that are forgotten."""
        totals = replace(self.past)
        for actor in self:
            totals.add(actor)
        return totals

    def drop(self, actor: RoomActor, closing: Closing) -> None:
        """Forget a room that cannot begin, or has ended, and close everybody who waits for it."""
        self._forget(actor)
        actor.close(closing)
        self.on_roster_change(actor)

    def _forget(self, actor: RoomActor) -> None:
        if self._actors.get(actor.room_id) is actor:
            del self._actors[actor.room_id]
            self.past.add(actor)
            if self.memory_watcher is not None:
                self.memory_watcher.on_room_forgotten(actor)

    def on_roster_change(self, actor: RoomActor) -> None:
        for watcher in self.watchers:
            watcher.on_roster_change(actor)

    def on_memory_change(self, actor: RoomActor) -> None:
        if self.memory_watcher is not None:
            self.memory_watcher.on_memory_change(actor)

    def on_crash(self, actor: RoomActor, crash: Exception, letter: DeadLetter) -> None:
        self.dead_letters.add(letter)
        allowed = actor.window.record_crash(trio.current_time())
        event = "room.crashed" if allowed else "room.closed"
        fields = {"room": actor.room_id, "incarnation": actor.incarnation, "letter": letter.type}
        with self._tracer.trace_crash(actor.room_id, crash):
            _log.error(event, extra=fields, exc_info=crash)
        if allowed:
            self._counters.room_restarts += 1
            self._nursery.start_soon(self._restart, actor)
            return
        self._forget(actor)
        self._remember_closed(actor, letter)
        actor.close(Closing(CloseCode.INTERNAL_ERROR, "this room failed too often"))
        self.on_roster_change(actor)

    def _remember_closed(self, actor: RoomActor, letter: DeadLetter) -> None:
        """Remember a room that crashed too often; the oldest are forgotten."""
        self.closed.pop(actor.room_id, None)
        self.closed[actor.room_id] = EndedRun(letter.at_ms, letter.reason)
        while len(self.closed) > CLOSED:
            del self.closed[next(iter(self.closed))]

    @trio.lowlevel.enable_ki_protection
    async def _restart(self, actor: RoomActor) -> None:
        await trio.sleep(self._backoff.delay_s(len(actor.window)))
        actor.restart()
