"""Members that do not read cannot slow or grow the room (SPEC 5.4, RELIABILITY 7)."""

import resource
import sys
from typing import Final

import pytest

from omnisonic.actors.connections.keepalive import Timeouts
from omnisonic.wire.closing import CloseCode
from tests.clients import Bare
from tests.gateway.conftest import OpenStage
from tests.gateway.latency import latencies_ms, percentile
from tests.rooms import eventually, open_stage

pytestmark = pytest.mark.timing

QUEUE_BYTES: Final = 256 * 1024
LONG_TEXT: Final = "x" * 32_000


def most_memory_bytes() -> int:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def flood(speaker: Bare, listener: Bare, count: int) -> None:
    """`speaker` says `count` long messages, each when `listener` has heard the one before."""
    for _ in range(count):
        await speaker.say("long", LONG_TEXT)
        await listener.next("long")


async def test_a_member_that_never_reads_is_gone_with_4008_at_its_limit(stage_over: OpenStage) -> None:
    """Its queue never holds more than 256 KiB and a message; when it reads at last, it learns why."""
    async with (
        stage_over(timeouts=Timeouts(closing_s=30.0)) as stage,
        await stage.bare_member("ada") as ada,
        await stage.bare_member("bo") as bo,
        await stage.bare_member("slow", receive_buffer_bytes=4096) as slow,
    ):
        most_queued_bytes = 0
        while not stage.gateway.counters.closes:
            await flood(ada, bo, 1)
            most_queued_bytes = max(most_queued_bytes, *(each.queued_bytes for each in stage.gateway.connections))
        assert stage.gateway.counters.closes == {CloseCode.TOO_SLOW: 1}
        assert 0 < most_queued_bytes <= QUEUE_BYTES + len(LONG_TEXT) + 1024
        await ada.say("done")
        assert (await bo.hear())["payload"] == {"memberId": "slow", "reason": "too_slow"}
        assert (await bo.hear())["type"] == "done"
        assert await slow.closed() == (4008, "you do not read what the room says")
        assert stage.roster() == ["ada", "bo"]


async def test_a_member_that_never_reads_at_all_is_dropped() -> None:
    """Within five seconds of its last chance, even when not one byte of the close can be delivered."""
    async with (
        open_stage(timeouts=Timeouts(closing_s=0.2)) as stage,
        await stage.bare_member("ada") as ada,
        await stage.bare_member("bo") as bo,
        await stage.bare_member("slow", receive_buffer_bytes=4096),
    ):
        while not stage.gateway.counters.closes:
            await flood(ada, bo, 1)
        await eventually(lambda: len(stage.gateway.connections) == 2)


async def test_slow_members_do_not_move_the_latency_of_the_others() -> None:
    """Twenty of them in the room, all over their limits one after the other, and nobody else notices."""
    async with open_stage() as stage, await stage.bare_member("ada") as ada, await stage.bare_member("bo") as bo:
        before_ms = await latencies_ms(ada, bo, for_s=0.5)
        slow = [await stage.bare_member(f"slow{number}", receive_buffer_bytes=4096) for number in range(20)]
        meanwhile_ms: list[float] = []
        while stage.gateway.counters.closes.get(CloseCode.TOO_SLOW, 0) < 20:
            await flood(ada, bo, 5)
            meanwhile_ms += await latencies_ms(ada, bo, for_s=0.01)
        for member in slow:
            await member.aclose()
    assert percentile(sorted(meanwhile_ms), 50) < 2 * percentile(before_ms, 50) + 1
    assert percentile(sorted(meanwhile_ms), 99) < 50


async def test_memory_does_not_grow_behind_those_who_do_not_read() -> None:
    """Sixty megabytes are said past five of them, and a fraction of that is ever held."""
    async with open_stage() as stage, await stage.bare_member("ada") as ada, await stage.bare_member("bo") as bo:
        slow = [await stage.bare_member(f"slow{number}", receive_buffer_bytes=4096) for number in range(5)]
        await flood(ada, bo, 50)
        before_bytes = most_memory_bytes()
        await flood(ada, bo, 2_000)
        assert most_memory_bytes() - before_bytes < 12_000_000
        for member in slow:
            await member.aclose()
