"""The studio as processes: who is there, what REST does to rooms, and what is left when parts are killed or stopped.

Each test runs on `omnisonic serve`, and on `gateway` and `web` started apart on a Valkey from outside.
"""

import json
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.cli.running import START_S
from tests.clients import Client
from tests.rooms import becomes, eventually
from tests.system.studio import STOP_S, Studio, all_gone, end, running_studio

pytestmark = pytest.mark.timing

TRUE_WITHIN_S = 1.0
"""The mirrored roster is true within this time (SPEC 5.4)."""
RECONNECT_MS = range(500, 5_001)
NEWCOMERS = [f"m{number}" for number in range(20)]


async def test_members_and_rest_agree_on_who_is_there(studio: Studio) -> None:
    """Two members see each other, hear each other, and are what REST tells."""
    async with studio.visitors.band("ada", "bo", room="agree") as (ada, bo):
        assert _ids(bo.welcome) == ["ada", "bo"]
        await ada.say("chat", {"text": "From the bridge?"})
        received = await bo.next("chat")
        assert (received["from"], received["payload"]) == ("ada", {"text": "From the bridge?"})
        await becomes(lambda: studio.visitors.roster("agree"), ["ada", "bo"], TRUE_WITHIN_S)


async def test_the_roster_is_true_within_a_second_of_every_join_and_leave(studio: Studio) -> None:
    """Whether somebody comes, leaves in order, is cut off without a word, or comes back."""
    visitors = studio.visitors
    async with visitors.member("ada", "second"):
        await becomes(lambda: visitors.roster("second"), ["ada"], TRUE_WITHIN_S)
        async with visitors.member("bo", "second"):
            await becomes(lambda: visitors.roster("second"), ["ada", "bo"], TRUE_WITHIN_S)
        await becomes(lambda: visitors.roster("second"), ["ada"], TRUE_WITHIN_S)
        async with visitors.bare_member("bo", "second"):
            await becomes(lambda: visitors.connected("second"), {"ada": True, "bo": True}, TRUE_WITHIN_S)
        await becomes(lambda: visitors.connected("second"), {"ada": True, "bo": False}, TRUE_WITHIN_S)
        async with visitors.member("bo", "second"):
            await becomes(lambda: visitors.connected("second"), {"ada": True, "bo": True}, TRUE_WITHIN_S)
    await becomes(lambda: visitors.roster("second"), [], TRUE_WITHIN_S)


async def test_what_rest_says_is_seen_in_the_room(studio: Studio) -> None:
    """Somebody without a socket comes, changes and is taken out again, and the room sees all of it."""
    visitors = studio.visitors
    async with visitors.member("ada", "rest") as ada:
        await visitors.arrive("bo", "rest")
        member = {"memberId": "bo", "displayName": "Bo", "status": "active", "connected": True}
        assert (await ada.hear())["payload"] == member
        await visitors.arrive("bo", "rest", status="away")
        update = await ada.hear()
        assert (update["type"], update["payload"]) == ("presence.update", member | {"status": "away"})
        await becomes(lambda: visitors.roster("rest"), ["ada", "bo"], TRUE_WITHIN_S)
        await visitors.depart("bo", "rest")
        leave = await ada.hear()
        assert (leave["type"], leave["payload"]) == ("presence.leave", {"memberId": "bo", "reason": "removed"})
        await becomes(lambda: visitors.roster("rest"), ["ada"], TRUE_WITHIN_S)
        await visitors.depart("bo", "rest")


async def test_a_presence_that_nobody_repeats_expires_in_the_room(studio: Studio) -> None:
    """After `ttlSeconds` the member is gone, for the room as for REST."""
    visitors = studio.visitors
    async with visitors.member("ada", "expiry") as ada:
        await visitors.arrive("bo", "expiry", ttlSeconds=1)
        assert (await ada.hear())["type"] == "presence.join"
        leave = await ada.hear()
        assert (leave["type"], leave["payload"]) == ("presence.leave", {"memberId": "bo", "reason": "expired"})
        await becomes(lambda: visitors.roster("expiry"), ["ada"], TRUE_WITHIN_S)


async def test_a_killed_gateway_is_back_with_a_true_roster(studio: Studio) -> None:
    """Who comes back is on it; who does not is on none any more, not even of a room that nobody came back to."""
    visitors = studio.visitors
    async with AsyncExitStack() as stack:
        band = [await stack.enter_async_context(visitors.bare_member(name, "killed")) for name in ("ada", "bo", "cy")]
        band.append(await stack.enter_async_context(visitors.bare_member("di", "deserted")))
        await becomes(lambda: visitors.roster("killed"), ["ada", "bo", "cy"], TRUE_WITHIN_S)
        await becomes(lambda: visitors.roster("deserted"), ["di"], TRUE_WITHIN_S)
        assert await end(studio, "gateway", signal.SIGKILL) == -signal.SIGKILL
        for bare in band:
            await bare.rest()
    async with visitors.member("ada", "killed"), visitors.member("bo", "killed") as bo:
        assert _ids(bo.welcome) == ["ada", "bo"]
        await becomes(lambda: visitors.roster("killed"), ["ada", "bo"], TRUE_WITHIN_S)
        await becomes(lambda: visitors.roster("deserted"), [], TRUE_WITHIN_S)


async def test_nobody_is_refused_while_the_gateway_is_started_again(studio: Studio) -> None:
    """Connections that are attempted while there is no gateway at all are all welcomed by the next one."""
    visitors = studio.visitors
    welcomed: list[str] = []
    may_leave = trio.Event()

    async def come(member: str) -> None:
        async with visitors.member(member, "restart") as client:
            welcomed.append(client.welcome["payload"]["memberId"])
            await may_leave.wait()

    before = studio.pid("gateway")
    await end(studio, "gateway", signal.SIGKILL)
    async with trio.open_nursery() as nursery:
        for member in NEWCOMERS:
            nursery.start_soon(come, member)
        await eventually(lambda: len(welcomed) == len(NEWCOMERS), START_S)
        await becomes(lambda: visitors.roster("restart"), sorted(NEWCOMERS), TRUE_WITHIN_S)
        may_leave.set()
    assert sorted(welcomed) == sorted(NEWCOMERS)
    assert studio.pid("gateway") != before


async def test_no_room_notices_that_the_web_was_killed(studio: Studio) -> None:
    """A stream of messages goes on without a gap until the web is back, and everybody is still there."""
    visitors = studio.visitors
    async with visitors.band("ada", "bo", room="unmoved") as (ada, bo):
        before = studio.pid("web")
        said = 0
        is_back = trio.Event()

        async def wait_for_the_web() -> None:
            assert await end(studio, "web", signal.SIGKILL) == -signal.SIGKILL
            assert await visitors.ask("GET", "/healthz") == {"ok": True}
            is_back.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_the_web)
            while not is_back.is_set():
                said += 1
                await ada.say("count", said)
                with trio.fail_after(TRUE_WITHIN_S):
                    received = await bo.hear()
                assert (received["type"], received["payload"], received["offset"]) == ("count", said, said)
        assert studio.pid("web") != before
        await becomes(lambda: visitors.roster("unmoved"), ["ada", "bo"], TRUE_WITHIN_S)


async def test_a_gateway_that_is_stopped_tells_everyone_when_to_come_back(studio: Studio) -> None:
    """SIGTERM to it alone: 1001 with a delay for each, exit code 0, and nobody is on the roster until they return."""
    visitors = studio.visitors
    async with visitors.band("ada", "bo", "cy", room="alone") as band:
        await becomes(lambda: visitors.roster("alone"), ["ada", "bo", "cy"], TRUE_WITHIN_S)
        async with trio.open_nursery() as nursery:
            for client in band:
                nursery.start_soon(_is_told_to_come_back, client)
            began_s = time.monotonic()
            assert await end(studio, "gateway", signal.SIGTERM) == 0
            assert time.monotonic() - began_s < STOP_S
    await becomes(lambda: visitors.roster("alone"), [], TRUE_WITHIN_S)
    async with visitors.member("ada", "alone") as ada:
        assert _ids(ada.welcome) == ["ada"]


@pytest.mark.parametrize("way", ["serve", "apart"])
async def test_a_stop_tells_everyone_and_leaves_no_process(way: str, tmp_path: Path) -> None:
    """SIGTERM to everything: 1001 with a delay for each, exit code 0 within 10 s, and nothing runs any more."""
    with running_studio(way, tmp_path) as studio:
        pids = studio.processes()
        async with studio.visitors.band("ada", "bo", "cy", room="stop") as band, trio.open_nursery() as nursery:
            for client in band:
                nursery.start_soon(_is_told_to_come_back, client)
            began_s = time.monotonic()
            codes = await trio.to_thread.run_sync(studio.stop)
            assert time.monotonic() - began_s < STOP_S
        assert set(codes) == {0}
        all_gone(pids)


async def _is_told_to_come_back(client: Client) -> None:
    code, reason = await client.closed()
    assert code == 1001
    assert json.loads(reason)["reconnectMs"] in RECONNECT_MS


def _ids(welcome: dict[str, object]) -> list[str]:
    payload = welcome["payload"]
    assert isinstance(payload, dict)
    return sorted(member["memberId"] for member in payload["members"])
