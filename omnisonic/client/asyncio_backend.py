"""The client's backend for asyncio. It needs no thread of its own."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

from omnisonic.client.backend import READ_BYTES, SEND_S, AsyncFunction, Backend, Background, ConnectionBroken, Stream


class AsyncioBackend:
    """See `Backend`. `send_s`: how long a stream may take to accept what is sent."""

    new_event = asyncio.Event
    new_lock = asyncio.Lock
    sleep = staticmethod(asyncio.sleep)

    def __init__(self, *, send_s: float = SEND_S) -> None:
        self._send_s = send_s

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    @asynccontextmanager
    async def move_on_after(self, seconds: float) -> AsyncIterator[None]:
        deadline = asyncio.timeout(None if seconds == math.inf else seconds)
        try:
            async with deadline:
                yield
        except TimeoutError:
            if not deadline.expired():  # the block has raised it itself
                raise

    async def run_shielded(self, seconds: float, function: AsyncFunction) -> None:
        async def run() -> None:
            async with self.move_on_after(seconds):
                await function()

        task = asyncio.create_task(run())
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as again:
                cancelled = again
        task.result()
        if cancelled is not None:
            raise cancelled

    @asynccontextmanager
    async def open_background(self) -> AsyncIterator[Background]:
        wrong: BaseException | None = None
        async with asyncio.TaskGroup() as group:
            background = AsyncioBackground(group)
            try:
                yield background
            except BaseException as raised:  # noqa: BLE001 - cancellation too: it goes on outside
                wrong = raised
            background.cancel()
        if wrong is not None:
            raise wrong

    async def open_stream(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> Stream:
        # Without `happy_eyeballs_delay`: with it, a cancelled attempt can leave its socket open.
        make_stream = partial(AsyncioStream, self._send_s)
        _, stream = await asyncio.get_running_loop().create_connection(make_stream, host, port, ssl=ssl_context)
        return stream


class AsyncioBackground:
    """See `Background`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: list[asyncio.Task[object]] = []

    def start_soon(self, function: AsyncFunction, /, *args: Any) -> None:
        self._tasks.append(self._group.create_task(function(*args)))

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in self._tasks:
            task.cancel()


class AsyncioStream(asyncio.Protocol):
    """See `Stream`. The methods without `async` are for the transport.

    It is not asyncio's own `StreamReader`: that one forgets what it has received when the connection breaks, and with
    it the close frame that says why.
    """

    def __init__(self, send_s: float) -> None:
        self._send_s = send_s
        self._transport: asyncio.Transport
        self._received: list[bytes] = []
        self._size = 0
        self._has_ended = False
        self._readable = asyncio.Event()
        self._flushed = asyncio.Event()
        """Set while the transport holds nothing that the socket did not accept yet."""
        self._flushed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        self._transport.set_write_buffer_limits(high=1, low=0)  # with 0 and TLS, Python 3.11 waits for ever

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size >= READ_BYTES:
            self._transport.pause_reading()
        self._readable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._has_ended = True
        self._readable.set()
        self._flushed.set()

    def pause_writing(self) -> None:
        self._flushed.clear()

    def resume_writing(self) -> None:
        self._flushed.set()

    async def receive(self) -> bytes:
        await self._readable.wait()
        data = b"".join(self._received)
        self._received.clear()
        if not self._has_ended:
            self._readable.clear()
            if self._size >= READ_BYTES:
                self._transport.resume_reading()
        self._size = 0
        return data

    async def send(self, data: bytes) -> None:
        await asyncio.sleep(0)  # a task that only sends lets others run
        await self._flush()  # a sender that was cancelled may have left something
        self._transport.write(data)  # all of it: what the socket does not accept now is kept, and sent later
        await self._flush()

    async def aclose(self) -> None:
        self._transport.abort()

    async def _flush(self) -> None:
        try:
            if not self._flushed.is_set():
                async with asyncio.timeout(self._send_s):
                    await self._flushed.wait()
        except TimeoutError:
            raise ConnectionBroken from None
        if self._transport.is_closing():
            raise ConnectionBroken


ASYNCIO: Final[Backend] = AsyncioBackend()
