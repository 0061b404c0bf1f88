"""A bus whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Overload: what waits on the trio side is bounded as in `omnisonic.stores.bus.memory`; beyond that there is a `Gap`.
Crash: what the pump over there raises is raised here, in the block. Shutdown: leaving the block ends the pump.
"""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.bus import Bus, Heard
from omnisonic.stores.bus.memory import Subscription

PUBLISH_S: Final = 0.5


class ThreadedBus:
    """`bus`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, bus: Bus) -> None:
        self._thread = thread
        self._bus = bus

    async def publish(self, channel: str, data: bytes) -> int:
        return await self._thread.call(self._bus.publish, channel, data, timeout_s=PUBLISH_S)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        return self._subscribed(channels)

    @asynccontextmanager
    async def _subscribed(self, channels: tuple[str, ...]) -> AsyncIterator[AsyncIterator[Heard]]:
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
    """Carries what is heard over there to `subscription`, which belongs to trio's side."""

    def __init__(self, thread: AsyncioThread, bus: Bus, channels: tuple[str, ...]) -> None:
        self.subscription = Subscription(frozenset(channels))
        self.entered = trio.Event()
        self.refusal: Unavailable | None = None
        self._thread = thread
        self._bus = bus
        self._channels = channels

    async def run(self) -> None:
        """Pump until cancelled. Not being let in is kept as `refusal`: raised here, it would come out as a group."""
        try:
            await self._thread.call(self._carry, timeout_s=math.inf)
        except Unavailable as refusal:
            self.refusal = refusal
            self.subscription.close()
            self.entered.set()

    async def _carry(self) -> None:
        async with self._bus.subscribe(*self._channels) as heard_there:
            self._thread.tell_trio(self.entered.set)
            async for heard in heard_there:
                self._thread.tell_trio(self.subscription.put, heard)


_fits: type[Bus] = ThreadedBus
