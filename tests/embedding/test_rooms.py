"""Rooms of one's own: their hooks, in the room's order, and what they may do (SPEC 8)."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

import omnisonic
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, hear, member, until
from tests.rooms import eventually


@dataclass
class Diary:
    lines: list[str] = field(default_factory=list)


class DiaryRoom(omnisonic.Room[Diary]):
    """Writes down what happens to it."""

    def initial_state(self) -> Diary:
        return Diary()

    def on_join(self, member: omnisonic.Member) -> None:
        self.state.lines.append(f"joined {member.display_name}")

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        self.state.lines.append(f"said {member.member_id} {message.type} {message.payload} {message.to}")

    def on_binary(self, member: omnisonic.Member, data: bytes) -> None:
        self.state.lines.append(f"binary {member.member_id} {data.hex()}")

    def on_presence(self, member: omnisonic.Member, before: omnisonic.Member | None) -> None:
        was = "new" if before is None else f"{before.display_name} {before.status}"
        self.state.lines.append(f"shown {member.display_name} {member.status}, was {was}")

    def on_leave(self, member: omnisonic.Member, reason: str) -> None:
        self.state.lines.append(f"left {member.display_name} {reason} {len(self.members)}")


async def test_a_room_is_told_of_everything_in_order() -> None:
    """Who comes, what they say to all and to one, and how they go; not of heartbeats or the same one again."""
    async with band("ada", room_class=DiaryRoom) as (gateway, [ada]):
        async with member(gateway, "bo") as bo:
            await bo.say("note", 1)
            await bo.say("heartbeat")
            await bo.say_bytes(b"\x90\x40")
            await bo.set_presence(status="away", name="Bo D.")
            await bo.set_presence(status="away", name="Bo D.")
            await bo.ask("note", {"n": 2}, to="ada")
            async with member(gateway, "bo") as again:
                await again.ask("note", 3)
        await hear(ada, "presence.leave")
        diary = gateway.room("jam")
        assert isinstance(diary, DiaryRoom)
        assert diary.state.lines == [
            "shown Ada active, was new", "joined Ada", "shown Bo active, was new", "joined Bo", "said bo note 1 None",
            "binary bo 9040", "shown Bo D. away, was Bo active", "said bo note {'n': 2} ada",
            "shown Bo active, was Bo D. away", "said bo note 3 None", "left Bo left 1",
        ]  # fmt: skip


class Bouncy(omnisonic.Room[None]):
    """Steps in by message type."""

    def on_join(self, member: omnisonic.Member) -> None:
        self.say("hello", f"Hello, {member.display_name}.", to=member.member_id)

    def on_leave(self, member: omnisonic.Member, reason: str) -> None:
        self.say("gone", [member.member_id, reason])

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> omnisonic.Message | bool | None:
        match message.type:
            case "secret":
                return False
            case "shout":
                return message.replace(payload=message.payload.upper())
            case "whisper":
                return message.replace(type="shout", to="cy")
            case "question":
                self.say("answer", 42)
                self.say("answer", "for you", to=member.member_id)
            case "nonsense":
                raise omnisonic.InvalidInput("That is nonsense.", code="nonsense")
            case "out":
                self.kick(message.payload, "enough")
            case "end":
                self.close("late")
            case _:
                pass
        return None


async def test_what_a_member_says_is_kept_back_changed_or_sent_elsewhere() -> None:
    """Each as the hook says; what is kept back is acknowledged all the same, and has no offset."""
    async with band("ada", "bo", "cy", room_class=Bouncy) as (_, [ada, bo, cy]):
        await ada.say("shout", "ho")
        assert await ada.ask("secret") == 1
        await ada.say("whisper", "psst")
        await ada.say("done")
        assert [(m.type, m.payload, m.sender, m.offset) for m in await until(bo, "done") if m.type == "shout"] == [
            ("shout", "HO", "ada", 1)
        ]
        assert [m.payload for m in await until(cy, "done") if m.type == "shout"] == ["HO", "psst"]


async def test_an_answer_comes_behind_its_question() -> None:
    """For everybody, in the room's order, and between what is said in one breath; for one it is without an offset."""
    async with band("ada", "bo", room_class=Bouncy) as (_, [ada, bo]):
        await hear(ada, "presence.join")
        for _ in range(20):
            await ada.say("question")
            await ada.say("note")
        await ada.say("done", to="bo")
        received = [m for m in await until(bo, "done") if m.type != "hello"]
        assert [m.type for m in received] == ["question", "answer", "note"] * 20
        assert [m.offset for m in received] == list(range(1, 61))
        assert [m.payload for m in [await hear(ada, "answer") for _ in range(40)]] == [42, "for you"] * 20


async def test_a_newcomer_is_greeted_behind_their_welcome() -> None:
    """And nobody else hears it."""
    async with band("ada", "bo", room_class=Bouncy) as (_, [ada, bo]):
        assert (await anext(bo)).payload == "Hello, Bo."
        assert [(await anext(ada)).payload for _ in range(2)] == [
            "Hello, Ada.",
            {"memberId": "bo", "displayName": "Bo", "status": "active", "connected": True},
        ]


async def test_who_leaves_is_talked_about_behind_their_back() -> None:
    """`on_leave` speaks to those who stay, behind `presence.leave`."""
    async with band("ada", "bo", room_class=Bouncy) as (_, [ada, bo]):
        await bo.leave()
        await hear(ada, "presence.leave")
        assert (await anext(ada)).payload == ["bo", "left"]


async def test_a_hook_refuses_a_message_in_words() -> None:
    """An `InvalidInput` is an answer to the sender, not a crash."""
    async with band("ada", room_class=Bouncy) as (gateway, [ada]):
        with pytest.raises(omnisonic.NotTaken, match="That is nonsense") as refused:
            await ada.ask("nonsense")
        assert refused.value.code == "nonsense"
        assert gateway.dead_letters("jam") == []


async def test_a_hook_sends_somebody_out_or_everybody() -> None:
    """4003 with its reason, for others or oneself, and 4004."""
    async with band("ada", "bo", "cy", room_class=Bouncy) as (_, [ada, bo, cy]):
        await ada.say("out", "bo")
        with pytest.raises(omnisonic.Closed, match="enough") as kicked:
            await until(bo, "never")
        assert (kicked.value.code, kicked.value.close_code) == ("kicked", 4003)
        assert (await hear(ada, "gone")).payload == ["bo", "kicked"]
        await ada.say("out", "ada")
        with pytest.raises(omnisonic.Closed, match="enough"):
            await until(ada, "never")
        await cy.say("end")
        with pytest.raises(omnisonic.Closed) as closed:
            await until(cy, "never")
        assert (closed.value.code, closed.value.reason) == ("room_closed", "late")


class Clockwork(omnisonic.Room[None]):
    """Ticks, faster each time."""

    tick_s = 0.05

    def on_tick(self, now_s: float) -> None:
        assert 0 <= trio.current_time() - now_s < DEADLINE_S
        self.say("tick", self.tick_s)
        self.tick_s /= 2
        if self.tick_s < 0.01:
            self.tick_s = 0


async def test_a_room_ticks_at_its_own_pace_and_stops() -> None:
    """The pace counts after the next tick; 0 is the end of it."""
    async with band("ada", room_class=Clockwork) as (gateway, [ada]):
        assert [(await hear(ada, "tick")).payload for _ in range(3)] == [0.05, 0.025, 0.0125]
        room = gateway.room("jam")
        assert room is not None
        assert room.tick_s == 0


class Counting(omnisonic.Room[None]):
    """Counts its ticks."""

    tick_s = 0.01
    ticks = 0

    def on_tick(self, now_s: float) -> None:
        self.ticks += 1


async def test_an_empty_room_does_not_tick_and_ticks_again_when_somebody_comes() -> None:
    """Nobody would hear it."""
    async with omnisonic.open_gateway(room_class=Counting) as gateway:
        async with member(gateway, "ada"):
            room = gateway.room("jam")
            assert isinstance(room, Counting)
            await eventually(lambda: room.ticks > 2)
        await eventually(lambda: gateway.members("jam") == [])
        before = room.ticks
        async with member(gateway, "bo", room="next door"):
            neighbour = gateway.room("next door")
            assert isinstance(neighbour, Counting)
            await eventually(lambda: neighbour.ticks > 5)
        assert room.ticks == before
        async with member(gateway, "ada"):
            await eventually(lambda: room.ticks > before)


async def test_a_room_speaks_from_a_task_of_the_program() -> None:
    """Outside of hooks: the room has a turn for it. Not once the room is forgotten."""
    async with omnisonic.open_gateway(empty_room_s=0.05) as gateway:
        async with member(gateway, "ada") as ada:
            room = gateway.room("jam")
            assert room is not None
            room.say("news", [1, 2])
            assert (await hear(ada, "news")).payload == [1, 2]
        await eventually(lambda: gateway.room("jam") is None)
        with pytest.raises(RuntimeError, match="no room any more"):
            room.say("news")


@pytest.mark.parametrize(("type_", "payload"), [("", 1), ("welcome", 1), ("x", object()), ("x", "a" * 70_000)])
async def test_an_author_is_told_of_a_message_that_cannot_be(type_: str, payload: Any) -> None:
    """At once, in the hook that says it."""
    async with band("ada") as (gateway, _):
        room = gateway.room("jam")
        assert room is not None
        with pytest.raises(ValueError, match=r"\.$"):
            room.say(type_, payload)


async def test_one_hook_hears_all_rooms_before_the_rooms_do() -> None:
    """`on_message=` keeps back or changes what the room then sees."""

    def on_message(room: omnisonic.Room[Any], member: omnisonic.Member, message: omnisonic.Message) -> Any:
        if message.type == "spam":
            return False
        return message.replace(payload=f"{room.name}: {message.payload}")

    async with band("ada", "bo", room_class=DiaryRoom, on_message=on_message) as (gateway, [ada, bo]):
        await ada.say("spam")
        await ada.say("note", "hi")
        assert (await hear(bo, "spam", "note")).payload == "jam: hi"
        diary = gateway.room("jam")
        assert isinstance(diary, DiaryRoom)
        assert diary.state.lines[-1] == "said ada note jam: hi None"


async def test_what_python_cannot_read_is_refused_where_a_hook_would_see_it() -> None:
    """It is the sender's mistake, and no crash."""
    async with band("ada", room_class=DiaryRoom) as (gateway, [ada]):
        await ada._send(1, b'{"type": "note", "payload": 1e999}')
        assert (await hear(ada, "error")).payload["code"] == "invalid_number"
        assert gateway.dead_letters("jam") == []


def test_a_room_that_says_what_its_state_is_must_make_the_first() -> None:
    """The class itself is refused, before anybody enters."""
    with pytest.raises(TypeError, match="must define initial_state"):

        class Forgetful(omnisonic.Room[Diary]):
            pass
