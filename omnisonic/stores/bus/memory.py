"""The bus in this process, for a gateway alone, for embedding and for tests. Trio.

Overload: a subscriber that does not keep up has `QUEUE_LENGTH` messages waiting for it; those beyond are dropped and
show as one `Gap` in their place. The publisher never waits. Crash and shutdown: what waits is forgotten with the
process; leaving the block ends the subscription.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from omnisonic.stores.bus import Bus, Delivery, Gap, Heard

QUEUE_LENGTH: Final = 1024


class MemoryBus:
    """A `Bus` among the tasks of one trio program. Never raises `Unavailable`."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    async def publish(self, channel: str, data: bytes) -> int:
        listening = [each for each in self._subscriptions if channel in each.channels]
        for subscription in listening:
            subscription.put(Delivery(channel, data))
        return len(listening)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        return self._subscribed(frozenset(channels))

    @asynccontextmanager
    async def _subscribed(self, channels: frozenset[str]) -> AsyncIterator[AsyncIterator[Heard]]:
        subscription = Subscription(channels)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.close()

    async def aclose(self) -> None:
        pass


class Subscription(AsyncIterator[Heard]):
    """What one subscriber has yet to hear. One task at a time may iterate over it."""

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self._waiting: deque[Heard] = deque()
        self._closed = False
        self._parked = trio.lowlevel.ParkingLot()

    def put(self, heard: Heard) -> None:
        if len(self._waiting) < QUEUE_LENGTH:
            self._waiting.append(heard)
        elif len(self._waiting) == QUEUE_LENGTH:
            self._waiting.append(Gap())
        self._parked.unpark_all()

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._parked.unpark_all()

    async def __anext__(self) -> Heard:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._parked.park()
        return self._waiting.popleft()


_fits: type[Bus] = MemoryBus
