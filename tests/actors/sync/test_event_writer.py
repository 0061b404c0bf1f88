"""The event writer with a store in memory that hangs and fails as the test wants; time is made up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import trio
import trio.testing

from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.seat import Entry
from omnisonic.actors.sync.event_writer import BATCH_EVENTS, LOOK_S, QUEUE_EVENTS, EventWriter
from omnisonic.errors import Unavailable
from omnisonic.models import Member
from omnisonic.studio.webhooks import ROSTER_EVENTS, RoomEvent, RoomEvents, Topic

NOON_MS = 1_793_534_400_005


@dataclass
class MemoryEvents:
    """Events in a list. `failures` are raised one after the other; `full` deliveries of each call are dropped."""

    wanted: frozenset[Topic] = frozenset()
    events: list[RoomEvent] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    full: int = 0
    looks: int = 0

    async def topics(self) -> frozenset[Topic]:
        await trio.lowlevel.checkpoint()
        self.looks += 1
        return self.wanted

    async def queue(self, events: Sequence[RoomEvent]) -> int:
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(len(events))
        self.events += events
        return self.full

    async def aclose(self) -> None:
        """Nothing to close."""


_fits: type[RoomEvents] = MemoryEvents


@dataclass
class FakeRoom:
    """A room as its watchers see it."""

    room_id: str = "jam"
    entries: tuple[Entry, ...] = ()

    def holds(self, *names: str) -> "FakeRoom":
        """From now on, these are in it."""
        self.entries = tuple(Entry(Member(name, name.title()), None, None, f"user {name}") for name in names)
        return self


class Writing:
    """A writer, its store, and one room; every webhook is for all events unless the test says otherwise."""

    def __init__(self) -> None:
        self.store = MemoryEvents(frozenset(Topic(type_, None) for type_ in ROSTER_EVENTS))
        self.room = FakeRoom()
        self.writer = EventWriter(self.store, cast("Registry", [self.room]), lambda: NOON_MS)

    def roster(self, *names: str) -> None:
        """The room's roster changes to these."""
        self.writer.on_roster_change(cast("Any", self.room.holds(*names)))

    def told(self) -> list[str]:
        """What was queued: the types, with the members they name."""
        bodies = [json.loads(event.body) for event in self.store.events]
        return [f"{body['type']} {body['data'].get('memberId', '')}".strip() for body in bodies]


@pytest.fixture
async def writing(autojump_clock: trio.testing.MockClock) -> Writing:
    """Made in the trio program, whose clock it has."""
    del autojump_clock
    return Writing()


async def started(writing: Writing, nursery: trio.Nursery) -> None:
    await nursery.start(writing.writer.run)
    await trio.testing.wait_all_tasks_blocked()


async def test_what_happens_to_a_roster_is_told_in_order(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Opened before the first joins, emptied after the last left; a change of another kind tells nothing."""
    await started(writing, nursery)
    writing.roster("ada")
    writing.roster("ada", "bo")
    writing.roster("ada", "bo")
    writing.roster("bo")
    writing.roster()
    await trio.sleep(1)
    assert writing.told() == [
        "room.opened",
        "member.joined ada",
        "member.joined bo",
        "member.left ada",
        "member.left bo",
        "room.emptied",
    ]
    assert json.loads(writing.store.events[1].body) == {
        "type": "member.joined",
        "timestamp": "2026-11-01T12:00:00.005Z",
        "data": {"roomId": "jam", "memberId": "ada", "displayName": "Ada", "userId": "user ada"},
    }
    assert len({event.id for event in writing.store.events}) == 6


async def test_without_webhooks_nothing_is_taken_down(
    writing: Writing, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """And the first webhook is noticed within seconds: it hears of what comes then, not of who is there."""
    wanted, writing.store.wanted = writing.store.wanted, frozenset({Topic("message.kept", None)})
    await started(writing, nursery)
    writing.roster("ada")
    await trio.sleep(5 * LOOK_S + 1)
    assert (writing.store.looks, writing.told(), len(writing.writer)) == (6, [], 0)
    writing.store.wanted = wanted
    await trio.sleep(LOOK_S)
    writing.roster("ada", "bo")
    writing.store.wanted = frozenset({Topic("member.left", "jam"), Topic("member.left", "other")})
    await trio.sleep(LOOK_S)
    writing.roster("ada", "cy")
    await trio.sleep(1)
    assert writing.told() == ["member.joined bo", "member.left bo"]


async def test_while_the_database_is_away_events_wait_and_then_are_dropped(
    writing: Writing,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The oldest wait, in order, and nothing is queued twice; one line says that some are lost, a metric how many."""
    caplog.set_level("INFO")
    await started(writing, nursery)
    writing.store.failures = [Unavailable("Away.") for _ in range(5)]
    for _ in range(QUEUE_EVENTS // 4 + 2):
        writing.roster("ada")
        writing.roster()
    assert len(writing.writer) == QUEUE_EVENTS
    assert writing.writer.dropped == 8
    await trio.sleep(10)
    assert len(writing.store.events) == QUEUE_EVENTS
    assert max(writing.store.batches) == BATCH_EVENTS
    assert writing.told()[:4] == ["room.opened", "member.joined ada", "member.left ada", "room.emptied"]
    logged = [record.message for record in caplog.records]
    assert logged == ["room_events.dropped", "room_events.down", "room_events.up"]


async def test_events_that_the_database_refuses_end_nothing(
    writing: Writing,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are dropped with a traceback. So are, with a count, those that have no place in a webhook's queue."""
    await started(writing, nursery)
    writing.store.failures = [ValueError("no")]
    writing.roster("ada")
    await trio.sleep(LOOK_S)
    writing.store.full = 3
    writing.roster()
    await writing.writer.drain(1)
    assert writing.told() == ["member.left ada", "room.emptied"]
    assert writing.writer.dropped == 2 + 3
    assert [record.message for record in caplog.records] == ["room_events.not_queued", "room_events.dropped"]
