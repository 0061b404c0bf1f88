"""A TCP proxy before an S3 server that makes single requests fail. Trio.

It sees a request when its first line comes, which S3 clients send in one piece and at the beginning of one.
"""

import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import SO_LINGER, SO_RCVBUF, SOL_SOCKET
from typing import Final, Literal, TypeAlias

import trio

CHUNK_BYTES: Final = 65536


def _error(status: bytes, code: bytes) -> bytes:
    """An answer of an S3 server that says what is wrong."""
    body = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>We broke.</Message></Error>" % code
    head = b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


ANSWERS: Final = {
    "500": _error(b"500 Internal Server Error", b"InternalError"),
    "501": _error(b"501 Not Implemented", b"NotImplemented"),
}

Way: TypeAlias = Literal["500", "501", "reset", "lost answer", "cut answer", "flipped bit"]
"""How a request fails: answered so; reset at once; reset when it is done; its answer cut; its body changed."""


@dataclass
class Fault:
    """Requests whose first line `pattern` matches fail in that `way`, so many `times`."""

    pattern: str
    way: Way
    times: int = 1_000_000

    def takes(self, piece: bytes | bytearray) -> bool:
        """Whether this piece begins a request that is to fail now."""
        line = piece.split(b"\r\n", 1)[0]
        if self.times and line.endswith(b"HTTP/1.1") and re.search(self.pattern.encode(), line):
            self.times -= 1
            return True
        return False


class S3Proxy:
    """Stands before the server on `target_port`. Set `fault` and `delay_s` at any time."""

    def __init__(self, target_port: int, listener: trio.SocketListener) -> None:
        self.port = int(listener.socket.getsockname()[1])
        self.fault: Fault | None = None
        self.delay_s = 0.0
        """Seconds by which each piece of a request is late."""
        self._target_port = target_port

    async def relay(self, client: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        try:
            async with (
                client,
                await trio.open_tcp_stream("127.0.0.1", self._target_port) as server,
                trio.open_nursery() as nursery,
            ):
                joint = _Joint(self, client, server, nursery.cancel_scope)
                nursery.start_soon(joint.requests)
                nursery.start_soon(joint.answers)
        except OSError:
            pass  # the server cannot be reached, and the client sees its connection end


class _Joint:
    """One connection, with the fault that it has met."""

    def __init__(
        self, proxy: S3Proxy, client: trio.SocketStream, server: trio.SocketStream, both: trio.CancelScope
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._both = both
        self._met: Way | None = None
        self._answering = trio.Lock()
        """A client may ask again when it has an answer, and before the task that sent it goes on."""

    async def requests(self) -> None:
        try:
            async for piece in self._client:
                fault = self._proxy.fault
                if fault is not None and fault.takes(piece):
                    self._met = fault.way
                    if self._met in ANSWERS:
                        await self._answer(ANSWERS[self._met])
                        await self._client.send_eof()
                        break
                    if self._met == "reset":
                        self._reset()
                        break
                await trio.sleep(self._proxy.delay_s)
                await self._server.send_all(self._flipped(piece))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer is gone, and so is this connection
        self._both.cancel()

    async def answers(self) -> None:
        try:
            async for piece in self._server:
                if self._met in ("lost answer", "cut answer"):
                    if self._met == "cut answer":
                        await self._answer(piece)
                    self._reset()
                    break
                await self._answer(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer is gone, and so is this connection
        self._both.cancel()

    async def _answer(self, piece: bytes | bytearray) -> None:
        async with self._answering:
            await self._client.send_all(piece)

    def _flipped(self, piece: bytes | bytearray) -> bytes | bytearray:
        """`piece`, with its last bit flipped when it is of a body to be changed."""
        if self._met == "flipped bit" and not piece.split(b"\r\n", 1)[0].endswith(b"HTTP/1.1"):
            self._met = None
            return piece[:-1] + bytes([piece[-1] ^ 1])
        return piece

    def _reset(self) -> None:
        self._client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def open_s3_proxy(target_port: int) -> AsyncIterator[S3Proxy]:
    """A proxy on a free port of 127.0.0.1 until the block ends."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    # So that a slow proxy is felt by whoever sends, and not hidden by the kernel.
    listener.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, CHUNK_BYTES)
    proxy = S3Proxy(target_port, listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.relay, [listener])
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
