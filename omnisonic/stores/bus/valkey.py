"""The bus on the pub/sub of Valkey or Redis: between processes and machines. Asyncio.

Each subscription has a connection of its own and reads it only when the subscriber does. Overload: what a slow
subscriber has not read waits in the socket, and a server that has to buffer too much closes the connection, which shows
as a `Gap`. Crash of the server: the subscription reconnects without end. A server that does not answer: after `QUIET_S`
without a message it gets a PING, and after as long again the subscription reconnects. Shutdown: leaving the block
closes the connection.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from omnisonic.stores.bus import Bus, BusEvent, Delivery, Gap
from omnisonic.stores.valkey import CONNECT_TIMEOUT_S, FAILURES, TIMEOUT_S, Connection, ValkeyClient

QUIET_S: Final = 0.5
"""After this long without a message the server gets a PING; after as long again it counts as hanging."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


class ValkeyBus:
    """A `Bus` on the server at `url`. Publishing has a deadline of `timeout_s`, subscribing `CONNECT_TIMEOUT_S`.

    The first publish, which opens a connection, has the same deadline. Publishing happens inside requests, and
    subscribers that miss an event find out by other means: so a server that hangs delays a request by no more.

    Raises:
        InvalidInput: `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, jitter: Callable[[], float] = random.random) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s)
        self._jitter = jitter

    async def publish(self, channel: str, data: bytes) -> int:
        return int(await self._valkey.command("PUBLISH", channel, data))

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[BusEvent]]:
        return self._subscribe(channels)

    @asynccontextmanager
    async def _subscribe(self, channels: tuple[str, ...]) -> AsyncIterator[AsyncIterator[BusEvent]]:
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


class _Subscription(AsyncIterator[BusEvent]):
    """The messages of some channels, and a `Gap` after each reconnection. One task at a time may iterate over it.

    Being cancelled loses nothing: a message read in part is read to its end by the next call.
    """

    def __init__(self, valkey: ValkeyClient, channels: tuple[str, ...], jitter: Callable[[], float]) -> None:
        self._valkey = valkey
        self._channels = channels
        self._jitter = jitter
        self._connection: Connection | None = None
        self._is_pinged = False
        self._failures = 0
        self._closed = False

    async def connect(self) -> None:
        """Open the connection and subscribe. Errors: one of `FAILURES`."""
        ((connection, _),) = await self._valkey.connections(self._channels)
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
        self._is_pinged = False

    async def close(self) -> None:
        self._closed = True
        await self._disconnect()

    async def __anext__(self) -> BusEvent:
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
                await self._disconnect()
        raise StopAsyncIteration

    async def _read(self, connection: Connection) -> Delivery | None:
        """The next message, or None when it was something else or nothing. Errors: one of `FAILURES`."""
        try:
            async with asyncio.timeout(QUIET_S):
                kind, *rest = await connection.read_response(disconnect_on_error=False)
        except TimeoutError:
            if self._is_pinged:
                raise
            self._is_pinged = True
            await connection.send_command("PING")
            return None
        self._is_pinged = False
        self._failures = 0
        if kind != b"message":
            return None
        channel, data = rest
        return Delivery(channel.decode(), data)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)

    def _pause_s(self) -> float:
        """Exponential backoff, bounded, with jitter, so that processes do not reconnect all at once."""
        return min(FIRST_PAUSE_S * 2.0 ** min(max(self._failures - 1, 0), 32), LONGEST_PAUSE_S) * (
            0.5 + self._jitter() / 2
        )


_fits: type[Bus] = ValkeyBus
