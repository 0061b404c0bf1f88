"""The bus on the pub/sub of Valkey or Redis: between processes and machines. Asyncio.

In a cluster it is sharded pub/sub: a message passes one server, the one that has its channel.

Each subscription has a connection of its own and reads it only when the subscriber does. Overload: what a slow
subscriber has not read waits in the socket, and a server that has to buffer too much closes the connection, which shows
as a `Gap`. Crash of the server: the subscription reconnects without end. A server that does not answer: after `QUIET_S`
without a message it gets a PING, and after as long again the subscription reconnects. It does so as well when its
server has become a replica, and in a cluster when the channel moves to another server. Shutdown: leaving the block
closes the connection.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.stores.bus import Bus, BusEvent, Delivery, Gap
from omnisonic.stores.valkey import CONNECT_TIMEOUT_S, FAILURES, TIMEOUT_S, Connection, ValkeyClient

QUIET_S: Final = 0.5
"""After this long without a message the server gets a PING; after as long again it counts as hanging."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


class ValkeyBus:
    """A `Bus` at `url`. Publishing has a deadline of `timeout_s`, subscribing `CONNECT_TIMEOUT_S` once it is known what
    is there; to find that out takes as long at most.

    The first publish, which opens a connection, has the same deadline. Publishing happens inside requests, and
    subscribers that miss an event find out by other means: so a server that hangs delays a request by no more.

    Raises:
        InvalidInput: `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, jitter: Callable[[], float] = random.random) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s)
        self._jitter = jitter

    async def publish(self, channel: str, data: bytes) -> int:
        if await self._valkey.is_cluster():
            return int(await self._valkey.command("SPUBLISH", channel, data))
        return int(await self._valkey.command_at_primary("PUBLISH", channel, data))

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

    Being cancelled loses nothing: a message read in part is read to its end by the next call. Channels of a cluster
    that are on several servers have a connection to each, and are read in turn.
    """

    def __init__(self, valkey: ValkeyClient, channels: tuple[str, ...], jitter: Callable[[], float]) -> None:
        self._valkey = valkey
        self._channels = channels
        self._jitter = jitter
        self._listeners: list[_Listener] = []
        self._reading: dict[asyncio.Task[Delivery | None], _Listener] = {}
        self._failures = 0
        self._renewals = 0
        self._closed = False

    async def connect(self) -> None:
        """Open the connections and subscribe. Errors: one of `FAILURES`."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            places = await self._valkey.connections(self._channels, is_again=self._failures > 0)
            is_sharded = await self._valkey.is_cluster()
            self._renewals = self._valkey.renewals
        listeners = [_Listener(connection, channels, is_sharded) for connection, channels in places]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for listener in listeners:
                    await listener.connect()
        except BaseException:
            for listener in listeners:
                await listener.disconnect()
            raise
        self._listeners = listeners

    async def close(self) -> None:
        self._closed = True
        await self._disconnect()

    async def __anext__(self) -> BusEvent:
        while not self._closed:
            try:
                if not self._listeners:
                    await asyncio.sleep(self._pause_s())
                    await self.connect()
                    return Gap()
                await self._valkey.watch_role()
                if self._renewals != self._valkey.renewals:
                    raise ConnectionResetError("the server is not what it was")
                delivery = await self._read()
                if self._failures and any(listener.has_answered for listener in self._listeners):
                    self._failures = 0
                if delivery is not None:
                    return delivery
            except (*FAILURES, Unavailable):
                self._failures += 1
                await self._disconnect()
        raise StopAsyncIteration

    async def _read(self) -> Delivery | None:
        """The next message, or None when it was something else or nothing. Errors: one of `FAILURES`."""
        if len(self._listeners) == 1:
            return await self._listeners[0].read()
        for listener in self._listeners:
            if listener not in self._reading.values():
                self._reading[asyncio.create_task(listener.read())] = listener
        done, _ = await asyncio.wait(self._reading, return_when=asyncio.FIRST_COMPLETED)
        read = done.pop()
        del self._reading[read]
        return read.result()

    async def _disconnect(self) -> None:
        reading, self._reading = self._reading, {}
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            await listener.disconnect()

    def _pause_s(self) -> float:
        """Exponential backoff, bounded, with jitter, so that processes do not reconnect all at once."""
        return min(FIRST_PAUSE_S * 2.0 ** min(max(self._failures - 1, 0), 32), LONGEST_PAUSE_S) * (
            0.5 + self._jitter() / 2
        )


class _Listener:
    """One connection, and the channels that its server has; in a cluster those are *sharded* channels.

    A server of a cluster that does not have them any more may still be there and silent. So it is asked by subscribing
    once more, instead of by a PING: then it refuses.
    """

    def __init__(self, connection: Connection, channels: list[str], is_sharded: bool) -> None:
        self._connection = connection
        self._channels = channels
        self._is_sharded = is_sharded
        self._is_asked = False
        self.has_answered = False
        """Whether it has said anything since it subscribed."""

    async def connect(self) -> None:
        """Open the connection and subscribe. Errors: one of `FAILURES`."""
        await self._connection.connect()
        await self._subscribe()
        for _ in self._channels:
            await self._connection.read_response()

    async def read(self) -> Delivery | None:
        """The next message, or None when it was something else or nothing. Errors: one of `FAILURES`."""
        try:
            async with asyncio.timeout(QUIET_S):
                kind, *rest = await self._connection.read_response(disconnect_on_error=False)
        except TimeoutError:
            if self._is_asked:
                raise
            self._is_asked = True
            if self._is_sharded:
                await self._subscribe()
            else:
                await self._connection.send_command("PING")
            return None
        self._is_asked, self.has_answered = False, True
        if kind == b"sunsubscribe":
            raise ConnectionResetError("the channel has moved to another server")
        if kind not in (b"message", b"smessage"):
            return None
        channel, data = rest
        return Delivery(channel.decode(), data)

    async def disconnect(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)

    async def _subscribe(self) -> None:
        if self._is_sharded:
            for channel in self._channels:  # one by one, because each may be in a slot of its own
                await self._connection.send_command("SSUBSCRIBE", channel)
        else:
            await self._connection.send_command("SUBSCRIBE", *self._channels)


_fits: type[Bus] = ValkeyBus
