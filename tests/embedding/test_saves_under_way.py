"""A save that is under way counts: it is waited for, and no other one of its room runs beside it (SPEC 8)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import ClassVar, Final

import pytest
import trio
from trio.testing import MockClock

import omnisonic
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.actors.hosting.hosting_tasks import HostingTasks
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Join, Leave
from omnisonic.actors.rooms.registry import EMPTY_S, Registry
from tests.actors.cluster.cluster_stage import Rooms
from tests.actors.handles import FakeConnection, member, sent, text
from tests.rooms import eventually

DEADLINE_S: Final = 3.0


class Slow(omnisonic.Room[list[str]]):
    """Keeps what is said. Its saves take as long as the test says, one after another, and the last for ever."""

    stored: ClassVar[dict[str, list[str]]]
    durations_s: ClassVar[list[float]]
    running: ClassVar[int]
    most: ClassVar[int]
    save_every_s = 0.0

    def initial_state(self) -> list[str]:
        return []

    async def load(self, name: str) -> list[str] | None:
        return Slow.stored.get(name)

    async def save(self, name: str, state: list[str]) -> None:
        data = list(state)
        Slow.running += 1
        Slow.most = max(Slow.most, Slow.running)
        try:
            await trio.sleep(Slow.durations_s.pop(0) if Slow.durations_s else inf)
            Slow.stored[name] = data
        finally:
            Slow.running -= 1

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        self.state.append(message.type)


@pytest.fixture(autouse=True)
def slow() -> None:
    """Nothing is stored yet."""
    Slow.stored, Slow.durations_s, Slow.running, Slow.most = {}, [], 0, 0


class Stage:
    """The rooms of a gateway without sockets, and what saves them."""

    def __init__(self, registry: Registry, tasks: HostingTasks) -> None:
        self.registry, self.tasks = registry, tasks
        self.ada = FakeConnection("ada")
        self.enter()

    @property
    def room(self) -> RoomActor:
        return self.registry.get_or_make("jam")

    def enter(self) -> None:
        """Let somebody enter."""
        self.room.tell(Join(self.ada, member("ada")))

    async def say(self, type_: str) -> None:
        """Say something, which is handled."""
        self.room.offer(sent(self.ada, text(type_)))
        await eventually(lambda: not self.room.mailbox)


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """A room with a member in it, whose first save has begun."""
    async with trio.open_nursery() as nursery:
        hosting = Hosting(Slow)
        rooms = Rooms(nursery, hosting.create_room)
        tasks = HostingTasks(hosting, rooms, nursery)
        await nursery.start(rooms.dispatcher.run)
        stage = Stage(rooms.registry, tasks)
        await eventually(lambda: Slow.running == 1)
        yield stage
        nursery.cancel_scope.cancel()


async def test_a_stop_waits_for_a_save_that_is_under_way(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What it saves is stored, and nothing is said about it."""
    Slow.durations_s = [0.4]
    async with open_stage() as stage:
        await stage.tasks.save_all(DEADLINE_S)
        assert Slow.stored == {"jam": []}
    assert caplog.messages == []


async def test_a_save_that_is_under_way_at_the_deadline_is_given_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator is told, and it stores nothing later: the room may be in another gateway then."""
    Slow.durations_s = [2 * DEADLINE_S]
    async with open_stage() as stage:
        await stage.tasks.save_all(DEADLINE_S)
        assert caplog.messages == ["room.not_saved"]
        await trio.sleep(2 * DEADLINE_S)
        assert Slow.stored == {}


@pytest.mark.parametrize("is_end", [False, True])
async def test_the_newer_state_is_stored_last(autojump_clock: MockClock, is_end: bool) -> None:
    """A save that is slower than the next one does not replace what that stores, at the end or at a hand-over."""
    Slow.durations_s = [0.4, 0.1]
    async with open_stage() as stage:
        await stage.say("note")
        if is_end:
            await stage.tasks.save_all(DEADLINE_S)
        else:
            await stage.tasks.save_room("jam")
        assert Slow.stored == {"jam": ["note"]}
        await trio.sleep(1)
        assert Slow.stored == {"jam": ["note"]}
        assert Slow.most == 1


async def test_a_room_that_is_made_again_during_its_last_save_has_its_state(autojump_clock: MockClock) -> None:
    """It does not load what was stored before."""
    Slow.durations_s = [0.1, 1, 0.1]
    async with open_stage() as stage:
        await stage.say("note")
        stage.room.tell(Leave(stage.ada, "left", is_final=True))
        await eventually(lambda: Slow.stored == {"jam": []} and Slow.running == 1)
        stage.registry.sweep(trio.current_time() + EMPTY_S)
        assert stage.registry.get("jam") is None
        stage.enter()
        await stage.say("more")
        await stage.tasks.save_all(DEADLINE_S)
        assert Slow.stored == {"jam": ["note", "more"]}
