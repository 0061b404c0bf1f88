"""One connection to the web: bytes between its socket and Hypercorn's HTTP/1.1 protocol. Asyncio.

Overload: responses are sent in slices with a deadline each, and little of them is buffered here and in the kernel.
Requests are read no faster than they are used. A peer that does not send a whole request head in time is cut off, as is
one that is silent for that long between requests. Bodies have their own deadlines (`omnisonic.http.core.request_body`).
Crash of the app: 500. The peer disconnects: the connection ends at once, or after the request in flight. Shutdown:
`stop` ends it now, or after the request in flight.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import h11
from hypercorn import Config
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import EndBody
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from omnisonic.http.core.request_body import EXPECTATION_STATE, Expectation, ManualContinueConnection

SLICE_BYTES: Final = 65_536
UNSENT_BYTES: Final = 131_072
"""Most unsent bytes that the kernel buffers for a peer, besides those on their way."""
READ_BYTES: Final = 65_536
CLOSE_S: Final = 2.0
UNACKNOWLEDGED_MS: Final = 30_000
"""How long a peer may leave unacknowledged what was sent. So a stream, which sends little, finds peers that are gone
without a word."""
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a connection may be idle or take to send a request's head, and how long to accept a slice."""

    idle_s: float = 8.0
    send_s: float = 15.0


class Http1(H11Protocol):
    """HTTP/1.1 only: an upgrade to HTTP/2 is passed on as a request, which the request filter refuses.

    WebSockets are refused by the app, or by Hypercorn when the request is no whole handshake.
    """

    async def initiate(self) -> None:
        self.connection = ManualContinueConnection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )
        expectation = Expectation(self.connection, self._send_h11_event)
        self.connection_state = ConnectionState({**self.connection_state, EXPECTATION_STATE: expectation})

    async def _check_protocol(self, event: h11.Request) -> None:
        """Do nothing: Hypercorn would switch protocols here."""

    async def stream_send(self, event: StreamEvent) -> None:
        await super().stream_send(event)
        if isinstance(event, EndBody) and isinstance(self.connection, H11WSConnection):
            # A WebSocket is refused. Hypercorn would leave the closing to the client, who may never do it.
            await self.send(Closed())


class PeerStalled(ConnectionError):
    """The peer does not read its response."""


class Connection:
    """Serves `app` on `sock`, a connected non-blocking socket, and closes it in the end. `state` is the lifespan's.

    `context` is the server's, which sets `terminated` before it stops connections.
    """

    def __init__(
        self,
        sock: socket.socket,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: ConnectionState,
        timeouts: Timeouts,
    ) -> None:
        self._sock = sock
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._deadline = asyncio.timeout(timeouts.idle_s)
        self._is_idle = True
        self._is_reading = False
        self._has_stopped = False
        self._protocol: Http1
        self._transport: asyncio.Transport
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def run(self) -> None:
        """Serve until the connection ends. Raises what Hypercorn did not expect."""
        try:
            await self._open()
        except OSError:
            self._sock.close()
            return
        try:
            await self._serve()
        except asyncio.CancelledError:
            self._abort()
            raise
        finally:
            await self._close()

    def stop(self) -> None:
        """Close now, or after the request in flight."""
        if self._is_idle:
            self._stop_reading()

    async def _open(self) -> None:
        if self._sock.family in (socket.AF_INET, socket.AF_INET6):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        self._reader = asyncio.StreamReader(limit=READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        self._transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, self._sock)
        # No buffer here: we wait for the kernel to take the bytes.
        self._transport.set_write_buffer_limits(high=0)
        self._writer = asyncio.StreamWriter(self._transport, protocol, self._reader, self._loop)

    async def _serve(self) -> None:
        try:
            async with TaskGroup(self._loop) as tasks:
                peer = parse_socket_addr(self._sock.family, self._sock.getpeername())
                own = parse_socket_addr(self._sock.family, self._sock.getsockname())
                self._protocol = Http1(
                    self._app, self._config, self._context, tasks, self._state, False, peer, own, self._send
                )
                await self._protocol.initiate()
                await self._read()
        except* OSError:
            pass  # the peer is gone

    async def _read(self) -> None:
        """Read and pass on until the peer closes or the deadline expires."""
        with suppress(TimeoutError, OSError):
            async with self._deadline:
                self._is_reading = True
                while not self._has_stopped and (data := await self._reader.read(READ_BYTES)):
                    await self._protocol.handle(RawData(data))
        self._is_reading, self._has_stopped = False, True
        await self._protocol.handle(Closed())

    async def _send(self, event: Event) -> None:
        """Handle an event of the protocol: bytes to send, a change of `idle`, or a close. Raises `ConnectionError`."""
        match event:
            case RawData(data=data):
                try:
                    await self._write(data)
                except (ConnectionError, RuntimeError) as problem:
                    # The reader may wait for the end of this response, of which Hypercorn would not tell it now.
                    self._stop_reading()
                    await self._protocol.handle(Closed())
                    raise ConnectionResetError from problem
            case Updated(idle=idle):
                self._is_idle = idle
                if idle and self._context.terminated.is_set():
                    self._stop_reading()
                else:
                    self._set_deadline(self._loop.time() + self._timeouts.idle_s if idle else None)
            case Closed():
                self._stop_reading()

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(view), SLICE_BYTES):
            if self._transport.is_closing():
                raise ConnectionResetError
            self._writer.write(view[begin : begin + SLICE_BYTES])
            if not self._transport.get_write_buffer_size():
                continue
            try:
                async with asyncio.timeout(self._timeouts.send_s):
                    await self._writer.drain()
            except TimeoutError:
                self._abort()
                raise PeerStalled from None

    def _stop_reading(self) -> None:
        """Stop reading."""
        self._has_stopped = True
        self._set_deadline(self._loop.time())

    def _set_deadline(self, time_s: float | None) -> None:
        """Set the time until which the connection may be silent; None for no limit."""
        if self._is_reading and not self._deadline.expired():
            self._deadline.reschedule(time_s)

    def _abort(self) -> None:
        """Drop the connection at once, with everything that the kernel has buffered."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    async def _close(self) -> None:
        with suppress(OSError, RuntimeError):
            self._writer.write_eof()
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except TimeoutError:
            self._abort()
        except OSError:
            pass  # closed by the peer
