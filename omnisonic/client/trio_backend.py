"""The client's backend for trio."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from omnisonic.client.backend import READ_BYTES, SEND_S, AsyncFunction, Backend, Background, ConnectionBroken, Stream
from omnisonic.concurrency.background import open_background, run_protected


class TrioBackend:
    """See `Backend`."""

    new_event = trio.Event
    new_lock = trio.Lock
    time = staticmethod(trio.current_time)
    sleep = staticmethod(trio.sleep)
    checkpoint = staticmethod(trio.lowlevel.checkpoint)

    @asynccontextmanager
    async def open_background(self) -> AsyncIterator[Background]:
        async with open_background() as nursery:
            yield TrioBackground(nursery)

    @asynccontextmanager
    async def move_on_after(self, seconds: float) -> AsyncIterator[None]:
        with trio.move_on_after(seconds):
            yield

    async def run_shielded(self, seconds: float, function: AsyncFunction) -> None:
        with trio.move_on_after(seconds, shield=True):
            await function()

    async def open_stream(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> Stream:
        if ssl_context is None:
            return TrioStream(await trio.open_tcp_stream(host, port))
        secure = await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True, ssl_context=ssl_context)
        try:
            await secure.do_handshake()
        except BaseException as problem:
            await trio.aclose_forcefully(secure)
            if isinstance(problem, trio.BrokenResourceError):
                raise ssl.SSLError(str(problem.__cause__ or problem)) from problem
            raise
        return TrioStream(secure)


class TrioBackground:
    """See `Background`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start_soon(self, function: AsyncFunction, /, *args: Any) -> None:
        self._nursery.start_soon(run_protected, function, *args)


class TrioStream:
    """See `Stream`."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        # Half a frame would break the connection for all other senders.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + SEND_S):
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            else:
                return
        raise ConnectionBroken

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


TRIO: Final[Backend] = TrioBackend()
