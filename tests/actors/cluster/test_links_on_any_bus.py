"""Two ends of links on a bus that loses, delays and repeats what it likes, fails, and says that nobody listens."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.errors import Unavailable
from omnisonic.stores.bus import BusEvent
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.wire.peer_messages import Ask, PeerMessage
from tests.actors.cluster.promise import Ledger, check_all_arrived, check_promise

FAULTS = ("lost", "unheard", "refused", "answer lost", "late", "repeated", "repeated late")


class SpoiltBus:
    """A bus that does one of `FAULTS` to each packet with a chance of `ill`."""

    def __init__(self, random: Random, ill: float, nursery: trio.Nursery) -> None:
        self.ill = ill
        self._bus = MemoryBus()
        self._random = random
        self._nursery = nursery

    async def publish(self, channel: str, data: bytes) -> int:
        await trio.sleep(0.001)
        fault = self._random.choice(FAULTS) if self._random.random() < self.ill else "none"
        if fault in {"late", "repeated late"}:
            self._nursery.start_soon(self._publish_late, channel, data, self._random.uniform(0.0, 3.0))
        if fault == "repeated":
            await self._bus.publish(channel, data)
        if fault not in {"lost", "unheard", "refused", "late"}:
            await self._bus.publish(channel, data)
        if fault in {"refused", "answer lost"}:
            raise Unavailable("The bus is away.")
        return 0 if fault == "unheard" else 1

    async def _publish_late(self, channel: str, data: bytes, late_s: float) -> None:
        await trio.sleep(late_s)
        await self._bus.publish(channel, data)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[BusEvent]]:
        return self._bus.subscribe(*channels)

    async def aclose(self) -> None:
        await self._bus.aclose()


class End:
    """One end. It answers each reset with new messages, as gateways do, and crashes now and then."""

    def __init__(self, bus: SpoiltBus, run: str, peer: str, random: Random) -> None:
        self.links = PeerLinks(bus, run, self)
        self.peer = peer
        self.ledger = Ledger()
        self.resets = 0
        self.is_well = self.is_heard = False
        self._numbers = count()
        self._random = random

    def send(self, many: int) -> None:
        """Send this many messages."""
        for _ in range(many):
            number = next(self._numbers)
            self.ledger.sent[-1].append(number)
            self.links.send(self.peer, Ask(str(number), b""))

    def on_message(self, peer: str, message: PeerMessage) -> None:
        assert peer == self.peer
        assert isinstance(message, Ask)
        self.ledger.received[-1].append(int(message.id))
        if not self.is_well and self._random.random() < 0.05:
            raise ValueError("A room could not take this.")

    def on_reset(self, peer: str) -> None:
        assert peer == self.peer
        self.resets += 1
        self.ledger.reset()
        self.send(2)

    def on_silent(self, peer: str) -> None:
        assert peer == self.peer
        assert not self.is_heard


@settings(max_examples=15)
@given(random=st.randoms(use_true_random=False), ill=st.floats(0.0, 0.9), watch=st.tuples(st.booleans(), st.booleans()))
def test_the_promise_of_links_is_kept_on_any_bus(random: Random, ill: float, watch: tuple[bool, bool]) -> None:
    """Messages come in order, each at most once; after a loss nothing comes before both sides know of a reset.

    Once the bus is well, everything arrives, and there is no reset any more.
    """

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            bus = SpoiltBus(random, ill, nursery)
            ends = (End(bus, "a", "b", random), End(bus, "b", "a", random))
            for end, watches in zip(ends, watch, strict=True):
                await nursery.start(end.links.run)
                if watches:
                    end.links.watch(end.peer)
            for _ in range(30):
                random.choice(ends).send(random.randint(1, 5))
                await trio.sleep(random.choice((0.0, 0.01, 0.3, 1.0)))
            bus.ill = 0.0
            for end in ends:
                end.is_well = True
                end.links.watch(end.peer)
            await trio.sleep(6)
            resets = [end.resets for end in ends]
            for end in ends:
                end.is_heard = True
                end.send(3)
            await trio.sleep(2)
            assert [end.resets for end in ends] == resets
            assert all(end.links.lag_s() == 0.0 for end in ends)
            for sender, receiver in (ends, ends[::-1]):
                check_promise(sender.ledger, receiver.ledger)
                check_all_arrived(sender.ledger, receiver.ledger)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
