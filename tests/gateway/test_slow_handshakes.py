"""Those who never finish their handshake, and those who all come back at once (RELIABILITY 19 and 24)."""

from typing import Final, NoReturn

import pytest
import trio
import trio.testing

from omnisonic.actors.connections.keepalive import Timeouts
from tests.clients import Bare
from tests.gateway.conftest import OpenStage
from tests.processor_time import unhindered_s
from tests.rooms import Stage, becomes, eventually, open_stage

pytestmark = pytest.mark.timing

HALF_OPEN: Final = 500
JOIN_S: Final = 0.2
RECONNECTS: Final = 2_000
ROOMS: Final = 100
BACK_S: Final = 5.0
GREETING_SLACK_S: Final = 2.0
QUIET_S: Final = 0.005


async def begin(stage: Stage, head: bytes) -> Bare:
    """A client that says `head` and then nothing."""
    bare = await stage.bare()
    await bare.stream.send_all(head)
    return bare


async def trickle(bare: Bare) -> NoReturn:
    """Send a byte, and another when nothing else happens any more."""
    while True:
        await bare.stream.send_all(b"x")
        await trio.testing.wait_all_tasks_blocked(QUIET_S)


async def test_half_open_handshakes_hurt_no_newcomer_and_are_cut(stage_over: OpenStage) -> None:
    """Five hundred of them, silent or in the middle of a line: joins stay quick, and each is let go in time."""
    async with stage_over(timeouts=Timeouts(handshake_s=1.0)) as stage:
        relay_prefixes = [b"", b"GET /?roomId=jam", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"]
        half_open = [await begin(stage, relay_prefixes[number % 3]) for number in range(HALF_OPEN)]
        await eventually(lambda: len(stage.gateway.connections) == HALF_OPEN)
        for number in range(20):
            started_s = trio.current_time()
            async with await stage.bare_member(f"m{number}"):
                assert trio.current_time() - started_s < JOIN_S
        await eventually(lambda: not stage.gateway.connections)
        for bare in half_open:
            assert await bare.rest() == b""
            await bare.aclose()


async def test_a_handshake_that_trickles_is_cut_all_the_same(stage_over: OpenStage) -> None:
    """A byte now and then does not buy more time: the delay counts from the first."""
    async with (
        stage_over(timeouts=Timeouts(handshake_s=0.3)) as stage,
        await begin(stage, b"GET / HTTP/1.1\r\nX: ") as bare,
    ):
        with trio.fail_after(GREETING_SLACK_S), pytest.raises(trio.BrokenResourceError):
            await trickle(bare)
        assert not stage.gateway.connections


async def test_two_thousand_members_come_back_within_five_seconds() -> None:
    """All at once, as after a restart of the gateway: everybody is in their room, and the roster is exact.

    They and the gateway share one thread. What it waits for a processor is the machine's.
    """
    async with open_stage() as stage:
        band: list[Bare] = []

        async def come(first: int) -> None:
            names = range(first, RECONNECTS, 50)
            band.extend([await stage.bare_member(f"m{name}", f"jam{name % ROOMS}") for name in names])

        for attempt in range(2):
            started_s = unhindered_s()
            async with trio.open_nursery() as nursery:
                for first in range(50):
                    nursery.start_soon(come, first)
            assert unhindered_s() - started_s < BACK_S
            for room in range(ROOMS):
                members = sorted(f"m{number}" for number in range(room, RECONNECTS, ROOMS))
                assert stage.roster(f"jam{room}") == members
            await becomes(lambda: stage.mirrored("jam7"), stage.roster("jam7"), deadline_s=1.0)
            if attempt == 0:
                for member in band:
                    await member.aclose()
                band.clear()
        for member in band:
            await member.aclose()
