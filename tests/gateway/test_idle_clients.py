"""What goes on when nothing happens, and what does not, on a clock that the test moves (SPEC 5.4)."""

import pytest
import trio
import trio.testing

from omnisonic.stores.presence.memory import MemoryPresence
from tests.clients import TEXT, envelope, masked_frame, upgrade_request
from tests.gateway.bare_client import ByHand, pass_time
from tests.rooms import open_stage

pytestmark = pytest.mark.timing

TTL_S = 15
"""The shortest `PRESENCE_TTL`."""
NOTE = masked_frame(TEXT, envelope("note").encode())


async def test_who_sits_still_stays_on_the_rest_roster(mock_clock: trio.testing.MockClock) -> None:
    """For three times its time to live, looked at every quarter of a second."""
    presence = MemoryPresence(trio.current_time)
    async with open_stage(presence=presence, ttl_s=TTL_S) as stage:
        with ByHand(stage) as ada:
            await pass_time(mock_clock, 1.0, ada)
            while trio.current_time() < 3 * TTL_S + 1:
                assert await stage.mirrored() == ["ada"], trio.current_time()
                await pass_time(mock_clock, 0.25, ada)
                if len(ada.frames) % 2 == 0:
                    ada.send(NOTE)


async def test_a_client_that_was_refused_is_not_listened_to(mock_clock: trio.testing.MockClock) -> None:
    """It is answered once, and gone when its time for that is over, however much it still sends."""
    async with open_stage() as stage:
        with ByHand(stage, handshake=upgrade_request("/", stage.port, Origin="http://evil.example")) as eve:
            await pass_time(mock_clock, 0.0, eve)
            more = b"GET /healthz HTTP/1.1\r\n\r\n" + b"x" * 20_000
            await pass_time(mock_clock, 4.0, eve, each=lambda: eve.send(more))
            assert eve.received.count(b"HTTP/1.1") == 1
            assert eve.received.startswith(b"HTTP/1.1 403 ")
            assert not stage.gateway.connections
