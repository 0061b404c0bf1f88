"""Links between gateways on the bus in this process, whose time is the test's."""

import trio
from trio.testing import MockClock

from omnisonic.actors.cluster.link import SILENT_S
from omnisonic.actors.cluster.links import FORGET_S
from omnisonic.stores.bus.memory import MemoryBus
from tests.actors.cluster.links import RESET, SILENT, Gateway, Spy, ask, running


async def test_what_is_sent_arrives_in_order_in_few_packets(autojump_clock: MockClock) -> None:
    """Both ways. A hundred messages of one moment are one packet."""
    bus = Spy(MemoryBus())
    a, b = Gateway(bus, "a"), Gateway(bus, "b")
    async with running(a, b):
        for number in range(100):
            a.links.send("b", ask(number))
        await b.heard.until("a", "99")
        b.links.send("a", ask(7))
        await a.heard.until("b", "7")
    assert b.heard.of("a") == [str(number) for number in range(100)]
    assert a.heard.of("b") == ["7"]
    assert a.links.peers["b"].messages_out == b.links.peers["a"].messages_in == 100
    assert len(bus.published) == 4  # hello, hello, all of it, the answer


async def test_a_watched_peer_that_lives_is_never_silent(autojump_clock: MockClock) -> None:
    """For a minute, though only one side watches, and nobody says anything."""
    bus = MemoryBus()
    a, b = Gateway(bus, "a"), Gateway(bus, "b")
    async with running(a, b):
        a.links.watch("b")
        await trio.sleep(60)
    assert a.heard.told == b.heard.told == []


async def test_a_watched_peer_that_is_gone_is_silent_again_and_again(autojump_clock: MockClock) -> None:
    """After 1.5 s, and every 0.5 s from then on, until nobody watches it any more."""
    bus = MemoryBus()
    a, b = Gateway(bus, "a"), Gateway(bus, "b")
    async with running(a):
        async with running(b):
            a.links.watch("b")
            a.links.send("b", ask(1))
            await b.heard.until("a", "1")
        gone_s = trio.current_time()
        await a.heard.until("b", SILENT)
        assert 1.0 <= trio.current_time() - gone_s <= 1.7
        await a.heard.until("b", SILENT, 3)
        assert 2.0 <= trio.current_time() - gone_s <= 2.9
        a.links.unwatch("b")
        told = len(a.heard.told)
        await trio.sleep(10)
    assert len(a.heard.told) == told
    assert a.heard.of("b")[0] == RESET  # a beat that nobody received


async def test_a_peer_that_nobody_needs_any_more_is_forgotten(autojump_clock: MockClock) -> None:
    """After a minute, with its totals; how it is until then is told."""
    bus = MemoryBus()
    a, b = Gateway(bus, "a"), Gateway(bus, "b")
    async with running(a, b):
        a.links.watch("b")
        assert [(each.peer, each.state) for each in a.links.describe()] == [("b", "opening")]
        a.links.send("b", ask(1))
        await b.heard.until("a", "1")
        assert [(each.peer, each.state) for each in a.links.describe()] == [("b", "open")]
        a.links.unwatch("b")
        await trio.sleep(FORGET_S + 1)
        assert a.links.describe() == b.links.describe() == []
        a.links.watch("c")
        await a.heard.until("c", SILENT)
        (c,) = a.links.describe()
        assert (c.state, c.heard_s >= SILENT_S) == ("silent", True)
