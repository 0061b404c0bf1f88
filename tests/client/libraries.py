"""The client on each async library, for tests that are trio's themselves.

The asyncio client runs in a thread with an asyncio loop. Its rooms have the same methods as those on trio, which wait
for the thread. So one test, written for trio, tries both.
"""

import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Self, cast

import trio

import omnisonic
from omnisonic import aio
from omnisonic.client.asyncio_backend import ASYNCIO
from omnisonic.client.connection import JoinRequest
from omnisonic.client.membership import open_membership
from omnisonic.client.reconnect_policy import Disconnect, ReconnectPolicy
from omnisonic.client.trio_backend import TRIO
from omnisonic.concurrency.asyncio_thread import AsyncioThread

_END: Final = object()


class Hasty(ReconnectPolicy):
    """Reconnects at once."""

    def delay_after(self, disconnect: Disconnect) -> float:
        return 0.0

    def next_delay(self, at_least_s: float = 0.0) -> float:
        return 0.0


class Client:
    """The client on trio."""

    def connect(self, url: str, **options: Any) -> AbstractAsyncContextManager[omnisonic.ClientRoom]:
        """As `omnisonic.connect`."""
        return omnisonic.connect(url, **options)

    def hasty(self, url: str, name: str = "ada") -> AbstractAsyncContextManager[omnisonic.ClientRoom]:
        """To be the member `name` of the room `jam`, and to reconnect at once whenever the connection breaks."""
        return open_membership(TRIO, JoinRequest(url, "jam", name, name.title()), Hasty())

    def member(
        self, gateway: omnisonic.RunningGateway, name: str, room: str = "jam"
    ) -> AbstractAsyncContextManager[omnisonic.ClientRoom]:
        """To be the member `name`."""
        return self.connect(gateway.url, room=room, name=name.title(), member_id=name)

    @asynccontextmanager
    async def band(
        self, *names: str, **options: Any
    ) -> AsyncIterator[tuple[omnisonic.RunningGateway, list[omnisonic.ClientRoom]]]:
        """A gateway opened with `options`, and these members in one room."""
        async with omnisonic.open_gateway(**options) as gateway, AsyncExitStack() as stack:
            yield gateway, [await stack.enter_async_context(self.member(gateway, name)) for name in names]


class AsyncioClient(Client):
    """The client on asyncio."""

    def __init__(self, thread: AsyncioThread) -> None:
        self._thread = thread

    def connect(self, url: str, **options: Any) -> AbstractAsyncContextManager[omnisonic.ClientRoom]:
        return self._in_thread(aio.connect(url, **options))

    def hasty(self, url: str, name: str = "ada") -> AbstractAsyncContextManager[omnisonic.ClientRoom]:
        return self._in_thread(open_membership(ASYNCIO, JoinRequest(url, "jam", name, name.title()), Hasty()))

    @asynccontextmanager
    async def _in_thread(
        self, membership: AbstractAsyncContextManager[omnisonic.ClientRoom]
    ) -> AsyncIterator[omnisonic.ClientRoom]:
        room = await self._thread.call(membership.__aenter__, timeout_s=math.inf)
        try:
            yield cast("omnisonic.ClientRoom", RoomInThread(self._thread, room))
        finally:
            with trio.CancelScope(shield=True):
                await self._thread.call(membership.__aexit__, None, None, None, timeout_s=math.inf)


class RoomInThread:
    """A `ClientRoom` on asyncio as trio sees it."""

    def __init__(self, thread: AsyncioThread, room: omnisonic.ClientRoom) -> None:
        self._thread = thread
        self._room = room

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._room, name)
        return partial(self._call, value) if inspect.iscoroutinefunction(value) else value

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> omnisonic.Message:
        message = await self._call(anext, self._room, _END)
        if message is _END:
            raise StopAsyncIteration
        return cast("omnisonic.Message", message)

    async def _call(self, method: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        return await self._thread.call(partial(method, *args, **options), timeout_s=math.inf)
