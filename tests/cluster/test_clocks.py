"""Gateways whose wall clocks differ by a minute (SPEC 5.5): rooms have one owner, and its clock is theirs."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
import pytest
import trio

from omnisonic.stores.room_memory import LEASE_S
from omnisonic.wire.transport import Transport
from tests.cluster.gateways import Stores, cluster_of, open_member_of_cluster, owners
from tests.rooms import Stage, eventually, listening

MINUTE_MS: Final = 60_000
NEAR_MS: Final = 20_000
"""Clocks of one gateway, or of two, are told apart by this, however busy the machine is."""
BEATS: Final = 2.0
"""What plays may be off by this after a move between two clocks. A beat is a second, and a move takes longer."""
RECOVERS_S: Final = 6.0
GRACE_S: Final = 15.0
LOOK_S: Final = 0.01


def clock(off_ms: int = 0) -> int:
    """A wall clock that is off by so much."""
    return time.time_ns() // 1_000_000 + off_ms


@asynccontextmanager
async def two_gateways(off_ms: int, stores: Stores) -> AsyncIterator[list[Stage]]:
    """Two gateways, of which the second has another clock. The first owns the room as soon as somebody enters there."""
    async with (
        open_member_of_cluster("a", stores, grace_s=GRACE_S, now_ms=clock) as a,
        open_member_of_cluster("b", stores, grace_s=GRACE_S, now_ms=lambda: clock(off_ms)) as b,
    ):
        await listening(a, 2)
        yield [a, b]


@pytest.mark.parametrize("off_ms", [-MINUTE_MS, MINUTE_MS])
async def test_a_gateway_with_another_clock_is_one_of_the_cluster(off_ms: int) -> None:
    """Both keep their leases, the room has one owner all the time, and all times in it are the owner's."""
    async with (
        two_gateways(off_ms, Stores()) as stages,
        stages[0].member("ada") as ada,
        stages[1].member("bob") as bob,
    ):
        until_s = trio.current_time() + LEASE_S + 1.0
        while trio.current_time() < until_s:
            assert owners(stages) == [0]
            assert all(cluster_of(stage).lease.is_valid for stage in stages)
            await trio.sleep(LOOK_S)
        assert abs(bob.welcome["payload"]["serverTime"] - clock()) < NEAR_MS
        await bob.say("heartbeat", 1)
        assert abs((await bob.next("heartbeat"))["payload"]["ts"] - clock()) < NEAR_MS
        await bob.say("transport.set", {"playing": True})
        for each in (ada, bob):
            assert abs((await each.next("transport.state"))["payload"]["anchorTime"] - clock()) < NEAR_MS
        assert sum(stats.resets for stage in stages for stats in cluster_of(stage).links.peers.values()) == 0


@pytest.mark.parametrize("off_ms", [-MINUTE_MS, MINUTE_MS])
@pytest.mark.parametrize("has_edge", [True, False])
async def test_a_room_goes_on_where_it_is_at_a_gateway_with_another_clock(off_ms: int, *, has_edge: bool) -> None:
    """Its owner dies. What plays is where it would be, and members are waited for, by whichever clock."""
    stores = Stores()
    async with two_gateways(off_ms, stores) as (a, b), AsyncExitStack() as stack:
        ada = await stack.enter_async_context(a.member("ada"))
        bob = await stack.enter_async_context(b.member("bob")) if has_edge else None
        await ada.say("transport.set", {"playing": True, "tempoBpm": 60})
        began = (await ada.next("transport.state"))["payload"]
        await eventually(lambda: a.gateway.memory_lag_s() == 0 and beat(began, clock()) > BEATS)
        stores.cut_off("a")
        if bob is None:
            bob = await stack.enter_async_context(b.member("bob"))
            welcome = bob.welcome["payload"]
        else:
            with trio.fail_after(RECOVERS_S):
                welcome = (await bob.next("welcome"))["payload"]
        assert owners([b]) == [0]
        assert abs(welcome["serverTime"] - clock(off_ms)) < NEAR_MS
        assert (
            abs(beat(welcome["transport"], welcome["serverTime"]) - beat(began, welcome["serverTime"] - off_ms)) < BEATS
        )
        assert {each["memberId"] for each in welcome["members"]} == {"ada", "bob"}


@pytest.mark.parametrize("off_ms", [-MINUTE_MS, MINUTE_MS])
async def test_members_who_are_cut_off_play_on_by_another_clock(off_ms: int) -> None:
    """Nobody has the record: the room begins with what members there have heard."""
    stores = Stores()
    async with two_gateways(off_ms, stores) as (a, b), a.member("ada") as ada, b.member("bob") as bob:
        await ada.say("transport.set", {"playing": True, "tempoBpm": 60})
        began = (await bob.next("transport.state"))["payload"]
        await eventually(lambda: beat(began, clock()) > BEATS)
        stores.cut_off("b")
        with trio.fail_after(RECOVERS_S):
            welcome = (await bob.next("welcome"))["payload"]
        assert (
            abs(beat(welcome["transport"], welcome["serverTime"]) - beat(began, welcome["serverTime"] - off_ms)) < BEATS
        )


def beat(transport: Any, time_ms: float) -> float:
    """Where this transport is, in beats, which are seconds here."""
    return msgspec.convert(transport, Transport).beat_at(time_ms)
