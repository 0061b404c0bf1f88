"""A room that blocks the gateway: it is named while it lasts, and remembered (SPEC 1). These rooms really block it."""

import logging
import threading
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from omnisonic.wire import inspection as words
from tests.inspectors import TOKEN, Inspector, StallingRoom, inspector
from tests.rooms import DEADLINE_S, Stage, eventually, open_stage

pytestmark = pytest.mark.timing


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    """The log's events of this name."""
    return [record.__dict__ for record in caplog.records if record.__dict__.get("event") == name]


async def _answers(ins: Inspector, question: words.Question) -> words.Answer:
    """The last answer to a question that may have several."""
    answer = await ins.asked(question)
    while isinstance(answer, words.Rooms) and answer.more:
        answer = await ins.answer()
    return answer


async def _in_another_thread(port: int, *questions: words.Question) -> list[words.Answer]:
    """What an operator is answered whose own loop is not the one that is held up."""

    async def look() -> list[words.Answer]:
        assert await trio.to_thread.run_sync(StallingRoom.stalls.wait, DEADLINE_S)
        stage = Stage(None, None, None, port)  # type: ignore[arg-type]
        async with inspector(stage) as ins:
            return [await _answers(ins, question) for question in questions]

    return await trio.to_thread.run_sync(trio.run, look)


async def _hog_while(stage: Stage, seconds: float, *questions: words.Question) -> list[words.Answer]:
    """Have the room `jam` block the loop, and ask while it does."""
    found: list[words.Answer] = []
    StallingRoom.stalls.clear()

    async def look() -> None:
        found.extend(await _in_another_thread(stage.port, *questions))

    async with stage.crowd(1, room="next door"), stage.crowd(2) as (ada, bo), trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await wait_all_tasks_blocked()
        await ada.say("stall", seconds)
        await bo.next("stall")
    return found


async def test_who_asks_while_a_room_hogs_is_told_which_and_where() -> None:
    """Though the loop neither takes the connection nor answers: every kind of question, within its deadline."""
    async with open_stage(admin_token=TOKEN, room_class=StallingRoom) as stage:
        questions = (words.AskRooms("1"), words.AskKick("2", "next door", "m0"))
        for number, answer in enumerate(await _hog_while(stage, 4.0, *questions), 1):
            assert isinstance(answer, words.NotAnswering)
            assert (answer.id, answer.room) == (str(number), "jam")
            assert 1.0 <= answer.for_s < 4.0
            assert "in on_message" in answer.at
        assert stage.gateway.counters.closes == {}, "what was not answered is not done later"


async def test_a_hog_is_logged_with_its_place_while_it_lasts_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At growing intervals, and nobody's words are in it."""
    with caplog.at_level(logging.WARNING):
        async with open_stage(room_class=StallingRoom) as stage, stage.crowd(2) as (ada, bo):
            await ada.say("stall", 1.5)
            await bo.next("stall")
            await eventually(lambda: bool(events(caplog, "room.stalled")))
    stalls = events(caplog, "room.stalls")
    assert {each["room"] for each in stalls} == {"jam"}
    reported_s = [each["for_s"] for each in stalls]
    assert 2 <= len(reported_s) <= 4
    assert reported_s == sorted(reported_s)  # type: ignore[type-var]
    assert all(str(each["stack"]).startswith("inspectors.py:") for each in stalls)
    (stalled,) = events(caplog, "room.stalled")
    assert stalled["room"] == "jam"


async def test_a_room_that_hogged_says_so_afterwards() -> None:
    """When, and for how long; its neighbour does not."""
    async with (
        open_stage(admin_token=TOKEN, room_class=StallingRoom) as stage,
        inspector(stage) as ins,
        stage.crowd(2) as (ada, bo),
        stage.crowd(1, room="next door"),
    ):
        await ada.say("stall", 0.4)
        await bo.next("stall")
        detail = await ins.asked(words.AskRoom("1", "jam"))
        assert isinstance(detail, words.RoomAnswer)
        assert detail.room.line.state == "hogged"
        assert detail.room.last_hog_s == pytest.approx(0.4, abs=0.3)
        neighbour = await ins.asked(words.AskRoom("2", "next door"))
        assert isinstance(neighbour, words.RoomAnswer)
        assert neighbour.room.line.state == "live"


async def test_members_that_come_while_a_room_hogs_are_let_in_afterwards() -> None:
    """Whoever was taken off the socket by the fallback acceptor and is no inspector goes to the gateway unread."""
    async with open_stage(admin_token=TOKEN, room_class=StallingRoom) as stage:
        welcomed: list[str] = []

        StallingRoom.stalls.clear()

        async def come() -> None:
            assert await trio.to_thread.run_sync(StallingRoom.stalls.wait, DEADLINE_S)
            async with Stage(None, None, None, stage.port).member("cy") as cy:  # type: ignore[arg-type]
                welcomed.append(cy.welcome["payload"]["memberId"])

        async with stage.crowd(2) as (ada, bo), trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, partial(trio.run, come))
            await wait_all_tasks_blocked()
            await ada.say("stall", 2.5)
            await bo.next("stall")
        assert welcomed == ["cy"]


async def test_something_else_that_holds_the_loop_up_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    """Without a room's name: it is no room that does it."""

    def stall_loop() -> None:
        threading.Event().wait(3.5)

    async with open_stage(admin_token=TOKEN):
        stall_loop()
        await eventually(lambda: bool(events(caplog, "gateway.stalled")))
    (stall, *_) = events(caplog, "gateway.stalls")
    assert "in stall_loop" in str(stall["stack"])
