"""A bus whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Overload: what waits on the trio side is bounded as in `omnisonic.bus.memory`; beyond that there is a `Gap`. Crash: what
the pump over there raises is raised here, in the block. Shutdown: leaving the block ends the pump.
"""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from omnisonic.asyncio_thread import AsyncioThread
from omnisonic.bus import Bus, Heard
from omnisonic.bus.memory import Subscription

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
        subscription = Subscription(frozenset(channels))
        async with trio.open_nursery() as nursery:
            await nursery.start(self._pump, channels, subscription)
            try:
                yield subscription
            finally:
                subscription.close()
                nursery.cancel_scope.cancel()

    async def _pump(
        self, channels: tuple[str, ...], subscription: Subscription, task_status: trio.TaskStatus[None]
    ) -> None:
        """Carry what is heard over there to `subscription`, which is told on trio's side only."""

        async def carry() -> None:
            async with self._bus.subscribe(*channels) as heard_there:
                self._thread.tell_trio(task_status.started)
                async for heard in heard_there:
                    self._thread.tell_trio(subscription.put, heard)

        await self._thread.call(carry, timeout_s=math.inf)

    async def aclose(self) -> None:
        await self._thread.call(self._bus.aclose, timeout_s=PUBLISH_S)


_fits: type[Bus] = ThreadedBus
