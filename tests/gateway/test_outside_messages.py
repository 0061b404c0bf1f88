"""What the web says into a live room over the bus, and what it gets back (SPEC 3, rooms rows)."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import trio

from omnisonic.stores.bus import ROOM_EVENTS, Bus, Delivery
from omnisonic.stores.bus.events import Reply, RoomClosed, RoomSaid, encode
from tests.clients import DEADLINE_S
from tests.gateway.conftest import OpenStage, both_stores
from tests.rooms import PoisonedRoom, Stage, listening

pytestmark = pytest.mark.timing
store_kind = both_stores

HERE = "omnisonic:replies:test"


async def say(bus: Bus, said: RoomSaid) -> Reply:
    """Say it, and wait for what became of it."""
    async with bus.subscribe(HERE) as replies:
        await bus.publish(ROOM_EVENTS, encode(said))
        with trio.fail_after(DEADLINE_S):
            return await first(replies)


async def first(replies: AsyncIterator[object]) -> Reply:
    """The first reply."""
    async for received in replies:
        if isinstance(received, Delivery):
            return msgspec.json.decode(received.data, type=Reply)
    raise AssertionError("no reply")


async def test_it_is_heard_in_order_and_replied_to_with_its_offset(stage: Stage) -> None:
    """Between the members' own words; to one member it has no offset of its own."""
    async with stage.band("ada", "bo") as (ada, bo):
        await listening(stage)
        await ada.say("note")
        await bo.next("note")
        assert await say(stage.bus, RoomSaid("jam", "cue", msgspec.Raw(b'{"bar":1}'), reply_to=HERE)) == Reply(2)
        cue = {"type": "cue", "payload": {"bar": 1}, "from": None, "offset": 2}
        assert [await ada.hear(), await bo.hear()] == [cue, cue]
        assert await say(stage.bus, RoomSaid("jam", "psst", to="bo", reply_to=HERE)) == Reply(2)
        assert await bo.hear() == {"type": "psst", "payload": None, "from": None}
        await bo.say("note")
        assert (await ada.hear())["offset"] == 3


async def test_what_members_share_can_be_changed_from_outside(stage: Stage) -> None:
    """A key of the state, and the transport; what is refused is replied to with its code."""
    async with stage.band("ada", "bo") as (ada, bo):
        await listening(stage)
        state = msgspec.Raw(b'{"key":"cue","value":17}')
        assert await say(stage.bus, RoomSaid("jam", "state.set", state, reply_to=HERE)) == Reply(0)
        changed = {"key": "cue", "value": 17, "version": 1, "by": None}
        assert [(await each.hear())["payload"] for each in (ada, bo)] == [changed, changed]
        conflict = msgspec.Raw(b'{"key":"cue","value":18,"ifVersion":7}')
        assert (await say(stage.bus, RoomSaid("jam", "state.set", conflict, reply_to=HERE))).code == "state_conflict"
        tempo = msgspec.Raw(b'{"tempoBpm":90}')
        assert await say(stage.bus, RoomSaid("jam", "transport.set", tempo, reply_to=HERE)) == Reply(0)
        transport = (await ada.hear())["payload"]
        assert (transport["tempoBpm"], transport["by"]) == (90.0, None)


async def test_nobody_by_that_name_is_a_reply_too(stage: Stage) -> None:
    """A code and a sentence."""
    async with stage.member("ada"):
        await listening(stage)
        reply = await say(stage.bus, RoomSaid("jam", "cue", to="bo", reply_to=HERE))
        assert reply.code == "unknown_member"
        assert reply.message.endswith(".")


async def test_a_room_that_is_not_here_is_silence(stage: Stage) -> None:
    """Another gateway may have it. Nothing is made for it, and what comes behind is answered."""
    async with stage.member("ada"):
        await listening(stage)
        async with stage.bus.subscribe(HERE) as replies:
            for said in (RoomSaid("duo", "cue", reply_to=HERE), RoomSaid("jam", "cue", reply_to=HERE)):
                await stage.bus.publish(ROOM_EVENTS, encode(said))
            assert await first(replies) == Reply(1)
        assert stage.gateway.room("duo") is None


async def test_a_poison_from_outside_is_a_dead_letter(stage_over: OpenStage) -> None:
    """Nobody loses their connection, the next message is taken, and whoever said it is told."""
    async with stage_over(room_class=PoisonedRoom) as stage, stage.member("ada") as ada:
        await listening(stage)
        assert (await say(stage.bus, RoomSaid("jam", "poison", reply_to=HERE))).code == "room_crashed"
        assert await say(stage.bus, RoomSaid("jam", "cue", reply_to=HERE)) == Reply(1)
        assert (await ada.hear())["type"] == "cue"
        assert [letter.type for letter in stage.gateway.registry.dead_letters] == ["poison"]


async def test_text_that_is_not_utf8_never_reaches_a_room(stage: Stage) -> None:
    """It would break the members' connections: the event is passed over."""
    async with stage.member("ada") as ada:
        await listening(stage)
        broken = encode(RoomSaid("jam", "cue", msgspec.Raw(b'"?"'))).replace(b"?", b"\xff")
        await stage.bus.publish(ROOM_EVENTS, broken)
        await stage.bus.publish(ROOM_EVENTS, encode(RoomSaid("jam", "next")))
        assert (await ada.hear())["type"] == "next"


@pytest.mark.parametrize("members", [1, 3])
async def test_a_room_that_is_closed_says_4004_to_everyone(stage: Stage, members: int) -> None:
    """After what was said before it; who comes then finds an empty room."""
    async with stage.crowd(members) as crowd:
        await listening(stage)
        for event in (RoomSaid("jam", "session.deleted"), RoomClosed("jam")):
            await stage.bus.publish(ROOM_EVENTS, encode(event))
        for bare in crowd:
            await bare.next("session.deleted")
            assert await bare.closed() == (4004, "room_closed")
    async with stage.member("late"):
        assert stage.roster() == ["late"]


async def test_whoever_comes_after_a_session_was_deleted_finds_nothing_of_it(stage: Stage) -> None:
    """Its room is its members' alone; without a session, it is everybody's, and new."""
    async with stage.member("ada") as ada:
        await listening(stage)
        await ada.say("note", id=1)
        await ada.say("state.set", {"key": "song", "value": "ours"}, id=2)
        await ada.next("ack")
        await ada.next("ack")
        epoch = stage.room().epoch
        await stage.bus.publish(ROOM_EVENTS, encode(RoomClosed("jam")))
        assert await ada.closed() == (4004, "room_closed")
    late = await stage.bare_member("late", since=f"{epoch}:0")
    welcome = late.welcome["payload"]
    assert (welcome["offset"], welcome["state"], welcome["recovered"]) == (0, {}, False)
    await late.aclose()
