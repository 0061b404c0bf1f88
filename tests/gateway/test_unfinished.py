"""Messages that are begun and not ended: cut in time, whatever comes of them meanwhile (SPEC 5.4)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio
import trio.testing

from tests.clients import BINARY, CLOSE, FRAGMENT_OF_TEXT, LAST, MORE, PING, TEXT, envelope, masked_frame
from tests.gateway.bare_client import ByHand, pass_time
from tests.rooms import Stage, eventually, open_stage

pytestmark = pytest.mark.timing

SOON_S, WITHIN_S = 8.0, 10.0
NOTE: Final = masked_frame(TEXT, envelope("note").encode())
FRAGMENTS: Final = masked_frame(FRAGMENT_OF_TEXT, b'{"type":') + masked_frame(LAST, b'"note"}')
TRICKLE: Final = masked_frame(MORE, b"x")


@pytest.fixture
async def stage(mock_clock: trio.testing.MockClock) -> AsyncIterator[Stage]:
    """A gateway on a clock that a test moves."""
    del mock_clock
    async with open_stage() as stage:
        yield stage


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        pytest.param(NOTE[:1], b"", id="one byte"),
        pytest.param(masked_frame(TEXT, b" " * 5000)[:10], b" ", id="a frame that trickles"),
        pytest.param(masked_frame(BINARY, b" " * 65_536)[:-1], b"", id="a long frame but for its last byte"),
        pytest.param(masked_frame(BINARY, b" " * 1_000_000)[:900_000], b" ", id="a frame of a megabyte"),
        pytest.param(masked_frame(FRAGMENT_OF_TEXT, b'{"type":"'), TRICKLE, id="fragments without end"),
        pytest.param(masked_frame(FRAGMENT_OF_TEXT, b"{"), masked_frame(PING, b""), id="pings between fragments"),
        pytest.param(masked_frame(FRAGMENT_OF_TEXT, b"{") + masked_frame(LAST, b"}")[:3], b"", id="half a fragment"),
        pytest.param(masked_frame(PING, b"abc")[:5], b"", id="half a ping"),
        pytest.param(NOTE * 3 + NOTE[:9], b"", id="behind whole messages"),
    ],
)
async def test_a_message_that_is_not_ended_is_cut_within_ten_seconds(
    stage: Stage, mock_clock: trio.testing.MockClock, begun: bytes, more: bytes
) -> None:
    """Counted from its first byte, however steadily it goes on; the member may come back (1013)."""
    with ByHand(stage) as ada:
        await pass_time(mock_clock, 5.0, ada)
        began_s = trio.current_time()
        for at in range(0, len(begun), 60_000):
            ada.send(begun[at : at + 60_000])
            await pass_time(mock_clock, 0.0, ada)
        await pass_time(mock_clock, WITHIN_S, ada, each=lambda: ada.send(more))
        ((closed_s, payload),) = ada.of(CLOSE)
        assert int.from_bytes(payload[:2], "big") == 1013
        assert payload[2:] == b"a message was not finished in time"
        assert SOON_S <= closed_s - began_s <= WITHIN_S
        assert ada.ended_s is not None
        assert stage.roster() == []
        assert stage.gateway.unfinished.size == 0


@pytest.mark.parametrize("message", [NOTE, FRAGMENTS], ids=["whole", "in fragments"])
async def test_a_client_that_always_has_a_message_under_way_stays(
    stage: Stage, mock_clock: trio.testing.MockClock, message: bytes
) -> None:
    """Each read ends in the middle of another message, which the next one ends: each is finished in time."""
    with ByHand(stage) as ada:
        await pass_time(mock_clock, 0.0, ada)
        ada.send(message[:8])
        for _ in range(2 * int(WITHIN_S)):
            await pass_time(mock_clock, 1.0, ada)
            ada.send(message[8:] + message[:8])
        await pass_time(mock_clock, 0.0, ada)
        assert stage.roster() == ["ada"]
        assert stage.room().offset == 2 * WITHIN_S
        assert stage.gateway.unfinished.size == 8
        ada.send(message[8:])
        await pass_time(mock_clock, 0.0, ada)
        assert len(stage.gateway.unfinished) == 0


async def test_what_is_unfinished_is_counted_wherever_it_is() -> None:
    """In a head, in a frame, on the slow path; and is none of it any more when it is whole, or its client gone."""
    async with open_stage() as stage, await stage.bare() as head, await stage.bare_member("bo") as bo:
        sizes = []
        begun = [(head, b"GET / HTTP/1.1\r\n"), (bo, NOTE[:9]), (bo, NOTE[9:])]
        async with await stage.bare_member("cy") as cy:
            begun += [(cy, masked_frame(FRAGMENT_OF_TEXT, b'{"type":')), (cy, masked_frame(LAST, b'"note"}')[:8])]
            for bare, data in begun:
                await bare.stream.send_all(data)
                await trio.testing.wait_all_tasks_blocked(0.01)
                sizes.append(stage.gateway.unfinished.size)
        await eventually(lambda: len(stage.gateway.unfinished) == 1)
        fragment = len(begun[3][1])
        assert sizes == [16, 16 + 9, 16, 16 + fragment, 16 + fragment + 8]
        assert stage.gateway.unfinished.size == 16


async def test_over_the_budget_the_largest_are_cut_and_drop_what_they_hold() -> None:
    """Whatever it is: a large head gets 503, a large message 1013. The others stay, and whole messages go through."""
    async with (
        open_stage(unfinished_bytes=60_000) as stage,
        await stage.bare() as head,
        await stage.bare_member("ada") as ada,
        await stage.bare_member("bo") as bo,
        await stage.bare_member("cy") as cy,
    ):
        await head.stream.send_all(b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 2000)
        await bo.stream.send_all(masked_frame(BINARY, b" " * 10_000)[:-1])
        await eventually(lambda: len(stage.gateway.unfinished) == 2)
        await ada.stream.send_all(masked_frame(FRAGMENT_OF_TEXT, b"[" * 50_000))
        assert await ada.closed() == (1013, "too many messages are unfinished here")
        assert 22_000 < stage.gateway.unfinished.size < 23_000
        await cy.stream.send_all(masked_frame(BINARY, b" " * 40_000)[:-1])
        assert (await cy.closed())[0] == 1013
        await bo.stream.send_all(b" ")
        await eventually(lambda: len(stage.gateway.unfinished) == 1)
        text = envelope("note", "x" * 20_000, id=7).encode()
        await bo.send(FRAGMENT_OF_TEXT, text[:10_000])
        await eventually(lambda: stage.gateway.unfinished.size > 22_000)
        await bo.send(LAST, text[10_000:])
        assert (await bo.next("ack"))["payload"]["id"] == 7
        assert [stage.roster(), len(stage.gateway.unfinished)] == [["bo"], 1]
