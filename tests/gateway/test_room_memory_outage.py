"""Valkey killed, hanging and emptied while rooms talk: nobody waits, and what was said is in the store afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
import trio

from omnisonic.operations.gateway_stores import open_room_memory
from tests.clients import Bare
from tests.gateway.latency import latencies_ms, percentile
from tests.rooms import Stage, eventually, open_stage
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

OUTAGE_S: Final = 1.5
RETURN_S: Final = 2.0
P99_MS: Final = 50.0
HISTORY_S: Final = 300.0
STOP_S: Final = 8.0
"""`serve` kills what has not stopped after 9 s."""


@asynccontextmanager
async def gateway_at(valkey: ValkeyServer) -> AsyncIterator[Stage]:
    """A gateway whose rooms are remembered in this Valkey."""
    async with open_room_memory(valkey.url, HISTORY_S) as memory, open_stage(memory=memory) as stage:
        yield stage


async def is_caught_up(stage: Stage) -> None:
    """Wait until the store has everything."""
    await eventually(lambda: stage.gateway.memory_lag_s() == 0, RETURN_S)


@pytest.mark.parametrize("outage", ["killed", "paused", "flushed"])
async def test_an_outage_delays_nobody_and_the_next_gateway_goes_on(valkey: ValkeyServer, outage: str) -> None:
    """Those who are here, and those who come; whoever comes back later gets every message, once."""
    async with gateway_at(valkey) as stage:
        ada, bob = await stage.bare_member("ada"), await stage.bare_member("bob")
        epoch = bob.welcome["payload"]["epoch"]
        await ada.say("note", "before")
        await bob.next("note")
        await trio.sleep(RETURN_S / 4)
        await is_caught_up(stage)
        {"killed": valkey.kill, "paused": valkey.pause, "flushed": valkey.flush}[outage]()
        taken_ms = await latencies_ms(ada, bob, for_s=OUTAGE_S)
        assert percentile(taken_ms, 99) < P99_MS
        began_s = trio.current_time()
        async with await stage.bare_member("cy", "another room"):
            assert trio.current_time() - began_s < 0.25
        if outage == "killed":
            assert stage.gateway.measure()["memory_lag_s"] > OUTAGE_S / 2
        valkey.resume()
        valkey.start()
        await ada.say("note", "after")
        await bob.next("note")
        await eventually(lambda: stage.gateway.memory_lag_s() == 0, RETURN_S)
        count = stage.room().offset
        for member in (ada, bob):
            await member.aclose()
    async with gateway_at(valkey) as stage:
        di = await stage.bare_member("di", since=f"{epoch}:{count - 5}")
        assert di.welcome["payload"]["recovered"] is True
        assert di.welcome["payload"]["epoch"] == epoch
        assert [(await di.hear())["offset"] for _ in range(5)] == list(range(count - 4, count + 1))
        await di.aclose()


async def test_a_gateway_whose_store_hangs_stops_in_time(valkey: ValkeyServer) -> None:
    """Whoever comes back to the next one gets what they missed, or is told of a gap: the server may do it later."""
    async with gateway_at(valkey) as stage:
        ada = await stage.bare_member("ada")
        epoch = ada.welcome["payload"]["epoch"]
        await trio.sleep(RETURN_S / 4)
        valkey.pause()
        await ada.say("note", id=1)
        await ada.next("ack")
        await ada.aclose()
        began_s = trio.current_time()
    assert trio.current_time() - began_s < STOP_S
    valkey.resume()
    async with gateway_at(valkey) as stage:
        bob = await stage.bare_member("bob", since=f"{epoch}:0")
        first = await bob.hear()
        if bob.welcome["payload"]["recovered"]:
            assert (bob.welcome["payload"]["epoch"], first["type"], first["offset"]) == (epoch, "note", 1)
        else:
            assert first["type"] == "history.gap"
        await bob.aclose()


async def test_two_hundred_rooms_are_loaded_when_everybody_comes_back_at_once(valkey: ValkeyServer) -> None:
    """After a restart of the gateway: each goes on in its epoch."""
    epochs: dict[str, str] = {}
    rooms = [f"room {number}" for number in range(200)]

    async def come(stage: Stage, room: str) -> Bare:
        member = await stage.bare_member("ada", room)
        member.deadline_s = 20.0
        return member

    async with gateway_at(valkey) as stage:
        for room in rooms:
            member = await come(stage, room)
            for _ in range(20):
                await member.say("note", "x" * 200)
            await member.say("note", id=1)
            await member.next("ack")
            epochs[room] = member.welcome["payload"]["epoch"]
            await member.aclose()
    found: dict[str, str] = {}

    async def come_back(stage: Stage, room: str) -> None:
        member = await come(stage, room)
        found[room] = member.welcome["payload"]["epoch"]
        await member.aclose()

    async with gateway_at(valkey) as stage, trio.open_nursery() as nursery:
        for room in rooms:
            nursery.start_soon(come_back, stage, room)
    assert found == epochs
