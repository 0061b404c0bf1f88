"""Members who send as fast as they can: told, then closed, while the others do not feel it (RELIABILITY 21)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import Final

import pytest
import trio

from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.wire.closing import CloseCode
from tests.clients import FRAGMENT_OF_TEXT, MORE, PING, TEXT, Bare, envelope, masked_frame
from tests.gateway.latency import latencies_ms, percentile
from tests.rooms import open_stage

pytestmark = pytest.mark.timing

RATE: Final = RateLimit.of(500, 1_000)
"""What a gateway has by default."""
P99_MS: Final = 100.0
FLOODERS: Final = 5


def fragments() -> Iterator[bytes]:
    """A message that begins and never ends."""
    yield masked_frame(FRAGMENT_OF_TEXT, b'{"type":"')
    yield from repeat(masked_frame(MORE, b"x"))


async def flood(member: Bare, frames: Iterator[bytes]) -> None:
    """Send without a pause and without reading, until the server has had enough."""
    async with member:
        with suppress(trio.BrokenResourceError):
            while True:
                await member.stream.send_all(b"".join(next(frames) for _ in range(50)))


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(lambda: repeat(masked_frame(PING, b"")), id="pings"),
        pytest.param(lambda: repeat(masked_frame(TEXT, envelope("note").encode())), id="messages"),
        pytest.param(lambda: repeat(masked_frame(TEXT, b"nonsense")), id="nonsense"),
        pytest.param(lambda: repeat(masked_frame(TEXT, envelope("heartbeat", id=1).encode())), id="heartbeats"),
        pytest.param(fragments, id="fragments"),
    ],
)
async def test_a_flood_is_ended_with_4009_and_not_felt_by_the_others(frames: Callable[[], Iterator[bytes]]) -> None:
    """Five members flood a room at once; two others talk in it all the while."""
    async with (
        open_stage(rate=RATE) as stage,
        await stage.bare_member("ada") as ada,
        await stage.bare_member("bo") as bo,
    ):
        async with trio.open_nursery() as nursery:
            taken_ms: list[float] = []
            for number in range(FLOODERS):
                nursery.start_soon(flood, await stage.bare_member(f"m{number}"), frames())
            while stage.gateway.counters.closes.get(CloseCode.RATE_LIMIT, 0) < FLOODERS:
                taken_ms += await latencies_ms(ada, bo, for_s=0.05)
            taken_ms += await latencies_ms(ada, bo, for_s=0.2)
            nursery.cancel_scope.cancel()
        assert percentile(sorted(taken_ms), 99) < P99_MS
        assert stage.gateway.counters.closes == {CloseCode.RATE_LIMIT: FLOODERS}
        assert stage.roster() == ["ada", "bo"]
