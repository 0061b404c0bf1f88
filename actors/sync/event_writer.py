"""The event writer: queues what happens to rosters for webhooks, in the database (docs/webhooks.md).

Rooms only report that their roster changed. The writer compares it with the roster before, when some webhook is for
these events, and does nothing else in the room's turn. It asks the database every `LOOK_S` what webhooks there are; a
roster as it is when the first webhook is found brings no events. Kept messages are queued with the message itself
(`omnisonic.studio.messages.message_store`).

Overload, or the database unavailable: at most `QUEUE_EVENTS` wait here; what comes then is dropped and counted. Nobody
waits. A call that ended without an answer may have queued its events: they are given again, which queues none twice.
Crash: what waits survives, and the supervisor restarts `run`. Shutdown: `drain` writes what waits.
"""

import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple

import msgspec
import trio

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.seat import Entry
from omnisonic.errors import Unavailable
from omnisonic.models import MemberId, RoomId, UserId
from omnisonic.studio.webhooks import ROSTER_EVENTS, RoomEvent, RoomEvents, RosterEventType, Topic

LOOK_S: Final = 5.0
QUEUE_EVENTS: Final = 10_000
"""Events that may wait: about 5 MB."""
BATCH_EVENTS: Final = 500
"""Most events in one statement."""
COALESCE_S: Final = 0.05
"""After a statement, events gather for this long before the next."""
RETRY_S: Final = 0.5

_log = logging.getLogger(__name__)


class InRoom(msgspec.Struct, frozen=True, rename="camel"):
    """The data of `room.opened` and `room.emptied`."""

    room_id: RoomId


class OfMember(InRoom, frozen=True, rename="camel"):
    """The data of `member.joined` and `member.left`."""

    member_id: MemberId
    display_name: str
    user_id: UserId | None


class _Body(msgspec.Struct, frozen=True):
    type: RosterEventType
    timestamp: str
    data: InRoom


class _Shown(NamedTuple):
    """A member as events show them."""

    display_name: str
    user_id: UserId | None


class EventWriter:
    """Queues the events of one gateway in `store`.

    Owned by the gateway; its methods run on the trio thread. `topics` is what webhooks are for, but for kept messages;
    `dropped` counts the events that no webhook gets.
    """

    def __init__(self, store: RoomEvents, registry: Registry, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._registry = registry
        self._now_ms = now_ms
        self.topics = frozenset[Topic]()
        self._rosters: dict[RoomId, dict[MemberId, _Shown]] = {}
        self._waiting: deque[RoomEvent] = deque()
        self._look_at_s = 0.0
        self._wake = trio.Event()
        self._written = trio.Event()
        self._is_up = True
        self._is_full = False
        self.dropped = 0

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._waiting)

    def on_room_made(self, actor: RoomActor) -> None:
        """Who is in it already was in it in another gateway, which has told of them."""
        if self.topics and actor.entries:
            self._rosters[actor.room_id] = _members(actor.entries)

    def on_room_moved(self, actor: RoomActor) -> None:
        """Forget who is in it: nobody has left."""
        self._rosters.pop(actor.room_id, None)

    def on_roster_change(self, actor: RoomActor) -> None:
        """Take down what has changed, when somebody wants to know."""
        if not self.topics:
            return
        room, before = actor.room_id, self._rosters.get(actor.room_id, {})
        now = _members(actor.entries)
        if now:
            self._rosters[room] = now
        else:
            self._rosters.pop(room, None)
        for type_, data in changes(room, before, now):
            self._add(type_, data)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Queue events until cancelled."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            try:
                await self._look()
                await self._write()
            except Unavailable as problem:
                self._note_down(problem)
                await trio.sleep(RETRY_S)
                continue
            except Exception:  # noqa: BLE001 - webhooks must not end a gateway
                events = min(len(self._waiting), BATCH_EVENTS)
                _log.exception("room_events.not_queued", extra={"events": events})
                self._take_out(events)
                self.dropped += events
                await trio.sleep(LOOK_S)
                continue
            self._note_up()
            await trio.sleep(COALESCE_S)
            with trio.move_on_at(self._look_at_s):
                await self._wake.wait()

    async def drain(self, deadline_s: float) -> None:
        """Wait until no event waits, at most `deadline_s`."""
        with trio.move_on_after(deadline_s):
            while self._waiting:
                self._written = trio.Event()
                await self._written.wait()

    async def _look(self) -> None:
        """Find out what webhooks are for, when it is time. Errors: `Unavailable`."""
        now_s = trio.current_time()
        if now_s < self._look_at_s:
            return
        had_any = bool(self.topics)
        self.topics = frozenset(topic for topic in await self._store.topics() if topic.type in ROSTER_EVENTS)
        self._look_at_s = now_s + LOOK_S
        if had_any != bool(self.topics):
            actors = self._registry if self.topics else ()
            self._rosters = {actor.room_id: _members(actor.entries) for actor in actors if actor.entries}

    def _add(self, type_: RosterEventType, data: InRoom) -> None:
        if Topic(type_, None) not in self.topics and Topic(type_, data.room_id) not in self.topics:
            return
        if len(self._waiting) >= QUEUE_EVENTS:
            self._note_dropped(1, "The database does not take events as fast as they come.")
            return
        at = datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        timestamp = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
        body = msgspec.json.encode(_Body(type_, timestamp, data)).decode()
        self._waiting.append(RoomEvent(uuid.uuid4(), type_, data.room_id, body))
        self._wake.set()

    async def _write(self) -> None:
        """Queue all that waits. Errors: `Unavailable`; what was not queued waits on."""
        while self._waiting:
            batch = list(islice(self._waiting, BATCH_EVENTS))
            if dropped := await self._store.queue(batch):
                self._note_dropped(dropped, "Too many events wait for a webhook.")
            else:
                self._is_full = False
            self._take_out(len(batch))

    def _take_out(self, events: int) -> None:
        for _ in range(events):
            self._waiting.popleft()
        self._written.set()

    def _note_dropped(self, events: int, problem: str) -> None:
        """Count what is dropped, and say so once until nothing is."""
        self.dropped += events
        if not self._is_full:
            self._is_full = True
            _log.warning("room_events.dropped", extra={"problem": problem})

    def _note_down(self, problem: Unavailable) -> None:
        if self._is_up:
            self._is_up = False
            _log.warning("room_events.down", extra={"problem": problem.message, "waiting": len(self._waiting)})

    def _note_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            _log.info("room_events.up")


def changes(
    room: RoomId, before: dict[MemberId, _Shown], now: dict[MemberId, _Shown]
) -> Iterator[tuple[RosterEventType, InRoom]]:
    """What has happened between two rosters of a room, in order."""
    if now and not before:
        yield "room.opened", InRoom(room)
    for member_id, shown in before.items():
        if member_id not in now:
            yield "member.left", OfMember(room, member_id, *shown)
    for member_id, shown in now.items():
        if member_id not in before:
            yield "member.joined", OfMember(room, member_id, *shown)
    if before and not now:
        yield "room.emptied", InRoom(room)


def _members(entries: tuple[Entry, ...]) -> dict[MemberId, _Shown]:
    return {entry.member.member_id: _Shown(entry.member.display_name, entry.person) for entry in entries}
