"""A TCP proxy that makes the network fail: slow, refused, held or cut. It can also speak TLS to clients. Trio."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

CHUNK_BYTES: Final = 65536


class TcpProxy:
    """Stands before the server on `target_port`. Change `delay_s` and `refusing` at any time."""

    def __init__(self, target_port: int, listener: trio.SocketListener, tls: ssl.SSLContext | None = None) -> None:
        self.port = int(listener.socket.getsockname()[1])
        self.delay_s = 0.0
        """Seconds by which each chunk is late, in both directions."""
        self.refusing = False
        """New connections are closed at once."""
        self.connections = 0
        """How many came since the start, refused ones included."""
        self._target_port = target_port
        self._tls = tls
        self._passes = trio.Event()
        self._passes.set()
        self._open: set[trio.CancelScope] = set()

    def cut(self) -> None:
        """Break every connection there is now. New ones are let in."""
        for scope in self._open:
            scope.cancel()

    def hold(self) -> None:
        """Let nothing pass any more, and tell nobody; connections are accepted."""
        self._passes = trio.Event()

    def go_on(self) -> None:
        """Let all pass again, and what was held first."""
        self._passes.set()

    async def relay(self, client: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        async with client:
            self.connections += 1
            if self.refusing:
                return
            with trio.CancelScope() as scope:
                self._open.add(scope)
                try:
                    await self._join(trio.SSLStream(client, self._tls, server_side=True) if self._tls else client)
                except OSError:
                    pass  # the server cannot be reached, and the client sees its connection end
                finally:
                    self._open.discard(scope)

    async def _join(self, client: trio.abc.Stream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._target_port) as server, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, client, server, nursery.cancel_scope)
            nursery.start_soon(self._copy, server, client, nursery.cancel_scope)

    async def _copy(self, source: trio.abc.Stream, sink: trio.abc.Stream, both: trio.CancelScope) -> None:
        try:
            async for chunk in source:
                await self._passes.wait()
                if self.delay_s:
                    await trio.sleep(self.delay_s)
                await sink.send_all(chunk)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer is gone, and so is this connection
        both.cancel()


@asynccontextmanager
async def open_tcp_proxy(target_port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[TcpProxy]:
    """A proxy on a free port of 127.0.0.1 until the block ends. With `tls`, clients must speak TLS to it."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = TcpProxy(target_port, listener, tls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.relay, [listener])
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
