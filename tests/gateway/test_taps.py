"""Taps, slow inspectors and slow members, on a real gateway."""

import json
import socket
from collections.abc import AsyncIterator

import pytest
import trio

from omnisonic.actors.inspection.inspector import TAPS_A_ROOM
from omnisonic.actors.inspection.session import WRITE_S
from omnisonic.wire import inspection as words
from tests.clients import upgrade_request
from tests.inspectors import TOKEN, Inspector, inspector
from tests.rooms import Stage, eventually, open_stage

pytestmark = pytest.mark.timing


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A gateway that may be inspected."""
    async with open_stage(admin_token=TOKEN) as stage:
        yield stage


async def _taps(stage: Stage, room: str = "jam") -> None:
    """Wait until the room is tapped."""
    await eventually(lambda: stage.room(room).taps is not None)


async def _until_end(ins: Inspector) -> tuple[list[words.Passed], words.End]:
    passed: list[words.Passed] = []
    while True:
        answer = await ins.answer()
        if isinstance(answer, words.End):
            return passed, answer
        assert isinstance(answer, words.Passed), answer
        passed.append(answer)


async def test_a_tap_shows_what_passes_and_hides_what_is_said(stage: Stage) -> None:
    """The members hear all of it; after `most` the tap is gone."""
    async with stage.crowd(2) as (ada, bo), inspector(stage) as ins:
        await ins.ask(words.AskTap("1", "jam", most=3))
        await _taps(stage)
        for number in range(5):
            await ada.say("note", {"secret": number})
        passed, end = await _until_end(ins)
        assert [(each.sender, each.message, each.payload) for each in passed] == [("m0", "note", None)] * 3
        assert end.reason == "most"
        for number in range(5):
            assert (await bo.next("note"))["payload"] == {"secret": number}
        assert stage.room().taps is None


async def test_a_tap_shows_payloads_when_it_is_asked_to(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """And that somebody asked for them is logged."""
    async with stage.crowd(1) as (ada,), inspector(stage) as ins:
        await ins.ask(words.AskTap("1", "jam", most=1, payload=True))
        await _taps(stage)
        await ada.say("note", [1, 2])
        passed, _ = await _until_end(ins)
        assert json.loads(passed[0].payload or "") == {"type": "note", "payload": [1, 2]}
    (act,) = [record.__dict__ for record in caplog.records if record.message == "inspector.acted"]
    assert (act["act"], act["room"], act["payload"]) == ("tap", "jam", True)


async def test_a_tap_of_a_silent_room_ends_by_itself(stage: Stage) -> None:
    """Nothing passes, and its time is over all the same."""
    async with stage.crowd(1), inspector(stage) as ins:
        await ins.ask(words.AskTap("1", "jam", for_s=0.2))
        passed, end = await _until_end(ins)
        assert (passed, end) == ([], words.End("1", "time"))
        await eventually(lambda: stage.room().taps is None)


async def test_a_flood_is_sampled_and_counted(stage: Stage) -> None:
    """`perS` of it is shown, and all of it is counted."""
    async with stage.crowd(1) as (ada,), inspector(stage) as ins:
        await ins.ask(words.AskTap("1", "jam", for_s=1.5, per_s=5))
        await _taps(stage)
        for _ in range(500):
            await ada.say("note")
        passed, end = await _until_end(ins)
        assert 5 <= len(passed) <= 15
        assert (end.reason, end.passed, end.missed) == ("time", 500, 500 - len(passed))


async def test_a_tap_goes_with_its_inspector(stage: Stage) -> None:
    """Nobody listens to it any more."""
    async with stage.crowd(1):
        async with inspector(stage) as ins:
            await ins.ask(words.AskTap("1", "jam"))
            await _taps(stage)
        await eventually(lambda: stage.room().taps is None)


async def test_taps_of_a_room_are_bounded(stage: Stage) -> None:
    """One more is refused; stopping one makes room."""
    async with stage.crowd(1), inspector(stage) as ins:
        for number in range(TAPS_A_ROOM):
            await ins.ask(words.AskTap(str(number), "jam"))
        await eventually(lambda: len(stage.room().taps or ()) == TAPS_A_ROOM)
        refused = await ins.asked(words.AskTap("more", "jam"))
        assert isinstance(refused, words.Failed)
        assert refused.code == "too_many_taps"
        await ins.ask(words.AskStop("s", "0"))
        await eventually(lambda: len(stage.room().taps or ()) == TAPS_A_ROOM - 1)


async def test_an_inspector_that_does_not_read_is_dropped_and_keeps_nobody_waiting(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Its socket is full and stays so; members and another inspector are served meanwhile."""
    async with stage.crowd(300, rooms=300), await stage.bare(receive_buffer_bytes=4096) as lazy:
        request = upgrade_request("/inspect", stage.port, Authorization=f"Bearer {TOKEN}")
        await lazy.stream.send_all(request)
        await lazy.head()
        lazy.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for number in range(150):
            await lazy.send(0x81, words.encode(words.AskRooms(str(number))).encode())
            if number == 100:
                async with inspector(stage) as ins, stage.crowd(2, room="other") as (ada, bo):
                    assert isinstance(await ins.asked(words.AskTree("1")), words.Tree)
                    await ada.say("note")
                    assert (await bo.next("note"))["offset"] == 1
        await eventually(lambda: "inspector.dropped" in caplog.text, 2 * WRITE_S)


async def test_a_member_that_does_not_read_is_seen_with_its_queue_and_lag(stage: Stage) -> None:
    """How many bytes wait, and for how long the oldest has; the others' are nothing."""
    async with (
        stage.crowd(1) as (ada,),
        await stage.bare_member("slow", receive_buffer_bytes=4096),
        inspector(stage) as ins,
    ):
        slow = next(each for each in stage.gateway.connections if each.member and each.member.member_id == "slow")
        while not slow.queued_bytes:
            await ada.say("note", "x" * 50_000)
            await trio.lowlevel.checkpoint()
        answer = await ins.asked(words.AskRoom("1", "jam"))
        assert isinstance(answer, words.RoomAnswer)
        members = {member.member: member for member in answer.room.members}
        assert members["slow"].queued_bytes > 0
        assert 0 <= members["slow"].lag_s < 5
        assert (members["m0"].queued_bytes, members["m0"].lag_s) == (0, 0)
        assert answer.room.line.queued_bytes == members["slow"].queued_bytes
