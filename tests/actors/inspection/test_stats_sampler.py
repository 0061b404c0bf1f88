"""The stats sampler, the reports and the records of supervised tasks."""

import pytest
import trio
from trio.testing import MockClock

from omnisonic.actors.inspection.reports import Moment, child_line, room_line
from omnisonic.actors.rooms.stats import TURNS
from omnisonic.actors.runtime.supervisor import ChildRecord, ChildSpec, TooManyRestarts, supervise
from omnisonic.wire import inspection as words
from tests.actors.rooms.test_actor import Stage as ActorStage
from tests.inspectors import TOKEN, inspector
from tests.rooms import eventually, open_stage

NOW_MS = 1_000_000


def _say_nothing(name: str, crash: BaseException, attempt: int) -> None:
    """The record is what is looked at."""


def moment(stage: ActorStage) -> Moment:
    return Moment(stage.setting.clock.now_s, 17)


def test_a_room_tells_what_waits_and_what_was_done() -> None:
    """Its mailbox now and at most, its turns, its count of messages and deliveries."""
    stage = ActorStage("ada", "bob")
    stage.say("ada", "a", "b", "c")
    line = room_line(stage.actor, moment(stage))
    assert (line.members, line.mailbox, line.mailbox_high_water) == (2, 3, 3)
    stage.run()
    line = room_line(stage.actor, moment(stage))
    assert (line.mailbox, line.mailbox_high_water, line.deliveries, line.state) == (0, 3, 3, "live")


def test_a_room_between_a_crash_and_its_restart_says_so() -> None:
    """Then that it crashed, and how often, for a minute."""
    stage = ActorStage("ada")
    for _ in range(2):
        stage.say("ada", "poison")
        stage.run()
        line = room_line(stage.actor, moment(stage))
        assert (line.state, line.note) == ("restarting", "ValueError('poison')")
        stage.actor.restart()
    line = room_line(stage.actor, moment(stage))
    assert (line.state, line.restarts) == ("crashed", 2)
    assert line.note == "ValueError('poison'), 0 s ago, 2 times in a minute"
    assert room_line(stage.actor, Moment(stage.setting.clock.now_s, 17 + 60_000)).state == "live"


def test_a_busy_room_has_one_turn_in_eight_timed() -> None:
    """All of the first ones: a quiet room is told of, too."""
    stage = ActorStage("ada")
    while stage.actor.stats.turns < TURNS:
        stage.say("ada", "note")
        stage.run()
    assert stage.actor.stats._timed == TURNS
    for _ in range(80):
        stage.say("ada", "note")
        stage.run()
    assert stage.actor.stats._timed == TURNS + 10
    assert room_line(stage.actor, moment(stage)).handler_p50_ms > 0


def test_a_room_that_is_renewed_keeps_its_people_and_its_count() -> None:
    """It is not said to have crashed."""
    stage = ActorStage("ada", "bob")
    stage.say("ada", "a")
    stage.run()
    stage.actor.handoff.left = "what is wrong may be in it"
    stage.actor.reset()
    assert stage.actor.handoff.left is None
    stage.say("ada", "b")
    stage.run()
    assert [message["offset"] for message in stage.connections["bob"].received()] == [1, 2]
    assert (stage.actor.incarnation, stage.present()) == (2, ["ada", "bob"])
    assert room_line(stage.actor, moment(stage)).state == "live"


async def test_what_becomes_of_a_task_is_written_down(autojump_clock: MockClock) -> None:
    """Its restarts with their reasons, how long it has been up since the last, and its end."""
    record, lives = ChildRecord("choir", lambda: NOW_MS), [0]

    async def run(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        lives[0] += 1
        await trio.sleep(10)
        if lives[0] < 3:
            raise ValueError(lives[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, ChildSpec("choir", run), _say_nothing, record)
        await trio.sleep(25)
        line = child_line(record, "sings", trio.current_time())
        assert (line.state, line.note, line.restarts) == ("running", "sings", 2)
        assert [life.reason for life in line.ended] == ["ValueError(1)", "ValueError(2)"]
        assert 4 < line.uptime_s <= 5
    assert child_line(record, "", trio.current_time()).state == "ended"


async def test_a_task_that_is_past_saving_has_failed() -> None:
    """The last restart is not counted, for there was none."""
    record = ChildRecord("choir", lambda: NOW_MS)

    async def run(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise ValueError

    with pytest.raises(TooManyRestarts):
        await supervise(ChildSpec("choir", run), _say_nothing, record)
    assert (record.state, record.restarts) == ("failed", 3)


async def test_the_gateways_figures_are_added_up_once_a_second() -> None:
    """Those of rooms that are forgotten are in the totals still."""
    async with open_stage(admin_token=TOKEN, empty_room_s=0.1) as stage, inspector(stage) as ins:
        async with stage.crowd(2) as (ada, bo), stage.crowd(1, room="other"):
            for _ in range(10):
                await ada.say("note")
                await bo.next("note")
        await eventually(lambda: len(stage.gateway.registry) == 0)
        while True:
            answer = await ins.asked(words.AskTree("1"))
            assert isinstance(answer, words.Tree)
            if answer.gateway.deliveries == 10 and answer.gateway.members == 0:
                break
            await trio.lowlevel.checkpoint()
        assert answer.gateway.messages >= 16, "ten notes, three joins and three leaves"
