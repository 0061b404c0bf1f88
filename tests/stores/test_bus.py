"""What every bus promises (`omnisonic.stores.bus`), held on each of them."""

import trio
import trio.testing

from omnisonic.stores.bus import Bus, Delivery
from tests.stores.conftest import DEADLINE_S


async def test_what_is_published_after_entering_is_heard_in_order(bus: Bus) -> None:
    """Entered means subscribed; any bytes arrive as they are."""
    sent = [b"", b"\x00\xff\r\n", "é".encode(), *(str(number).encode() for number in range(200))]
    with trio.fail_after(DEADLINE_S):
        async with bus.subscribe("news") as events:
            counts = [await bus.publish("news", data) for data in sent]
            assert [await anext(events) for _ in sent] == [Delivery("news", data) for data in sent]
        assert counts == [1] * len(sent)


async def test_a_subscriber_waits_for_what_comes_later(bus: Bus) -> None:
    """One that subscribed first receives what is published only then."""
    received_later: list[object] = []
    with trio.fail_after(DEADLINE_S):
        async with bus.subscribe("news") as events, trio.open_nursery() as nursery:

            async def receive() -> None:
                received_later.append(await anext(events))

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await bus.publish("news", b"late")
    assert received_later == [Delivery("news", b"late")]


async def test_every_subscriber_hears_only_its_channels(bus: Bus) -> None:
    """Two on one channel, one on two, none on a third: `publish` tells how many there were."""
    with trio.fail_after(DEADLINE_S):
        async with bus.subscribe("news") as one, bus.subscribe("news", "Ü:*") as both:
            assert await bus.publish("news", b"1") == 2
            assert await bus.publish("Ü:*", b"2") == 1
            assert await bus.publish("nobody", b"3") == 0
            assert [await anext(one)] == [Delivery("news", b"1")]
            assert [await anext(both), await anext(both)] == [Delivery("news", b"1"), Delivery("Ü:*", b"2")]


async def test_nobody_listens_once_the_block_has_ended(bus: Bus) -> None:
    """The subscription goes with its block, and iterating over it ends."""
    with trio.fail_after(DEADLINE_S):
        async with bus.subscribe("news") as events:
            assert await bus.publish("news", b"1") == 1
        assert [event async for event in events] == []
        while await bus.publish("news", b"2"):  # a server takes a moment to see that the connection is closed
            await trio.lowlevel.checkpoint()


async def test_a_bus_closes_twice(bus: Bus) -> None:
    """Closing is safe at any time, before any use too."""
    with trio.fail_after(DEADLINE_S):
        await bus.aclose()
        await bus.aclose()
