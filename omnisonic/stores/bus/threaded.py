"""A bus whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Overload: the queue on trio's side is bounded as in `omnisonic.stores.bus.memory`; beyond that there is a `Gap`. Crash:
what the pump in the other thread raises is raised here, in the block. Shutdown: leaving the block ends the pump.
"""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.bus import Bus, BusEvent
from omnisonic.stores.bus.memory import Subscription

PUBLISH_S: Final = 0.5


class ThreadedBus:
    """`bus`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, bus: Bus) -> None:
        self._thread = thread
        self._bus = bus

    async def publish(self, channel: str, data: bytes) -> int:
        return await self._thread.call(self._bus.publish, channel, data, timeout_s=PUBLISH_S)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[BusEvent]]:
        return self._subscribe(channels)

    @asynccontextmanager
    async def _subscribe(self, channels: tuple[str, ...]) -> AsyncIterator[AsyncIterator[BusEvent]]:
        pump = _Pump(self._thread, self._bus, channels)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            await pump.entered.wait()
            if pump.refusal is None:
                try:
                    yield pump.subscription
                finally:
                    pump.subscription.close()
                    nursery.cancel_scope.cancel()
        if pump.refusal is not None:
            raise pump.refusal

    async def aclose(self) -> None:
        await self._thread.call(self._bus.aclose, timeout_s=PUBLISH_S)


class _Pump:
    """Moves events from the asyncio thread into `subscription`, which belongs to trio's side."""

    def __init__(self, thread: AsyncioThread, bus: Bus, channels: tuple[str, ...]) -> None:
        self.subscription = Subscription(frozenset(channels))
        self.entered = trio.Event()
        self.refusal: Unavailable | None = None
        self._thread = thread
        self._bus = bus
        self._channels = channels

    async def run(self) -> None:
        """Pump until cancelled. `Unavailable` on entering becomes `refusal`: raised here, it would be in a group."""
        try:
            await self._thread.call(self._pump_events, timeout_s=math.inf)
        except Unavailable as refusal:
            self.refusal = refusal
            self.subscription.close()
            self.entered.set()

    async def _pump_events(self) -> None:
        async with self._bus.subscribe(*self._channels) as events:
            self._thread.tell_trio(self.entered.set)
            async for event in events:
                self._thread.tell_trio(self.subscription.put, event)


_fits: type[Bus] = ThreadedBus
