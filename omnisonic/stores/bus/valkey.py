"""The bus on the pub/sub of Valkey or Redis: between processes and machines. Asyncio.

Each subscription has a connection of its own and reads it only as fast as it is asked to, so nothing is kept here:
what a slow subscriber has not read waits in the socket, and a server that has kept too much for it hangs up, which
shows as a `Gap`. Crash of the server: the subscription connects again without end. Silence: after `QUIET_S` it asks
for a sign of life, and after as long again it connects anew. Shutdown: leaving the block closes the connection.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from omnisonic.stores.bus import Bus, Delivery, Gap, Heard
from omnisonic.stores.valkey import CONNECT_TIMEOUT_S, FAILURES, TIMEOUT_S, Connection, ValkeyClient

QUIET_S: Final = 0.5
"""Without a word for this long, the server is asked; without an answer for as long again, it is taken to hang."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


class ValkeyBus:
    """A `Bus` on the server at `url`. Publishing has a deadline of `timeout_s`, subscribing `CONNECT_TIMEOUT_S`.

    The first publish, which opens a connection, has no longer: nothing is published in order to start. A gateway only
    subscribes then, and does so again when that fails. Whoever publishes later does it inside somebody's request, and
    whoever should have heard finds out by other means: a hanging server costs the request no more than it may.

    Errors: `InvalidInput` when `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, jitter: Callable[[], float] = random.random) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s)
        self._jitter = jitter

    async def publish(self, channel: str, data: bytes) -> int:
        return int(await self._valkey.command("PUBLISH", channel, data))

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        return self._subscribed(channels)

    @asynccontextmanager
    async def _subscribed(self, channels: tuple[str, ...]) -> AsyncIterator[AsyncIterator[Heard]]:
        subscription = _Subscription(self._valkey, channels, self._jitter)
        try:
            await subscription.connect()
        except FAILURES as failure:
            raise self._valkey.unavailable(failure) from failure
        try:
            yield subscription
        finally:
            await subscription.close()

    async def aclose(self) -> None:
        await self._valkey.aclose()


class _Subscription(AsyncIterator[Heard]):
    """The messages of some channels, and a `Gap` after each reconnection. One task at a time may iterate over it.

    Being cancelled loses nothing: a message read in part is read to its end by the next call.
    """

    def __init__(self, valkey: ValkeyClient, channels: tuple[str, ...], jitter: Callable[[], float]) -> None:
        self._valkey = valkey
        self._channels = channels
        self._jitter = jitter
        self._connection: Connection | None = None
        self._asked = False
        self._failures = 0
        self._closed = False

    async def connect(self) -> None:
        """Open the connection and subscribe. Errors: one of `FAILURES`."""
        connection = self._valkey.new_connection()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect()
                await connection.send_command("SUBSCRIBE", *self._channels)
                for _ in self._channels:
                    await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        self._asked = False

    async def close(self) -> None:
        self._closed = True
        await self._hang_up()

    async def __anext__(self) -> Heard:
        while not self._closed:
            try:
                if self._connection is None:
                    await asyncio.sleep(self._pause_s())
                    await self.connect()
                    return Gap()
                if delivery := await self._read(self._connection):
                    return delivery
            except FAILURES:
                self._failures += 1
                await self._hang_up()
        raise StopAsyncIteration

    async def _read(self, connection: Connection) -> Delivery | None:
        """The next message, or None when it was something else or nothing. Errors: one of `FAILURES`."""
        try:
            async with asyncio.timeout(QUIET_S):
                kind, *rest = await connection.read_response(disconnect_on_error=False)
        except TimeoutError:
            if self._asked:
                raise
            self._asked = True
            await connection.send_command("PING")
            return None
        self._asked = False
        self._failures = 0
        if kind != b"message":
            return None
        channel, data = rest
        return Delivery(channel.decode(), data)

    async def _hang_up(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)

    def _pause_s(self) -> float:
        """Doubling, bounded, and anywhere in the upper half, so that processes do not come back all at once."""
        return min(FIRST_PAUSE_S * 2.0 ** min(max(self._failures - 1, 0), 32), LONGEST_PAUSE_S) * (
            0.5 + self._jitter() / 2
        )


_fits: type[Bus] = ValkeyBus
