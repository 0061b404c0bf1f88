"""Members whose connection breaks, on real sockets: what they have missed, and what the others see (SPEC 5.2, 5.4)."""

from typing import Final

import pytest
import trio

from omnisonic.actors.rooms.acknowledged import ACKNOWLEDGED
from omnisonic.wire.closing import CloseCode
from omnisonic.wire.frames import TEXT, frame
from tests.clients import CLOSE, Bare, upgrade_request
from tests.gateway.conftest import OpenStage, both_stores
from tests.rooms import PoisonedRoom, Stage, becomes, eventually

store_kind = both_stores

GRACE_S: Final = 60.0


def position(member: Bare, offset: int | None = None) -> str:
    """What a member has seen, for `since`."""
    welcome = member.welcome["payload"]
    return f"{welcome['epoch']}:{welcome['offset'] if offset is None else offset}"


async def notes(member: Bare, count: int) -> list[int]:
    """The payloads of the next relayed notes."""
    return [(await member.next("note"))["payload"] for _ in range(count)]


async def test_a_train_in_a_tunnel_misses_nothing(stage_over: OpenStage) -> None:
    """The connection breaks; the others see it, and the member gets everything on return, before anything new."""
    async with stage_over(grace_s=GRACE_S) as stage, await stage.bare_member("bo") as bo:
        ada = await stage.bare_member("ada")
        await ada.stream.aclose()
        broken = await bo.next("presence.update")
        assert (broken["payload"]["memberId"], broken["payload"]["connected"]) == ("ada", False)
        for number in range(100):
            await bo.say("note", number)
        await bo.say("done", to="ada", id="last")
        await bo.next("ack")
        async with await stage.bare_member("ada", since=position(ada)) as again:
            assert again.welcome["payload"]["recovered"] is True
            assert await notes(again, 100) == list(range(100))
            assert (await again.hear())["type"] == "done"
            assert (await bo.next("presence.update"))["payload"]["connected"] is True


async def test_the_rest_roster_says_who_is_waited_for(stage_over: OpenStage) -> None:
    """Within a second, and until they have left."""
    async with stage_over(grace_s=1.5) as stage, await stage.bare_member("bo"):
        async with await stage.bare_member("ada"):
            pass

        async def roster() -> dict[str, bool]:
            return {line.member_id: line.connected for line in await stage.presence.members("jam")}

        await becomes(roster, wanted={"ada": False, "bo": True})
        await becomes(roster, wanted={"bo": True})


@pytest.mark.parametrize(("code", "waits"), [(1000, False), (None, False), (1001, True), (3000, False)])
async def test_a_clean_close_leaves_at_once(stage_over: OpenStage, code: int | None, *, waits: bool) -> None:
    """1000, no code, and a code of the program's; 1001 is a page that is loaded again."""
    async with stage_over(grace_s=GRACE_S) as stage, await stage.bare_member("bo") as bo:
        async with await stage.bare_member("ada") as ada:
            await ada.send(CLOSE, b"" if code is None else code.to_bytes(2, "big"))
            seen = await bo.hear()
            while seen["type"] == "presence.join":
                seen = await bo.hear()
        assert seen["type"] == ("presence.update" if waits else "presence.leave")


async def test_a_crash_of_the_room_costs_no_history_and_no_state(stage_over: OpenStage) -> None:
    """And who is waited for is waited for still."""
    async with stage_over(grace_s=GRACE_S, room_class=PoisonedRoom) as stage, await stage.bare_member("bo") as bo:
        ada = await stage.bare_member("ada")
        await ada.stream.aclose()
        await bo.next("presence.update")
        await bo.say("note", 1, id="once")
        await bo.say("state.set", {"key": "take", "value": 3})
        await bo.next("state.changed")
        await bo.say("poison", id="bad")
        assert (await bo.next("error"))["payload"]["id"] == "bad"
        await eventually(lambda: stage.room().is_alive and stage.room().incarnation == 2)
        await bo.say("note", 1, id="once")
        assert (await bo.next("ack"))["payload"]["offset"] == 1
        async with await stage.bare_member("ada", since=position(ada)) as again:
            assert again.welcome["payload"]["recovered"] is True
            assert again.welcome["payload"]["state"]["take"]["value"] == 3
            assert await notes(again, 1) == [1]


async def test_what_others_say_meanwhile_makes_no_message_be_said_twice(stage_over: OpenStage) -> None:
    """Ada's ack was lost with the connection. However much is said until Ada is back, the room knows the message."""
    async with stage_over(grace_s=GRACE_S) as stage, await stage.bare_member("bo") as bo:
        ada = await stage.bare_member("ada")
        await ada.say("note", "once", id="a")
        await ada.stream.aclose()
        assert await bo.next("note") == {"type": "note", "payload": "once", "from": "ada", "offset": 1}
        for number in range(ACKNOWLEDGED + 1):
            await bo.say("note", number, id=number)
        for _ in range(ACKNOWLEDGED + 1):
            await bo.next("ack")
        async with await stage.bare_member("ada") as again:
            await again.say("note", "once", id="a")
            assert (await again.next("ack"))["payload"] == {"id": "a", "offset": 1}
            await again.say("note", "next")
            assert (await bo.next("note"))["payload"] == "next"


async def test_a_wrong_position_is_refused_with_a_code(stage_over: OpenStage) -> None:
    """As every wrong field of the query."""
    async with stage_over() as stage, await stage.bare() as bare:
        await bare.stream.send_all(upgrade_request(stage.target(since="yesterday"), stage.port))
        await bare.head()
        assert (await bare.next("error"))["payload"]["code"] == "invalid_since"


async def test_five_hundred_come_back_at_once_to_a_full_history(stage: Stage) -> None:
    """A mebibyte for each, more than a send buffer holds: all get every byte, and nobody is closed for it."""
    async with await stage.bare_member("bo") as bo:
        since = position(bo)
        for number in range(600):
            await bo.say("note", {"n": number, "pad": "." * 1_900})
        await bo.say("end", id="end")
        await bo.next("ack")
        history = stage.room().memory.history
        missed = b"".join(frame(TEXT, content) for content in history.after(0))
        assert len(missed) > 1_000_000
        assert history.last == 601

        async def come_back(name: str) -> None:
            async with await stage.bare() as member:
                await member.stream.send_all(upgrade_request(stage.target(name, since=since), stage.port))
                received = b""
                while (start := received.find(missed[:100])) < 0:
                    received += await member.stream.receive_some(65_536)
                at = len(received) - start
                assert missed.startswith(received[start:])
                while at < len(missed):
                    data = await member.stream.receive_some(262_144)
                    assert data
                    assert missed.startswith(data[: len(missed) - at], at)
                    at += len(data)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(500):
                    nursery.start_soon(come_back, f"m{number}")
        assert CloseCode.TOO_SLOW not in stage.gateway.counters.closes
