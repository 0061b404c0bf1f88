"""What hooks raise: told to their author with the traceback, contained, and nobody's connection is closed (SPEC 8)."""

import logging
from typing import Any

import pytest
import trio

import omnisonic
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, hear, member, until
from tests.rooms import eventually


class Grumpy(omnisonic.Room[list[str]]):
    """Raises where its members ask it to, by their names and what they say; its state remembers for how long it is."""

    keeps = True
    tick_s = 0.0

    def __init__(self, host: omnisonic.RoomHost) -> None:
        super().__init__(host)
        if any(each.display_name == "Stillborn" for each in self.members):
            raise LookupError("cannot begin")

    def initial_state(self) -> list[str]:
        return []

    def on_join(self, member: omnisonic.Member) -> None:
        self.state.append(f"joined {member.member_id}")
        if member.member_id == "trouble":
            self.say("never heard")
            raise LookupError("in joined")

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> omnisonic.Message | None:
        if message.type == "poison":
            self.say("never heard")
            raise LookupError("in said")
        if message.type == "swell":
            return message.replace(payload="a" * 70_000)
        if message.type == "tick":
            self.tick_s = 0.01
        return None

    def on_leave(self, member: omnisonic.Member, reason: str) -> None:
        if member.member_id == "bother":
            raise LookupError("in left")

    def on_tick(self, now_s: float) -> None:
        self.tick_s = 0.0
        raise LookupError("in tick")

    def on_crash(self, error: Exception, state: list[str]) -> list[str]:
        if any(each.display_name == "Curse" for each in self.members):
            raise LookupError("in crashed")
        return [*state, f"died of {error}"] if self.keeps else self.initial_state()


def reported(caplog: pytest.LogCaptureFixture, what: str) -> bool:
    """Whether a record of this event carries the traceback of the hook that raised."""
    records = [record for record in caplog.records if record.message == what and record.exc_info]
    texts = [logging.Formatter().formatException(record.exc_info) for record in records if record.exc_info]
    return any("test_crashes.py" in text and "LookupError" in text for text in texts)


async def test_said_raises_and_only_its_message_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """What was said before and behind it in one breath is heard; the state goes on as `on_crash` says."""
    async with band("ada", "bo", room_class=Grumpy) as (gateway, [ada, bo]):
        before = gateway.room("jam")
        for type_ in ("one", "poison", "two", "done"):
            await ada.say(type_)
        assert [m.type for m in await until(bo, "done")] == ["one", "two"]
        room = gateway.room("jam")
        assert room is not before
        assert room is not None
        assert room.state == ["joined ada", "joined bo", "died of in said"]
        assert [letter.type for letter in gateway.dead_letters("jam")] == ["poison"]
        assert before is not None
        with pytest.raises(RuntimeError, match="started anew"):
            before.say("ghost")
        assert ada.connection_state == bo.connection_state == "connected"
    assert reported(caplog, "room.crashed")


async def test_a_changed_message_that_cannot_be_is_the_authors_crash() -> None:
    """Nothing is told to the sender: they did nothing wrong."""
    async with band("ada", "bo", room_class=Grumpy) as (gateway, [ada, bo]):
        await ada.say("swell")
        await ada.say("done")
        assert await until(bo, "done") == []
        assert "70002" in gateway.dead_letters("jam")[0].reason


async def test_joined_raises_and_the_newcomer_stays(caplog: pytest.LogCaptureFixture) -> None:
    """They are welcomed, the others know, and the new room does not call it again for them."""
    async with band("ada", room_class=Grumpy) as (gateway, [ada]):
        async with member(gateway, "trouble") as trouble:
            assert (await hear(ada, "presence.join", "never heard")).type == "presence.join"
            await trouble.say("note")
            assert (await hear(ada, "note", "never heard")).type == "note"
            room = gateway.room("jam")
            assert room is not None
            assert room.state == ["joined ada", "joined trouble", "died of in joined"]
            assert [each.member_id for each in room.members] == ["ada", "trouble"]
            assert [letter.kind for letter in gateway.dead_letters("jam")] == ["Join"]
        assert (await hear(ada, "presence.leave")).payload["memberId"] == "trouble"
    assert reported(caplog, "room.crashed")


async def test_left_raises_and_the_member_is_gone_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """The others have heard of it."""
    async with band("ada", room_class=Grumpy) as (gateway, [ada]):
        async with member(gateway, "bother"):
            pass
        assert (await hear(ada, "presence.leave")).payload["memberId"] == "bother"
        assert [letter.kind for letter in gateway.dead_letters("jam")] == ["Leave"]
        await ada.ask("note")
        assert [each.member_id for each in gateway.members("jam")] == ["ada"]
    assert reported(caplog, "room.crashed")


async def test_tick_raises_and_the_room_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The class's own pace counts again."""
    async with band("ada", room_class=Grumpy) as (gateway, [ada]):
        await ada.ask("tick")
        await eventually(lambda: [letter.kind for letter in gateway.dead_letters("jam")] == ["Tick"])
        await ada.ask("note")
        assert ada.connection_state == "connected"
    assert reported(caplog, "room.crashed")


class Forgetful(Grumpy):
    """Keeps nothing."""

    keeps = False


async def test_a_state_that_is_not_kept_begins_anew() -> None:
    """The author decides, in `on_crash`."""
    async with band("ada", room_class=Forgetful) as (gateway, [ada]):
        await ada.say("poison")
        await ada.ask("note")
        room = gateway.room("jam")
        assert room is not None
        assert room.state == []


class Repentant(omnisonic.Room[None]):
    """Says what has happened to it."""

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        if message.type == "poison":
            raise LookupError("in said")

    def on_crash(self, error: Exception, state: None) -> None:
        self.say("sorry", str(error))


async def test_a_room_speaks_while_it_begins_again() -> None:
    """Before anybody has said anything to it."""
    async with band("ada", room_class=Repentant) as (_, [ada]):
        await ada.say("poison")
        assert (await hear(ada, "sorry")).payload == "in said"


@pytest.mark.parametrize("name", ["Curse", "Stillborn"])
async def test_a_room_that_cannot_begin_again_is_closed_alone(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """`on_crash` and the constructor count as crashes; after four there is 1011, and a new room for who comes back."""
    async with band("bo", room="next door", room_class=Grumpy) as (gateway, [bo]):
        url = gateway.url
        async with omnisonic.connect(url, room="jam", name=name, member_id="ada") as ada:
            await ada.say("poison")
            with trio.fail_after(DEADLINE_S):
                await ada.wait_for("reconnecting")
                await ada.wait_for("connected")
            kinds = [letter.kind for letter in gateway.dead_letters("jam")]
            assert kinds == ["ClientMessages", "Restart", "Restart", "Restart"]
            await ada.ask("note")
        await bo.ask("note")
        assert bo.connection_state == "connected"
    assert reported(caplog, "room.closed")


class Unborn(omnisonic.Room[None]):
    """Never is one."""

    def __init__(self, host: omnisonic.RoomHost) -> None:
        super().__init__(host)
        raise LookupError("no room today")


async def test_a_constructor_that_raises_turns_its_first_member_away(caplog: pytest.LogCaptureFixture) -> None:
    """HTTP 500, and there is no room."""
    async with omnisonic.open_gateway(room_class=Unborn) as gateway:
        with pytest.raises(omnisonic.EntryRefused) as refused:
            async with member(gateway, "ada"):
                pass
        assert (refused.value.status, refused.value.code) == (500, "internal")
        assert gateway.rooms == []
    assert reported(caplog, "connection.crashed")


async def test_the_hook_for_all_rooms_raises_as_a_rooms_own() -> None:
    """The message goes to that room's dead letters."""

    def on_message(room: Any, member: Any, message: omnisonic.Message) -> None:
        if message.type == "poison":
            raise LookupError("in heard")

    async with band("ada", "bo", on_message=on_message) as (gateway, [ada, bo]):
        await ada.say("poison")
        await ada.say("note")
        assert (await hear(bo, "poison", "note")).type == "note"
        assert [letter.type for letter in gateway.dead_letters("jam")] == ["poison"]
