"""The registry: crashed rooms come back in time, those past saving end alone, empty ones are forgotten (SPEC 5.4)."""

from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Dismiss, Join, Leave, PutLease
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.registry import EMPTY_S, Registry
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.actors.runtime.telemetry import Counters, TurnTracer
from omnisonic.models import RoomId
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.recovery import Position
from tests.actors.handles import FakeConnection, member, sent, text
from tests.actors.room_stage import Poisoned

RESTARTED_WITHIN_S = 0.1


@dataclass
class Watcher:
    """Writes down what a mirror would be told."""

    made: list[RoomId] = field(default_factory=list)
    changed: list[RoomId] = field(default_factory=list)

    def on_room_moved(self, actor: RoomActor) -> None:
        pass

    def on_room_made(self, actor: RoomActor) -> None:
        self.made.append(actor.room_id)

    def on_roster_change(self, actor: RoomActor) -> None:
        self.changed.append(actor.room_id)


@dataclass
class House:
    """A registry with a dispatcher to run its rooms."""

    registry: Registry
    dispatcher: Dispatcher
    watcher: Watcher
    counters: Counters

    def enter(self, room_id: RoomId, name: str) -> FakeConnection:
        """Let somebody enter, and have the welcome out of the way."""
        connection = FakeConnection(name)
        self.registry.get_or_make(room_id).tell(Join(connection, member(name)))
        self.dispatcher.run_turns()
        connection.received()
        return connection

    def say(self, room_id: RoomId, connection: FakeConnection, *types: str) -> None:
        """Let a member say something, and the room handle it."""
        self.registry.get_or_make(room_id).offer(sent(connection, *(text(type_) for type_ in types)))
        self.dispatcher.run_turns()


@pytest.fixture
async def house(nursery: trio.Nursery) -> House:
    """A registry without a gateway around it."""
    dispatcher, counters, watcher = Dispatcher(), Counters(), Watcher()

    def context(room_id: RoomId, epoch: str, relay_prefixes: RelayPrefixes) -> RoomContext:
        memory = RoomMemory(epoch, HistoryLimits())
        return RoomContext(room_id, memory, 60, 0, trio.current_time, lambda: 17, relay_prefixes)

    registry = Registry(context, Poisoned, dispatcher, counters, TurnTracer(), nursery)
    registry.watchers.append(watcher)
    return House(registry, dispatcher, watcher, counters)


async def test_making_a_room_twice_makes_it_once(house: House, autojump_clock: MockClock) -> None:
    """Two connections at once enter the same room, and its leases are read once."""
    assert house.registry.get_or_make("jam") is house.registry.get_or_make("jam") is house.registry.get("jam")
    assert house.registry.get("other") is None
    assert house.watcher.made == ["jam"]
    assert len(house.registry) == 1


async def test_a_crashed_room_is_back_within_100_ms(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With everybody in it, and the words that were said meanwhile."""
    ada, bob = house.enter("jam", "ada"), house.enter("jam", "bob")
    started_s = trio.current_time()
    house.say("jam", ada, "poison", "after")
    actor = house.registry.get_or_make("jam")
    assert not actor.is_alive
    await trio.sleep(started_s + RESTARTED_WITHIN_S - trio.current_time())
    assert actor.is_alive
    house.dispatcher.run_turns()
    assert bob.types()[-1:] == ["after"]
    assert house.counters.room_restarts == 1
    assert [letter.type for letter in house.registry.dead_letters] == ["poison"]
    assert [record.message for record in caplog.records] == ["room.crashed"]


async def test_the_fourth_crash_within_five_seconds_ends_that_room_alone(
    house: House, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """1011 to its members, the mirror is told, its neighbour loses nothing, and whoever comes next gets a new room."""
    ada, neighbour, listener = house.enter("jam", "ada"), house.enter("next", "bob"), house.enter("next", "cyd")
    epoch = house.registry.get_or_make("jam").epoch
    for crash in range(4):
        house.say("jam", ada, "poison")
        house.say("next", neighbour, f"note {crash}")
        await trio.sleep(RESTARTED_WITHIN_S)
    assert ada.closing is not None
    assert ada.closing.code is CloseCode.INTERNAL_ERROR
    assert house.registry.get("jam") is None
    assert house.watcher.changed[-1] == "jam"
    assert listener.types() == ["note 0", "note 1", "note 2", "note 3"]
    assert [record.message for record in caplog.records] == ["room.crashed"] * 3 + ["room.closed"]
    house.enter("jam", "ada")
    assert house.registry.get_or_make("jam").epoch != epoch


async def test_crashes_far_apart_are_forgiven_for_ever(house: House, autojump_clock: MockClock) -> None:
    """The limit is on a rate, not on a number."""
    ada = house.enter("jam", "ada")
    for _ in range(12):
        house.say("jam", ada, "poison")
        await trio.sleep(2.0)
    assert ada.is_open
    assert house.registry.get_or_make("jam").incarnation == 13


async def test_a_room_is_forgotten_when_it_has_been_empty_for_a_minute(house: House, autojump_clock: MockClock) -> None:
    """Its history with it, but not what it has done."""
    ada, bob = house.enter("jam", "ada"), house.enter("jam", "bob")
    house.say("jam", ada, "note")
    for connection in (ada, bob):
        house.registry.get_or_make("jam").tell(Leave(connection, "left"))
    house.dispatcher.run_turns()
    left_s = trio.current_time()
    before = house.registry.totals()
    house.registry.sweep(left_s + EMPTY_S - 1)
    assert house.registry.get("jam") is not None
    house.registry.sweep(left_s + EMPTY_S)
    assert house.registry.get("jam") is None
    assert house.registry.totals() == before
    assert before.deliveries == 1


async def test_whoever_comes_after_a_room_has_ended_finds_nothing_of_it(
    house: House, autojump_clock: MockClock
) -> None:
    """Who is in it hears what was said before; who waits for it is closed, too."""
    ada, bob, eve = house.enter("jam", "ada"), house.enter("jam", "bob"), FakeConnection("eve")
    actor = house.registry.get_or_make("jam")
    epoch = actor.epoch
    actor.offer(sent(ada, text("note"), text("state.set", {"key": "key", "value": 1})))
    actor.tell(Dismiss(Closing(CloseCode.ROOM_CLOSED), ends_room=True))
    actor.tell(Join(eve, member("eve")))
    house.dispatcher.run_turns()
    assert bob.types() == ["note", "state.changed"]
    assert [each.closing for each in (ada, bob, eve)] == [Closing(CloseCode.ROOM_CLOSED)] * 3
    assert eve.types() == []
    assert house.registry.get("jam") is None
    assert house.watcher.changed[-1] == "jam"
    late = FakeConnection("late")
    house.registry.get_or_make("jam").tell(Join(late, member("late"), since=Position(epoch, 0)))
    house.dispatcher.run_turns()
    welcome = late.received()[0]["payload"]
    assert (welcome["epoch"] == epoch, welcome["offset"], welcome["state"]) == (False, 0, {})


async def test_a_room_that_waits_for_its_turn_is_not_forgotten(house: House, autojump_clock: MockClock) -> None:
    """Somebody may be entering it."""
    actor = house.registry.get_or_make("jam")
    actor.tell(Join(FakeConnection("ada"), member("ada")))
    house.registry.sweep(trio.current_time() + 2 * EMPTY_S)
    assert house.registry.get("jam") is actor


async def test_leases_are_looked_at_when_they_run_out(house: House, autojump_clock: MockClock) -> None:
    """Not before, and without anybody saying anything."""
    ada = house.enter("jam", "ada")
    house.registry.get_or_make("jam").tell(PutLease(member("eve"), trio.current_time() + 3))
    house.dispatcher.run_turns()
    house.registry.sweep(trio.current_time() + 2)
    await trio.sleep(3)
    house.registry.sweep(trio.current_time())
    house.dispatcher.run_turns()
    assert ada.types() == ["presence.join", "presence.leave"]


async def test_a_room_that_is_closed_while_its_restart_waits_stays_closed(
    house: House, autojump_clock: MockClock
) -> None:
    """Crashes come faster than restarts only by hand, but then nothing is left over."""
    ada = house.enter("jam", "ada")
    actor = house.registry.get_or_make("jam")
    for _ in range(4):
        house.say("jam", ada, "poison")
        actor.restart()
    await wait_all_tasks_blocked()
    assert len(house.registry) <= 1
    assert house.registry.get("jam") is not actor


async def test_a_room_that_was_forgotten_takes_no_other_with_it(house: House, autojump_clock: MockClock) -> None:
    """A new room has its name by now: what becomes of the old one, which somebody still held, is not the new one's."""
    old = house.registry.get_or_make("jam")
    house.registry.sweep(trio.current_time() + EMPTY_S)
    assert house.registry.get("jam") is None
    ada = house.enter("jam", "ada")
    new = house.registry.get("jam")
    assert new is not None
    assert new is not old
    eve = FakeConnection("eve")
    old.tell(Join(eve, member("eve")))
    for _ in range(4):
        old.offer(sent(eve, text("poison")))
        house.dispatcher.run_turns()
        await trio.sleep(RESTARTED_WITHIN_S)
    assert eve.closing is not None
    assert eve.closing.code is CloseCode.INTERNAL_ERROR
    assert house.registry.get("jam") is new
    assert ada.is_open
