"""Links and leases on a real Valkey: slow, frozen, killed and started again."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import pytest
import trio

from omnisonic.actors.cluster.lease import Lease
from omnisonic.concurrency.asyncio_thread import AsyncioThread, open_asyncio_thread
from omnisonic.stores.bus import Bus
from omnisonic.stores.bus.threaded import ThreadedBus
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.room_memory import LEASE_S, VALID_S
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from tests.actors.cluster.links import RESET, SILENT, Gateway, ask, numbers, running
from tests.actors.cluster.test_lease import Told
from tests.tcp_proxy import open_tcp_proxy
from tests.valkey_server import ValkeyServer

DEADLINE_S: Final = 30.0
POLL_S: Final = 0.02


@pytest.fixture
async def thread() -> AsyncIterator[AsyncioThread]:
    """An asyncio thread for the adapters."""
    async with open_asyncio_thread() as thread:
        yield thread


@asynccontextmanager
async def bus_at(thread: AsyncioThread, url: str) -> AsyncIterator[Bus]:
    """The bus at this server until the block ends."""
    bus = ThreadedBus(thread, ValkeyBus(url))
    try:
        yield bus
    finally:
        with trio.CancelScope(shield=True):
            await bus.aclose()


@asynccontextmanager
async def two_gateways(thread: AsyncioThread, url: str, other_url: str) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two gateways that have said something to each other, and watch each other."""
    async with bus_at(thread, url) as bus, bus_at(thread, other_url) as other_bus:
        a, b = Gateway(bus, "a"), Gateway(other_bus, "b")
        async with running(a, b):
            a.links.watch("b")
            b.links.watch("a")
            await say(a, b, 0)
            await say(b, a, 0)
            yield a, b


async def say(sender: Gateway, receiver: Gateway, number: int) -> None:
    """Send this, again after each reset, until it has arrived."""
    resets = -1
    while str(number) not in receiver.heard.of(sender.run):
        told = sender.heard.of(receiver.run).count(RESET)
        if told != resets:
            resets = told
            sender.links.send(receiver.run, ask(number))
        await trio.sleep(POLL_S)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds."""
    while not holds():  # noqa: ASYNC110 - threads and a server change it
        await trio.sleep(POLL_S)


@pytest.mark.timing
async def test_ten_thousand_messages_arrive_in_order(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Both ways at once, in far fewer packets, and nothing is reset."""
    many = 5_000
    with trio.fail_after(DEADLINE_S):
        async with two_gateways(thread, valkey.url, valkey.url) as (a, b):
            for number in range(1, many + 1):
                a.links.send("b", ask(number, bytes(100)))
                b.links.send("a", ask(number, bytes(100)))
                if number % 100 == 0:
                    await trio.lowlevel.checkpoint()
            await until(lambda: len(a.heard.told) > many and len(b.heard.told) > many)
            assert list(numbers(a.heard.of("b"))) == list(numbers(b.heard.of("a"))) == [list(range(many + 1))]
            assert a.links.peers["b"].packets_out < many / 10
            assert await a.links.drain(5)
            assert a.links.lag_s() == 0.0


async def test_a_server_that_is_killed_costs_a_reset_and_no_message_in_between(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Both sides are told; when it is back they hear each other without being told to connect."""
    with trio.fail_after(DEADLINE_S):
        async with two_gateways(thread, valkey.url, valkey.url) as (a, b):
            valkey.kill()
            a.links.send("b", ask(1))
            await a.heard.until("b", RESET)
            await a.heard.until("b", SILENT)
            await b.heard.until("a", SILENT)
            valkey.start()
            await say(a, b, 2)
            await say(b, a, 2)
            for told in (a.heard.of("b"), b.heard.of("a")):
                assert list(filter(None, numbers(told)))[:2] == [[0], [2]]


async def test_a_server_that_is_frozen_is_noticed_and_used_again(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """SIGSTOP: the peers are silent. SIGCONT: what it had taken before may come late, and nothing comes twice."""
    with trio.fail_after(DEADLINE_S):
        async with two_gateways(thread, valkey.url, valkey.url) as (a, b):
            valkey.pause()
            for number in range(1, 6):
                a.links.send("b", ask(number))
                await trio.sleep(0.1)
            await a.heard.until("b", RESET)
            await b.heard.until("a", SILENT)
            valkey.resume()
            await say(a, b, 9)
            await say(b, a, 9)
            told = [part for part in numbers(b.heard.of("a")) if part]
            assert all(part == sorted(set(part)) for part in told)
            assert told[-1][-1] == 9
            assert len(told) > 1


@pytest.mark.timing
async def test_a_peer_whose_network_fails_is_silent_and_heard_again(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Slow by a tenth of a second it is still heard; slower than the deadline and cut off it is not."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            two_gateways(thread, valkey.url, f"redis://127.0.0.1:{proxy.port}") as (a, b),
        ):
            proxy.delay_s = 0.1
            for number in range(1, 4):
                await say(a, b, number)
                await say(b, a, number)
            proxy.delay_s = 5.0
            proxy.refusing = True
            proxy.cut()
            await a.heard.until("b", SILENT)
            await b.heard.until("a", SILENT)
            proxy.delay_s = 0.0
            proxy.refusing = False
            await say(a, b, 9)
            await say(b, a, 9)


@asynccontextmanager
async def running_lease(thread: AsyncioThread, url: str) -> AsyncIterator[tuple[Lease, Told]]:
    """A lease on the store at this server, and what it tells."""
    store = ThreadedRoomMemory(thread, ValkeyRoomMemory(url))
    told = Told()
    lease = Lease(store, told, map("run {}".format, count(1)).__next__, lambda: b"info")
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(lease.run_renewals)
            await until(lambda: lease.is_valid)
            assert (await store.gateways())[lease.run] == b"info"
            yield lease, told
            await lease.end()
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await store.aclose()


@pytest.mark.timing
async def test_a_lease_on_a_frozen_server_is_stale_in_time(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Before the server lets it end. Frozen for longer than a lease lasts: the run is dead when it goes on."""
    with trio.fail_after(DEADLINE_S):
        async with running_lease(thread, valkey.url) as (lease, told):
            run = lease.run
            valkey.pause()
            began_s = trio.current_time()
            await until(lambda: not lease.is_valid)
            assert trio.current_time() - began_s <= VALID_S + POLL_S + 0.5
            await until(lambda: told.words[-1] == "stale")
            await trio.sleep(max(0.0, began_s + LEASE_S + 0.5 - trio.current_time()))
            valkey.resume()
            await until(lambda: lease.is_valid)
            assert told.words[-1] == "dead"
            assert lease.run != run


async def test_a_lease_on_a_server_that_was_killed_is_a_new_run_afterwards(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """It has lost the lease, and what was claimed; new rooms may be claimed after a while only."""
    with trio.fail_after(DEADLINE_S):
        async with running_lease(thread, valkey.url) as (lease, told):
            run = lease.run
            valkey.kill()
            await until(lambda: not lease.is_valid)
            valkey.start()
            await until(lambda: lease.is_valid)
            assert told.words[-1] == "dead"
            assert lease.run != run
            assert lease.settled_in_s > 0.0


@pytest.mark.timing
async def test_a_slow_server_keeps_a_lease_valid(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """A tenth of a second each way, and one cut of the connection."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            running_lease(thread, f"redis://127.0.0.1:{proxy.port}") as (lease, told),
        ):
            proxy.delay_s = 0.1
            await trio.sleep(2 * VALID_S)
            proxy.cut()
            await trio.sleep(2 * VALID_S)
            assert lease.is_valid
            assert told.words in (["renewed"], ["dead"])
