"""What is promised of rooms that break, empty and are mirrored (SPEC 5.4, RELIABILITY 4 and 5)."""

import json
from typing import Any, Final

import pytest
import trio
import trio.testing

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.mailbox import Join, Mail
from omnisonic.actors.rooms.state import RoomState
from omnisonic.wire.closing import CloseCode
from tests.clients import CLOSE, FRAGMENT_OF_TEXT, LAST, TEXT, Bare, envelope
from tests.gateway.conftest import OpenStage, both_stores
from tests.gateway.latency import latencies_ms
from tests.rooms import PoisonedRoom, Stage, becomes, eventually, open_stage

pytestmark = pytest.mark.timing
store_kind = both_stores

RESTART_MS: Final = 100
MIRROR_S: Final = 1.0


async def test_a_crash_costs_only_the_message_that_caused_it(stage_over: OpenStage) -> None:
    """A hundred members talk and one message kills the room: all else that was said is heard, once and in order."""
    async with (
        stage_over(room_class=PoisonedRoom) as stage,
        stage.crowd(100) as band,
        stage.crowd(2, room="next door") as neighbours,
    ):
        received: dict[int, list[dict[str, Any]]] = {}

        async def talk(number: int, member: Bare) -> None:
            for count in range(5):
                await member.say("poison" if (number, count) == (50, 2) else "note", [number, count])

        async def listen(number: int, member: Bare) -> None:
            due = 99 * 5 - (number != 50)
            received[number] = [await member.next("note") for _ in range(due)]

        async with trio.open_nursery() as nursery:
            for number, member in enumerate(band):
                nursery.start_soon(talk, number, member)
                nursery.start_soon(listen, number, member)
            nursery.start_soon(latencies_ms, neighbours[0], neighbours[1], 0.5)
        for number, notes in received.items():
            said = {(m, c) for m in range(100) for c in range(5) if m != number and (m, c) != (50, 2)}
            assert {tuple(note["payload"]) for note in notes} == said
            offsets = [note["offset"] for note in notes]
            assert offsets == sorted(offsets)
        (letter,) = stage.gateway.registry.dead_letters.of("jam")
        assert (letter.type, letter.sender, letter.reason) == ("poison", "m50", "ValueError('poison')")
        assert letter.frame is not None
        assert json.loads(letter.frame[1])["payload"] == [50, 2]
        assert stage.roster() == sorted(f"m{number}" for number in range(100))
        assert len(stage.gateway.connections) == 102
        assert stage.gateway.counters.closes == {}
        assert (stage.room().incarnation, stage.room("next door").incarnation) == (2, 1)
        assert stage.room().offset == 499


async def test_a_crashed_room_is_back_within_100_ms(stage_over: OpenStage) -> None:
    """Three times in a row; whatever is said meanwhile waits, and so do those who come."""
    made_ms: list[int] = []

    def now_ms() -> int:
        return int(trio.current_time() * 1000)

    def make(context: RoomContext) -> RoomState:
        made_ms.append(now_ms())
        return PoisonedRoom(context)

    async with stage_over(room_class=make, now_ms=now_ms) as stage, stage.crowd(2) as (ada, bo):
        epoch = stage.room().epoch
        for number in range(3):
            await ada.say("poison")
            await ada.say("note")
            async with await stage.bare_member(f"new{number}") as newcomer:
                assert (await bo.next("note"))["offset"] == number + 1
                assert len(newcomer.welcome["payload"]["members"]) == 3
                assert newcomer.welcome["payload"]["epoch"] == epoch
            await bo.next("presence.leave")
        crashed_ms = [letter.at_ms for letter in stage.gateway.registry.dead_letters]
    assert all(made - crashed <= RESTART_MS for crashed, made in zip(crashed_ms, made_ms[1:], strict=True))


async def test_the_fourth_crash_closes_that_room_alone(stage_over: OpenStage) -> None:
    """1011 for those in it; the neighbour goes on; who comes back is in a room as new."""
    async with (
        stage_over(room_class=PoisonedRoom) as stage,
        stage.crowd(3) as band,
        stage.crowd(2, room="next door") as (ada, bo),
    ):
        for _ in range(4):
            await band[0].say("poison")
        for member in band:
            assert (await member.closed())[0] == 1011
        await ada.say("note")
        assert (await bo.next("note"))["offset"] == 1
        assert stage.gateway.room("jam") is None
        assert stage.gateway.counters.closes == {CloseCode.INTERNAL_ERROR: 3}
        await becomes(stage.mirrored, [], deadline_s=MIRROR_S)
        async with await stage.bare_member("m0") as back:
            assert [line["memberId"] for line in back.welcome["payload"]["members"]] == ["m0"]


async def test_a_member_that_leaves_while_the_room_is_down_is_not_a_ghost(stage_over: OpenStage) -> None:
    """The restarted room rebuilds its roster from the connections there are."""
    async with (
        stage_over(room_class=PoisonedRoom) as stage,
        await stage.bare_member("ada") as ada,
        await stage.bare_member("bo") as bo,
    ):
        async with await stage.bare_member("cy") as cy:
            await bo.say("poison")
            await cy.send(CLOSE)
        assert (await ada.next("presence.leave"))["payload"]["memberId"] == "cy"
        assert stage.roster() == ["ada", "bo"]
        assert stage.room().incarnation == 2


class PickyRoom(RoomState):
    """A room that breaks when it is to take in `bad`."""

    def handle(self, mail: Mail, batch: Batch) -> None:
        if isinstance(mail, Join) and mail.member.member_id == "bad":
            raise ValueError("cannot take them in")
        super().handle(mail, batch)


async def test_a_newcomer_that_breaks_the_room_is_turned_away(stage_over: OpenStage) -> None:
    """1011 for that one; the others keep their seats."""
    async with stage_over(room_class=PickyRoom) as stage, stage.crowd(2) as (ada, bo):
        async with await stage.bare() as bad:
            head = f"GET {stage.target('bad')} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            head += "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            await bad.stream.send_all((head + "Sec-WebSocket-Version: 13\r\n\r\n").encode())
            await bad.head()
            assert (await bad.closed())[0] == 1011
        await ada.say("note")
        assert (await bo.next("note"))["offset"] == 1
        assert stage.roster() == ["m0", "m1"]


class StillbornRoom(PoisonedRoom):
    """A room that cannot be started again."""

    def __init__(self, context: RoomContext) -> None:
        if context.entries:
            raise ValueError("cannot start")
        super().__init__(context)


async def test_a_room_that_cannot_be_restarted_is_closed_alone() -> None:
    """Each failed start counts as a crash: 1011 for its members, and the gateway lives."""
    async with open_stage(room_class=StillbornRoom) as stage, stage.crowd(2, room="next door") as (cy, di):
        async with stage.crowd(2) as band:
            await band[0].say("poison")
            for member in band:
                assert (await member.closed())[0] == 1011
        await cy.say("note")
        assert (await di.next("note"))["offset"] == 1
        assert [letter.kind for letter in stage.gateway.registry.dead_letters] == ["ClientMessages", *["Restart"] * 3]


async def test_an_empty_room_is_remembered_for_a_while(stage: Stage) -> None:
    """Who comes back at once finds the count where it was."""
    async with stage.member("ada") as ada:
        await ada.say("note", id=1)
        await ada.next("ack")
    async with stage.member("ada") as again:
        assert again.welcome["payload"]["epoch"] == ada.welcome["payload"]["epoch"]
        assert again.welcome["payload"]["offset"] == 1


async def test_an_empty_room_is_forgotten_and_goes_on_when_somebody_comes_back(stage_over: OpenStage) -> None:
    """Nothing of it runs any more. What it remembered is in the memory store."""
    async with stage_over(empty_room_s=0.1) as stage:
        async with stage.member("ada") as ada:
            await ada.say("note", id=1)
            await ada.next("ack")
        await eventually(lambda: stage.gateway.room("jam") is None)
        async with stage.member("ada") as anew:
            assert anew.welcome["payload"]["epoch"] == ada.welcome["payload"]["epoch"]
            assert anew.welcome["payload"]["offset"] == 1


async def test_the_mirrored_roster_is_true_within_a_second(stage: Stage) -> None:
    """Of who comes, how they are shown, and who goes, whether in order or not."""

    async def shown() -> list[tuple[str, str, str]]:
        return [(line.member_id, line.display_name, line.status) for line in await stage.presence.members("jam")]

    async with stage.member("ada") as ada:
        async with stage.member("bo", status="away"), await stage.bare_member("cy"):
            lines = [("ada", "Ada", "active"), ("bo", "Bo", "away"), ("cy", "Cy", "active")]
            await becomes(shown, lines, deadline_s=MIRROR_S)
            await ada.say("presence.set", {"status": "away", "displayName": "Ada L."})
            await becomes(shown, [("ada", "Ada L.", "away"), *lines[1:]], deadline_s=MIRROR_S)
        await becomes(shown, [("ada", "Ada L.", "away")], deadline_s=MIRROR_S)
    await becomes(shown, [], deadline_s=MIRROR_S)


async def test_a_member_leaves_once_however_it_goes(stage: Stage) -> None:
    """In order, just gone, by a breach of the protocol, by bad text, or in mid-fragment: one leave each."""
    ends = {"left": (CLOSE, b""), "protocol_error": (LAST, b""), "invalid_utf8": (TEXT, b"\xff"), "lost": None}
    async with stage.member("observer") as observer:
        for end in ends.values():
            async with await stage.bare_member("ada") as ada:
                await ada.send(FRAGMENT_OF_TEXT, b'{"type":') if end is None else await ada.send(*end)
                if end is not None:
                    await ada.rest()
        await eventually(lambda: len(stage.gateway.connections) == 1)
        await observer.say("done", to="observer")
        received = await observer.until("done")
    assert [message["payload"].get("reason", "join") for message in received] == [
        word for reason in ends for word in ("join", reason)
    ]


async def test_nothing_leaks() -> None:
    """After some churn, with fragments and refusals, there are as many tasks and sockets as before."""
    async with open_stage(empty_room_s=0.1) as stage:
        tasks = trio.lowlevel.current_statistics().tasks_living
        for number in range(30):
            async with await stage.bare_member(f"m{number}", f"room{number}") as member:
                await member.send(FRAGMENT_OF_TEXT, envelope("note").encode()[:4])
                await member.send(LAST, envelope("note").encode()[4:])
                if number % 2:
                    await member.send(CLOSE)
                    await member.closed()
        await eventually(lambda: not stage.gateway.connections and not len(stage.gateway.registry))
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
