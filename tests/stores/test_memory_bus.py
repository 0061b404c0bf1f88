"""What is true of the bus in this process alone."""

import trio

from omnisonic.stores.bus import Delivery, Gap
from omnisonic.stores.bus.memory import QUEUE_LENGTH, MemoryBus
from tests.stores.conftest import DEADLINE_S


async def test_a_subscriber_that_does_not_keep_up_is_told_of_a_gap_in_its_place() -> None:
    """The publisher never waits; what was dropped shows between what came before and what came after."""
    bus = MemoryBus()
    with trio.fail_after(DEADLINE_S):
        async with bus.subscribe("news") as slow, bus.subscribe("news") as quick:
            for number in range(QUEUE_LENGTH + 10):
                await bus.publish("news", str(number).encode())
                assert await anext(quick) == Delivery("news", str(number).encode())
            kept = [await anext(slow) for _ in range(QUEUE_LENGTH)]
            assert kept[-1] == Delivery("news", str(QUEUE_LENGTH - 1).encode())
            await bus.publish("news", b"after")
            assert [await anext(slow), await anext(slow)] == [Gap(), Delivery("news", b"after")]


async def test_a_cancelled_listener_loses_nothing() -> None:
    """Giving up waiting is safe: the next call hears what was published meanwhile."""
    bus = MemoryBus()
    with trio.fail_after(DEADLINE_S):
        async with bus.subscribe("news") as events:
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(events)
            assert scope.cancelled_caught
            await bus.publish("news", b"kept")
            assert await anext(events) == Delivery("news", b"kept")
