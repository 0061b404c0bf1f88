"""What Valkey's failures look like from the bus: no loss without a `Gap` (RELIABILITY 1 and 2)."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.bus import Bus, Delivery, Gap
from omnisonic.stores.valkey import TIMEOUT_S
from tests.stores.conftest import DEADLINE_S, SLACK_S, bus_at
from tests.tcp_proxy import open_tcp_proxy
from tests.valkey_server import ValkeyServer


@pytest.mark.timing
async def test_publishing_to_a_server_that_fails_is_unavailable_in_time(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Hung or dead, publishing fails within its deadline; so does entering a subscription."""
    with trio.fail_after(DEADLINE_S):
        async with bus_at(valkey.url, thread, timeout_s=TIMEOUT_S) as bus:
            await bus.publish("news", b"")
            valkey.pause()
            began_s = trio.current_time()
            with pytest.raises(Unavailable, match="in time"):
                await bus.publish("news", b"")
            assert trio.current_time() - began_s < TIMEOUT_S + SLACK_S
            with pytest.raises(Unavailable, match="in time"):
                async with bus.subscribe("news"):
                    pass
            valkey.kill()
            with pytest.raises(Unavailable, match="cannot be reached"):
                await bus.publish("news", b"")
            with pytest.raises(Unavailable, match="cannot be reached"):
                async with bus.subscribe("news"):
                    pass


async def expect_gap(bus: Bus, receive_next: Callable[[], Awaitable[object]]) -> None:
    """Check that the subscriber gets a gap, and then what is published after it."""
    assert await receive_next() == Gap()
    await bus.publish("news", b"after")
    while (event := await receive_next()) == Gap():
        await bus.publish("news", b"after")
    assert event == Delivery("news", b"after")


async def test_a_subscriber_outlives_a_server_that_dies(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Dead for a while, then back: one gap once subscribed again, then what is published."""
    with trio.fail_after(DEADLINE_S):
        async with bus_at(valkey.url, thread) as bus, bus.subscribe("news") as events:
            await bus.publish("news", b"before")
            assert await anext(events) == Delivery("news", b"before")
            valkey.kill()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(expect_gap, bus, events.__anext__)
                with pytest.raises(Unavailable):
                    await bus.publish("news", b"lost")
                valkey.start()


@pytest.mark.timing
async def test_a_subscriber_notices_a_server_that_hangs(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """After a second without a message it closes the connection, and gets a gap once the server continues."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            bus_at(f"redis://127.0.0.1:{proxy.port}", thread, timeout_s=TIMEOUT_S) as bus,
            bus.subscribe("news") as events,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(expect_gap, bus, events.__anext__)
            before = proxy.connections
            valkey.pause()
            began_s = trio.current_time()
            while proxy.connections == before:  # the next is the subscriber's attempt to connect anew
                await trio.lowlevel.checkpoint()
            assert trio.current_time() - began_s < 1.0 + 2 * SLACK_S
            valkey.resume()


async def test_a_subscriber_whose_connection_is_cut_is_told_of_a_gap(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Again and again, and each time it is back."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            bus_at(f"redis://127.0.0.1:{proxy.port}", thread) as bus,
            bus.subscribe("news") as events,
        ):
            for _ in range(3):
                proxy.cut()
                await expect_gap(bus, events.__anext__)


async def test_a_subscriber_stays_through_silence(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """A server that answers is not left, however long nobody says anything."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with bus_at(valkey.url, thread) as bus, bus.subscribe("news") as events:
            received_first: list[object] = []

            async def receive() -> None:
                received_first.append(await anext(events))

            def pings() -> int:
                calls = client.info("commandstats").get("cmdstat_ping", {"calls": 0})
                return int(calls["calls"])

            before = pings()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                while pings() < before + 3:
                    await trio.lowlevel.checkpoint()
                await bus.publish("news", b"at last")
            assert received_first == [Delivery("news", b"at last")]


async def test_a_message_read_in_part_survives_a_cancelled_listener(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Cancelled in the middle of a large message, the next call reads it to its end."""
    large = bytes(range(256)) * 20_000
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            bus_at(f"redis://127.0.0.1:{proxy.port}", thread) as bus,
            bus_at(valkey.url, thread) as publisher,
            bus.subscribe("news") as events,
        ):
            proxy.delay_s = 0.005
            await publisher.publish("news", large)
            with trio.move_on_after(0.02) as gave_up:
                await anext(events)
            assert gave_up.cancelled_caught
            proxy.delay_s = 0.0
            assert await anext(events) == Delivery("news", large)


async def test_a_subscriber_that_leaves_while_the_server_is_away_leaves_nothing(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Cancelled while it tries to connect again: the block ends promptly, without a task left over there."""

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    with trio.fail_after(DEADLINE_S):
        async with bus_at(valkey.url, thread) as bus:
            before = await thread.call(tasks, timeout_s=math.inf)
            async with bus.subscribe("news") as events:
                valkey.kill()
                with trio.move_on_after(0.3):
                    await anext(events)
            while await thread.call(tasks, timeout_s=math.inf) > before:
                await trio.lowlevel.checkpoint()
