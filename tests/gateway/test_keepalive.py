"""Is anybody there: a silent client is pinged after 20 s, and gone after 35 s, from its last byte (SPEC 5.4)."""

from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.testing

from tests.clients import CLOSE, PING, PONG, TEXT, envelope, masked_frame
from tests.gateway.bare_client import ByHand, pass_time
from tests.rooms import Stage, open_stage

pytestmark = pytest.mark.timing

PING_S, GONE_S, LATE_S = 20.0, 35.0, 1.0
STAYS_S = 56.0
"""Long past the time at which a client is gone that does not answer, and under the deadline that every test has."""
NOTE = masked_frame(TEXT, envelope("note").encode())


@pytest.fixture
async def stage(mock_clock: trio.testing.MockClock) -> AsyncIterator[Stage]:
    """A gateway on a clock that a test moves."""
    del mock_clock
    async with open_stage() as stage:
        yield stage


@pytest.mark.parametrize("spoke_s", [0.0, 0.25, 4.5, 12.0, 19.5])
async def test_a_silent_client_is_pinged_and_gone_in_time_from_its_last_byte(
    stage: Stage, mock_clock: trio.testing.MockClock, spoke_s: float
) -> None:
    """Whenever in the gateway's rounds it spoke last: pinged once, then 4010."""
    with ByHand(stage) as ada:
        await pass_time(mock_clock, spoke_s, ada)
        ada.send(NOTE)
        last_s = trio.current_time()
        await pass_time(mock_clock, GONE_S + 2 * LATE_S, ada)
        ((pinged_s, _),) = ada.of(PING)
        ((closed_s, payload),) = ada.of(CLOSE)
        assert PING_S <= pinged_s - last_s <= PING_S + LATE_S
        assert GONE_S <= closed_s - last_s <= GONE_S + LATE_S
        assert int.from_bytes(payload[:2], "big") == 4010
        assert stage.roster() == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda payload: masked_frame(PONG, payload), id="a pong"),
        pytest.param(lambda _: NOTE, id="a message"),
        pytest.param(lambda _: NOTE[:3], id="a piece of a message"),
    ],
)
async def test_a_client_that_answers_pings_stays(
    stage: Stage, mock_clock: trio.testing.MockClock, answer: Callable[[bytes], bytes]
) -> None:
    """Each ping comes 20 s after its last byte, and anything it sends is as good as a pong."""
    with ByHand(stage) as ada:
        await pass_time(mock_clock, 0.0, ada)
        said_s = [trio.current_time()]
        left = b""

        def reply() -> None:
            nonlocal left
            if left:  # the piece of a message is ended, or it would be cut for that
                ada.send(left)
                left = b""
                said_s[-1] = trio.current_time()
            pings = ada.of(PING)
            if len(pings) == len(said_s):
                data = answer(pings[-1][1])
                ada.send(data)
                left = NOTE[3:] if data == NOTE[:3] else b""
                said_s.append(trio.current_time())

        await pass_time(mock_clock, STAYS_S, ada, each=reply)
        assert stage.roster() == ["ada"]
        assert ada.ended_s is None
        gaps_s = [pinged_s - said for (pinged_s, _), said in zip(ada.of(PING), said_s, strict=False)]
        assert len(gaps_s) == 2
        assert all(PING_S <= gap_s <= PING_S + LATE_S for gap_s in gaps_s), gaps_s


async def test_a_client_that_talks_is_not_pinged(stage: Stage, mock_clock: trio.testing.MockClock) -> None:
    """Once in nineteen seconds is enough."""
    with ByHand(stage) as ada:
        for _ in range(3):
            await pass_time(mock_clock, PING_S - LATE_S, ada)
            ada.send(NOTE)
        assert ada.of(PING) == []
        assert stage.roster() == ["ada"]


async def test_a_gateway_that_stood_still_hears_first_what_was_said_meanwhile(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    """A suspended machine wakes up: a client that had answered its ping is not told that it had not."""
    with ByHand(stage) as ada:
        await pass_time(mock_clock, PING_S + LATE_S, ada)
        assert len(ada.of(PING)) == 1
        ada.send(masked_frame(PONG, b""))
        mock_clock.jump(30.0)
        await pass_time(mock_clock, 5.0, ada)
        assert stage.roster() == ["ada"]
