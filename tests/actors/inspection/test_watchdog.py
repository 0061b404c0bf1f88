"""The watchdog: what counts as a stall, and what is logged. The tests move the time; real stalls are in
`tests/gateway/test_inspection_stalls.py`."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
import trio.testing

from omnisonic.actors.inspection.watchdog import LOOP_S, Watchdog
from omnisonic.actors.runtime.scheduler import Dispatcher
from tests.actors.handles import Clock


@dataclass
class FakeActor:
    """An actor with a name, and no mail."""

    room_id: str
    is_ready: bool = False

    def run_turn(self) -> bool:
        return False


class Busy(Dispatcher):
    """A dispatcher whose turns the test begins and ends."""

    def turn(self, room: str | None) -> None:
        """Another one has its turn, or nobody has."""
        self.running = None if room is None else FakeActor(room)
        self.turns += room is not None


class Stage:
    """A watchdog that looks when it is told to."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.busy, self.clock = Busy(), Clock()
        self.dog = Watchdog(self.busy, lambda: 17, self.clock)
        self._caplog = caplog
        self.dog.check()

    async def look(self, *after_s: float, answers: bool = True) -> None:
        """Look again and again, so much later each time. `answers`: the loop comes round in between."""
        for seconds in after_s:
            self.clock.now_s += seconds
            self.dog.check()
            if answers:
                await trio.testing.wait_all_tasks_blocked()

    def reported(self) -> list[tuple[str, str | None, float | None]]:
        """The log's events: what, which room, and how long."""
        fields: list[dict[str, Any]] = [record.__dict__ for record in self._caplog.records]
        return [(each["event"], each.get("room"), each.get("for_s", each.get("lasted_s"))) for each in fields]


async def test_a_turn_that_goes_on_is_told_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    """From a quarter of a second on, and when it ends, once."""
    stage = Stage(caplog)
    stage.busy.turn("jam")
    await stage.look(*[0.125] * 20)
    stage.busy.turn(None)
    await stage.look(0.125, 0.125)
    assert stage.reported() == [
        ("room.stalls", "jam", 0.25),
        ("room.stalls", "jam", 0.5),
        ("room.stalls", "jam", 1.0),
        ("room.stalls", "jam", 2.0),
        ("room.stalled", "jam", 2.38),
    ]


async def test_the_message_itself_names_the_room_and_the_line(caplog: pytest.LogCaptureFixture) -> None:
    """A program that embeds a gateway may log nothing but messages. Here this test is what does not return."""
    stage = Stage(caplog)
    stage.busy.turn("jam")
    await stage.look(0.1, 0.3)
    (message,) = (record.getMessage() for record in caplog.records)
    assert re.fullmatch(r"room\.stalls: 'jam' for 0\.30 s at /.*/test_watchdog\.py:\d+ in Stage\.look", message)


async def test_many_short_turns_of_one_room_are_no_hog(caplog: pytest.LogCaptureFixture) -> None:
    """It has its turn at every look, but another one each time."""
    stage = Stage(caplog)
    for _ in range(30):
        stage.busy.turn("jam")
        await stage.look(0.1)
    assert stage.reported() == []
    assert stage.dog.stall() is None


async def test_a_room_that_follows_another_hog_is_told_by_its_own_name(caplog: pytest.LogCaptureFixture) -> None:
    """Each of them ends."""
    stage = Stage(caplog)
    for room in ("jam", "other"):
        stage.busy.turn(room)
        await stage.look(*[0.125] * 5)
    stage.busy.turn(None)
    await stage.look(0.125)
    assert [(what, room) for what, room, _ in stage.reported()] == [
        ("room.stalls", "jam"),
        ("room.stalls", "jam"),
        ("room.stalled", "jam"),
        ("room.stalls", "other"),
        ("room.stalls", "other"),
        ("room.stalled", "other"),
    ]


async def test_a_loop_that_does_not_answer_is_told_without_a_room(caplog: pytest.LogCaptureFixture) -> None:
    """It is asked once a second; as long as it answers, nothing is said."""
    stage = Stage(caplog)
    for _ in range(30):
        await stage.look(0.1)
    assert stage.reported() == []
    await stage.look(*[0.5] * 6, answers=False)
    stall = stage.dog.stall()
    assert stall is not None
    assert (stall.room, stall.for_s >= LOOP_S) == (None, True)
    await trio.testing.wait_all_tasks_blocked()
    await stage.look(0.1)
    assert {what for what, _, _ in stage.reported()} == {"gateway.stalls", "gateway.stalled"}


async def test_a_stall_that_has_ended_leaves_no_stall_behind(caplog: pytest.LogCaptureFixture) -> None:
    """The loop has much to do then, and answers as soon as it comes to it."""
    stage = Stage(caplog)
    stage.busy.turn("jam")
    await stage.look(*[0.5] * 8, answers=False)
    stage.busy.turn(None)
    await stage.look(0.1, 0.1, 0.1)
    assert {what for what, _, _ in stage.reported()} == {"room.stalls", "room.stalled"}
