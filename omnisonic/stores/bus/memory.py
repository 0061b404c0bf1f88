"""The bus in this process, for a gateway alone, for embedding and for tests. Trio.

Overload: at most `QUEUE_LENGTH` messages wait for a slow subscriber; more are dropped and replaced by one `Gap`. The
publisher never waits. Crash and shutdown: what waits is lost with the process; leaving the block ends the subscription.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from omnisonic.stores.bus import Bus, BusEvent, Delivery, Gap

QUEUE_LENGTH: Final = 1024


class MemoryBus:
    """A `Bus` among the tasks of one trio program. Never raises `Unavailable`."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    async def publish(self, channel: str, data: bytes) -> int:
        subscriptions = [each for each in self._subscriptions if channel in each.channels]
        for subscription in subscriptions:
            subscription.put(Delivery(channel, data))
        return len(subscriptions)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[BusEvent]]:
        return self._subscribe(frozenset(channels))

    @asynccontextmanager
    async def _subscribe(self, channels: frozenset[str]) -> AsyncIterator[AsyncIterator[BusEvent]]:
        subscription = Subscription(channels)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.close()

    async def aclose(self) -> None:
        pass


class Subscription(AsyncIterator[BusEvent]):
    """The queue of one subscriber. One task at a time may iterate over it."""

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self._waiting: deque[BusEvent] = deque()
        self._closed = False
        self._parked = trio.lowlevel.ParkingLot()

    def put(self, event: BusEvent) -> None:
        if len(self._waiting) < QUEUE_LENGTH:
            self._waiting.append(event)
        elif len(self._waiting) == QUEUE_LENGTH:
            self._waiting.append(Gap())
        self._parked.unpark_all()

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._parked.unpark_all()

    async def __anext__(self) -> BusEvent:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._parked.park()
        return self._waiting.popleft()


_fits: type[Bus] = MemoryBus
