"""Valkey killed, hanging and emptied under two hundred members: only the mirror notices (SPEC 5.4, RELIABILITY 1-3)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.models import PresenceMember
from omnisonic.operations.gateway_stores import open_presence_and_bus
from tests.clients import Bare
from tests.gateway.latency import latencies_ms, percentile
from tests.rooms import Stage, becomes, eventually, open_stage
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

ROOMS: Final = 10
MEMBERS: Final = 200
OUTAGE_S: Final = 1.5
FULL_OUTAGE_S: Final = 10.0
RETURN_S: Final = 2.0
P99_MS: Final = 50.0


@pytest.fixture
async def stage(valkey: ValkeyServer) -> AsyncIterator[Stage]:
    """A gateway on the Valkey that the test is going to hurt."""
    async with open_presence_and_bus(valkey.url) as (presence, bus), open_stage(presence=presence, bus=bus) as stage:
        yield stage


async def untrue(stage: Stage) -> dict[str, list[str]]:
    """The rooms of which the store does not say what they say themselves, and what it says."""
    said = {actor.room_id: await stage.mirrored(actor.room_id) for actor in stage.gateway.registry}
    return {room: members for room, members in said.items() if members != stage.roster(room)}


async def during(stage: Stage, band: list[Bare], outage_s: float) -> Bare:
    """Talk while the store is gone, and let somebody come and somebody go unseen. The newcomer stays."""
    await band.pop().aclose()
    newcomer = await stage.bare_member("newcomer", "jam0")
    speaker, listener, *others = band[::ROOMS]
    async with trio.open_nursery() as nursery:
        for member in (newcomer, *others):
            nursery.start_soon(member.rest)
        taken_ms = await latencies_ms(speaker, listener, for_s=outage_s)
        nursery.cancel_scope.cancel()
    assert percentile(taken_ms, 99) < P99_MS
    assert len(stage.gateway.connections) == MEMBERS
    assert stage.gateway.counters.closes == {}
    return newcomer


@pytest.mark.parametrize("outage_s", [OUTAGE_S, FULL_OUTAGE_S])
async def test_valkey_dies_under_two_hundred_members(stage: Stage, valkey: ValkeyServer, outage_s: float) -> None:
    """Nobody is dropped, messages go on as before, and within two seconds of its return all is mirrored again."""
    async with stage.crowd(MEMBERS, rooms=ROOMS) as band:
        await becomes(lambda: untrue(stage), {})
        valkey.kill()
        async with await during(stage, band, outage_s):
            assert stage.gateway.measure()["mirror_lag_s"] > outage_s / 2
            valkey.start()
            await becomes(lambda: untrue(stage), {}, deadline_s=RETURN_S)
            assert "newcomer" in stage.roster("jam0")


async def test_valkey_hangs_under_two_hundred_members(stage: Stage, valkey: ValkeyServer) -> None:
    """The same when it takes connections and answers nothing."""
    async with stage.crowd(MEMBERS, rooms=ROOMS) as band:
        await becomes(lambda: untrue(stage), {})
        valkey.pause()
        async with await during(stage, band, OUTAGE_S):
            valkey.resume()
            await becomes(lambda: untrue(stage), {}, deadline_s=RETURN_S)


async def test_valkey_is_emptied_under_two_hundred_members(stage: Stage, valkey: ValkeyServer) -> None:
    """It forgets everything at once: all of it is written again, without anybody who has gone since."""
    async with stage.crowd(MEMBERS, rooms=ROOMS) as band:
        await becomes(lambda: untrue(stage), {})
        await band.pop().aclose()
        await eventually(lambda: len(stage.gateway.connections) == MEMBERS - 1)
        valkey.flush()
        await becomes(lambda: untrue(stage), {}, deadline_s=RETURN_S)
        assert stage.gateway.measure()["members"] == MEMBERS - 1


async def test_a_gateway_starts_while_valkey_is_down(valkey: ValkeyServer) -> None:
    """Rooms need no store to open; the mirror follows when it is there."""
    valkey.kill()
    async with (
        open_presence_and_bus(valkey.url) as (presence, bus),
        open_stage(presence=presence, bus=bus) as stage,
        stage.member("ada"),
    ):
        assert stage.roster() == ["ada"]
        valkey.start()
        await becomes(stage.mirrored, ["ada"], deadline_s=RETURN_S)


async def test_what_a_killed_gateway_left_behind_is_removed_by_the_next(stage: Stage, valkey: ValkeyServer) -> None:
    """A gateway of the same name starts: the members of the dead one are no ghosts (phoenix #2306)."""
    await stage.presence.write_rosters("test", {"jam": [PresenceMember("ghost", "Ghost")]}, ttl_s=60)
    async with open_presence_and_bus(valkey.url) as (presence, bus), open_stage(presence=presence, bus=bus) as second:
        await becomes(second.mirrored, [])
