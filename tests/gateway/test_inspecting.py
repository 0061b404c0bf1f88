"""`/inspect` on a real gateway: what an operator is told, and what is done for them (docs/inspecting.md)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, TypeVar

import pytest
import trio

from omnisonic.actors.inspection.session import STREAMS
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from omnisonic.wire import inspection as words
from omnisonic.wire.inspection_lines import HistoryLine, RoomLine
from omnisonic.wire.messages import Envelope
from tests.inspectors import TOKEN, Inspector, StallingRoom, inspector
from tests.rooms import Stage, eventually, open_stage

T = TypeVar("T")
GRACE_S: Final = 15.0


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A gateway that may be inspected."""
    async with open_stage(admin_token=TOKEN, room_class=StallingRoom) as stage:
        yield stage


def the(kind: type[T], answer: object) -> T:
    """The answer, which must be of this kind."""
    assert isinstance(answer, kind), answer
    return answer


async def all_rooms(ins: Inspector, id_: str = "r") -> tuple[dict[str, RoomLine], words.Rooms]:
    """All rooms by their ids, and the last part of the answer."""
    await ins.ask(words.AskRooms(id_))
    lines: dict[str, RoomLine] = {}
    while True:
        part = the(words.Rooms, await ins.answer())
        lines |= {line.room: line for line in part.rooms}
        if not part.more:
            return lines, part


async def test_all_rooms_are_told_in_parts_and_then_the_gateway(stage: Stage) -> None:
    """More rooms than one part holds; each once, and the last part says how the gateway is."""
    async with stage.crowd(120, rooms=120), inspector(stage) as ins:
        lines, last = await all_rooms(ins)
        assert sorted(lines) == sorted(f"jam{number}" for number in range(120))
        assert {line.members for line in lines.values()} == {1}
        assert last.gateway is not None
        assert (last.gateway.rooms, last.gateway.connections, last.gateway.inspectors) == (120, 120, 1)
        assert last.gateway.answer_ms > 0


async def test_a_room_is_told_with_its_members(stage: Stage) -> None:
    """Who is there, from where, since when, and what the room has done."""
    async with stage.crowd(3) as band, inspector(stage) as ins:
        for _ in range(5):
            await band[0].say("note")
        for _ in range(5):
            await band[1].next("note")
        detail = the(words.RoomAnswer, await ins.asked(words.AskRoom("1", "jam"))).room
        assert [member.member for member in detail.members] == ["m0", "m1", "m2"]
        assert {member.address for member in detail.members} == {"127.0.0.1"}
        assert all(member.connected and member.queued_bytes == 0 for member in detail.members)
        assert all(member.connected_s is not None and member.connected_s >= 0 for member in detail.members)
        assert (detail.line.state, detail.line.incarnation, detail.offset) == ("live", 1, 5)
        assert detail.line.messages_per_s > 0
        assert detail.line.handler_p99_ms >= detail.line.handler_p50_ms > 0


async def test_the_tree_names_every_task_of_the_gateway(stage: Stage) -> None:
    """All run, and none was restarted."""
    async with inspector(stage) as ins:
        tree = the(words.Tree, await ins.asked(words.AskTree("1")))
        names = {
            "mirror",
            "relay",
            "leases",
            "replies",
            "poller",
            "dispatcher",
            "timers",
            "access_revocation",
            "acceptor 0",
        }
        assert names <= {child.name for child in tree.children}
        assert {(child.state, child.restarts) for child in tree.children} == {("running", 0)}


async def test_a_room_that_crashes_says_so_and_why(stage: Stage) -> None:
    """Its state, its note, its earlier lives, and its dead letters; the neighbour is as it was."""
    async with stage.crowd(2) as (ada, bo), stage.crowd(1, room="next door"), inspector(stage) as ins:
        await ada.say("poison")
        await ada.say("note")
        await bo.next("note")
        lines, _ = await all_rooms(ins)
        assert (lines["jam"].state, lines["jam"].restarts, lines["jam"].dead_letters) == ("crashed", 1, 1)
        assert "ValueError('poison')" in lines["jam"].note
        assert (lines["next door"].state, lines["next door"].restarts) == ("live", 0)
        detail = the(words.RoomAnswer, await ins.asked(words.AskRoom("1", "jam"))).room
        assert [life.reason for life in detail.ended] == ["ValueError('poison')"]


async def test_a_room_that_was_closed_for_its_crashes_is_still_told_of(stage: Stage) -> None:
    """By the gateway, and by the room of that name that comes after it."""
    async with stage.crowd(1) as (ada,), inspector(stage) as ins:
        for _ in range(4):
            await ada.say("poison")
        await ada.closed()
        _, last = await all_rooms(ins)
        assert [(closed.room, closed.reason) for closed in last.closed] == [("jam", "ValueError('poison')")]
        async with stage.crowd(1):
            lines, _ = await all_rooms(ins)
            assert lines["jam"].state == "crashed"
            assert lines["jam"].note.startswith("closed ")


async def test_a_stream_goes_on_until_it_is_stopped(stage: Stage) -> None:
    """Two at once on one socket, told apart by their ids; the other one goes on."""
    async with stage.crowd(1), inspector(stage) as ins:
        await ins.ask(words.AskTree("t", every_s=0.5))
        await ins.ask(words.AskRoom("r", "jam", every_s=0.5))
        seen = [(await ins.answer()).id for _ in range(6)]
        assert seen.count("t") >= 2
        assert seen.count("r") >= 2
        await ins.ask(words.AskStop("s", "t"))
        answers = [await ins.answer() for _ in range(6)]
        assert words.Done("s") in answers
        assert words.End("t", "stopped") in answers
        after = answers[answers.index(words.End("t", "stopped")) + 1 :]
        assert {answer.id for answer in after} <= {"r", "s"}


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("not json", ""),
        ('{"type": "rooms"}', ""),
        ('{"type": "dance", "id": "7"}', "7"),
        ('{"type": "room", "id": "7"}', "7"),
        ('{"type": "rooms", "id": "7", "everyS": 0.01}', "7"),
        ('{"type": "rooms", "id": "7", "token": "x"}', "7"),
        ("[" * 2000, ""),
    ],
)
async def test_what_is_no_question_is_told_so(stage: Stage, text: str, id_: str) -> None:
    """In a sentence, by its id if it has one; and the connection goes on."""
    async with inspector(stage) as ins:
        await ins.send(text)
        failed = the(words.Failed, await ins.answer())
        assert (failed.id, failed.code) == (id_, "bad_request")
        assert failed.message.endswith(".")
        the(words.Tree, await ins.asked(words.AskTree("1")))


async def test_a_question_that_is_too_long_closes_the_connection(stage: Stage) -> None:
    """1009, as the protocol has it."""
    async with inspector(stage) as ins:
        await ins.send("x" * (words.QUESTION_BYTES + 1))
        assert await ins.closed() == 1009


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (words.AskRoom("1", "nowhere"), "unknown_room"),
        (words.AskKick("1", "nowhere", "m0"), "unknown_room"),
        (words.AskKick("1", "jam", "nobody"), "unknown_member"),
        (words.AskClose("1", "nowhere"), "unknown_room"),
        (words.AskRestart("1", "nowhere"), "unknown_room"),
        (words.AskTap("1", "nowhere"), "unknown_room"),
        (words.AskReplay("1", 7), "unknown_letter"),
        (words.AskStop("1", "2"), "unknown_stream"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_code(stage: Stage, question: words.Question, code: str) -> None:
    """And with a sentence."""
    async with stage.crowd(1), inspector(stage) as ins:
        failed = the(words.Failed, await ins.asked(question))
        assert (failed.id, failed.code) == ("1", code)
        assert code in words.ERROR_CODES


async def test_streams_are_bounded_and_their_ids_are_one_each(stage: Stage) -> None:
    """One more is refused, and so is the same id again."""
    async with inspector(stage) as ins:
        for number in range(STREAMS):
            await ins.ask(words.AskTree(str(number), every_s=60))
            assert (await ins.answer()).id == str(number)
        assert the(words.Failed, await ins.asked(words.AskTree("0", every_s=60))).code == "duplicate_id"
        assert the(words.Failed, await ins.asked(words.AskTree("more", every_s=60))).code == "too_many_streams"


async def test_a_member_that_is_kicked_is_closed_with_4003(stage: Stage) -> None:
    """The others see them leave."""
    async with stage.crowd(2) as (ada, bo), inspector(stage) as ins:
        assert await ins.asked(words.AskKick("1", "jam", "m1")) == words.Done("1")
        assert (await bo.closed())[0] == 4003
        assert (await ada.next("presence.leave"))["payload"] == {"memberId": "m1", "reason": "kicked"}


async def test_a_room_that_is_closed_sends_everybody_out_with_4004(stage: Stage) -> None:
    """The neighbour is not touched."""
    async with stage.crowd(2) as band, stage.crowd(1, room="next door"), inspector(stage) as ins:
        assert await ins.asked(words.AskClose("1", "jam")) == words.Done("1")
        assert [(await member.closed())[0] for member in band] == [4004, 4004]
        assert stage.roster("next door") == ["m0"]


async def test_a_room_that_is_restarted_keeps_everybody_and_its_count(stage: Stage) -> None:
    """They notice nothing; the next message has the next offset."""
    async with stage.crowd(2) as (ada, bo), inspector(stage) as ins:
        await ada.say("note")
        assert (await bo.next("note"))["offset"] == 1
        assert await ins.asked(words.AskRestart("1", "jam")) == words.Done("1")
        await ada.say("note")
        assert (await bo.hear())["offset"] == 2
        assert stage.room().incarnation == 2
        detail = the(words.RoomAnswer, await ins.asked(words.AskRoom("2", "jam"))).room
        assert (detail.line.state, detail.line.restarts) == ("live", 1)
        assert [life.reason for life in detail.ended] == ["an operator asked for it"]


async def test_dead_letters_hide_what_was_said_unless_they_are_asked_for_it(stage: Stage) -> None:
    """Of one room or of all; the payload only with `payload`."""
    async with stage.crowd(1) as (ada,), stage.crowd(1, room="other") as (bo,), inspector(stage) as ins:
        await ada.say("poison", "a secret word")
        await bo.say("poison", "another")
        await eventually(lambda: len(stage.gateway.registry.dead_letters) == 2)
        found = the(words.DeadLetterAnswer, await ins.asked(words.AskDeadLetters("1")))
        assert ([letter.room for letter in found.letters], found.total) == (["jam", "other"], 2)
        assert [letter.payload for letter in found.letters] == [None, None]
        found = the(words.DeadLetterAnswer, await ins.asked(words.AskDeadLetters("2", "jam", payload=True)))
        (letter,) = found.letters
        assert (letter.letter, letter.sender, letter.kind) == (1, "m0", "poison")
        assert letter.payload is not None
        assert "a secret word" in letter.payload


async def test_a_room_is_told_with_what_it_remembers(stage: Stage) -> None:
    """History, shared state and transport; of an empty memory, that it is empty."""
    async with stage.crowd(1) as (ada,), inspector(stage) as ins:
        detail = the(words.RoomAnswer, await ins.asked(words.AskRoom("1", "jam"))).room
        assert detail.history == HistoryLine(0, 0, None, 0, None)
        assert (detail.state_keys, detail.state_bytes, detail.transport.playing, detail.beat) == (0, 0, False, 0)
        await ada.say("note")
        await ada.say("note")
        await ada.say("state.set", {"key": "solo", "value": "ada"})
        await ada.say("transport.set", {"atBeat": 12, "tempoBpm": 90})
        await ada.next("transport.state")
        detail = the(words.RoomAnswer, await ins.asked(words.AskRoom("2", "jam"))).room
        history = detail.history
        assert (history.messages, history.first_offset, history.last_offset) == (2, 1, 2)
        assert history.size_bytes > 2 * len('{"type":"note"}')
        assert history.age_s is not None
        assert (detail.state_keys, detail.state_bytes) == (1, len("solo") + len('"ada"'))
        assert (detail.transport.tempo_bpm, detail.beat) == (90, 12)


async def test_a_member_who_is_waited_for_is_told_as_such_and_can_be_kicked() -> None:
    """Until when, why, and how much waits for them; a room with nobody else waits. Then the others see them leave."""
    async with (
        open_stage(admin_token=TOKEN, grace_s=GRACE_S) as stage,
        stage.crowd(1) as (ada,),
        await stage.bare_member("bo") as bo,
        await stage.bare_member("eve", "alone") as eve,
        inspector(stage) as ins,
    ):
        await bo.aclose()
        await eve.aclose()
        await ada.next("presence.update")
        await ada.say("psst", to="bo")
        await ada.say("psst", to="bo", id=1)
        await ada.next("ack")
        detail = the(words.RoomAnswer, await ins.asked(words.AskRoom("1", "jam"))).room
        here, waited_for = detail.members
        assert (here.held_by, here.until, here.reason, here.kept) == ("connection", None, None, 0)
        assert (waited_for.held_by, waited_for.connected, waited_for.reason) == ("wait", False, "lost")
        assert waited_for.until is not None
        assert 0 < (waited_for.until - datetime.now(UTC)).total_seconds() <= GRACE_S
        assert (waited_for.kept, waited_for.kept_bytes > 0) == (2, True)
        lines, _ = await all_rooms(ins)
        assert (lines["jam"].state, lines["alone"].state) == ("live", "waiting")
        assert await ins.asked(words.AskKick("2", "jam", "bo")) == words.Done("2")
        assert (await ada.next("presence.leave"))["payload"] == {"memberId": "bo", "reason": "kicked"}
        assert stage.roster() == ["m0"]


class HealingRoom(RoomState):
    """A room that crashes on the first two messages of the type `poison`, and takes the others."""

    crashes = 0

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        if envelope.type == "poison" and HealingRoom.crashes < 2:
            HealingRoom.crashes += 1
            raise ValueError("poison")
        return True


async def test_a_dead_letter_is_said_again_once() -> None:
    """A second time is refused. What its sender says again with the same id is not doubled, in either order."""
    HealingRoom.crashes = 0
    async with (
        open_stage(admin_token=TOKEN, room_class=HealingRoom) as stage,
        stage.crowd(2) as (ada, bo),
        inspector(stage) as ins,
    ):
        for number in (1, 2):
            await ada.say("poison", id=number)
            await ada.next("error")
        await eventually(lambda: stage.room().incarnation == 3 and stage.room().is_alive)
        assert await ins.asked(words.AskReplay("1", 1)) == words.Done("1")
        assert (await bo.next("poison"))["offset"] == 1
        failed = the(words.Failed, await ins.asked(words.AskReplay("2", 1)))
        assert (failed.code, failed.message[-1]) == ("already_replayed", ".")
        letters = the(words.DeadLetterAnswer, await ins.asked(words.AskDeadLetters("3"))).letters
        assert [letter.replayed for letter in letters] == [True, False]
        await ada.say("poison", id=1)
        await ada.say("poison", id=2)
        assert (await bo.hear())["offset"] == 2
        assert await ins.asked(words.AskReplay("4", 2)) == words.Done("4")
        await ada.say("done", id=3)
        assert (await bo.hear())["type"] == "done"


async def test_a_dead_letter_is_said_again_by_who_said_it_if_they_are_there(stage: Stage) -> None:
    """It kills the room again, for it is poison still; without its sender it is refused."""
    async with inspector(stage) as ins:
        async with stage.crowd(1) as (ada,):
            await ada.say("poison")
            await eventually(lambda: stage.room().incarnation == 2 and stage.room().is_alive)
            assert await ins.asked(words.AskReplay("1", 1)) == words.Done("1")
            await eventually(lambda: len(stage.gateway.registry.dead_letters) == 2)
            assert [letter.sender for letter in stage.gateway.registry.dead_letters] == ["m0", "m0"]
        await eventually(lambda: stage.roster() == [])
        assert the(words.Failed, await ins.asked(words.AskReplay("2", 2))).code == "sender_gone"


async def test_everything_an_operator_does_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """What, where, and from which address; never the token."""
    with caplog.at_level("INFO"):
        async with stage.crowd(1) as (ada,), inspector(stage) as ins:
            await ins.asked(words.AskRestart("1", "jam"))
            await ins.asked(words.AskKick("2", "jam", "m0"))
            await ada.closed()
    acts = [record.__dict__ for record in caplog.records if record.message == "inspector.acted"]
    assert [(act["act"], act["room"], act["address"]) for act in acts] == [
        ("restart", "jam", "127.0.0.1"),
        ("kick", "jam", "127.0.0.1"),
    ]
    assert TOKEN not in caplog.text


async def test_a_gateway_that_stops_closes_its_inspectors() -> None:
    """1001, and its thread has ended with it."""
    codes: list[int] = []
    ready = trio.Event()

    async def look(stage: Stage) -> None:
        async with inspector(stage) as ins:
            the(words.Tree, await ins.asked(words.AskTree("1")))
            ready.set()
            codes.append(await ins.closed())

    async with trio.open_nursery() as nursery, open_stage(admin_token=TOKEN) as stage:
        nursery.start_soon(look, stage)
        await ready.wait()
    assert codes == [1001]
