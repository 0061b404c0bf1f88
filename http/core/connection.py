"""One connection to the web: bytes between its socket and Hypercorn's HTTP/1.1 protocol. Asyncio.

Overload: what is sent goes in slices, each of which the peer has to take in time, and little of it waits in memory,
here and in the kernel; what arrives is read no faster than it is used. A peer that sends no whole request head in time
is cut off, as is one that is silent for that long between requests. Bodies have deadlines of their own
(`omnisonic.http.core.request_body`). Crash of the app: 500. The peer hangs up: the connection ends at once, or with the
request that is in flight. Shutdown: `stop` ends it now, or with the request that is in flight.
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
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from omnisonic.http.core.request_body import EXPECTATION_STATE, Expectation, ManualContinueConnection

SLICE_BYTES: Final = 65_536
UNSENT_BYTES: Final = 131_072
"""How much that was not sent yet the kernel keeps for a peer, beside what is on its way."""
READ_BYTES: Final = 65_536
CLOSE_S: Final = 2.0
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a connection may be silent, or take to send the head of a request, and to take a slice."""

    idle_s: float = 8.0
    send_s: float = 15.0


class Http1(H11Protocol):
    """HTTP/1.1 and nothing else: an upgrade to HTTP/2 is a request like others, which the app's door refuses."""

    async def initiate(self) -> None:
        self.connection = ManualContinueConnection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )
        expectation = Expectation(self.connection, self._send_h11_event)
        self.connection_state = ConnectionState({**self.connection_state, EXPECTATION_STATE: expectation})

    async def _check_protocol(self, event: h11.Request) -> None:
        """Hypercorn would have switched protocols here."""


class PeerStalled(ConnectionError):
    """The peer does not take what it has asked for."""


class Connection:
    """Serves `app` on `sock`, which is connected and not blocking, and is closed in the end. `state`: the lifespan's.

    `context` is the server's, who sets its `terminated` before stopping connections.
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
        self._is_over = False
        self._protocol: Http1
        self._transport: asyncio.Transport
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def run(self) -> None:
        """Serve until it ends. Raises what the app's server did not expect."""
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
        """End it now, or with the request that is in flight."""
        if self._is_idle:
            self._cut()

    async def _open(self) -> None:
        if self._sock.family in (socket.AF_INET, socket.AF_INET6):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._reader = asyncio.StreamReader(limit=READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        self._transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, self._sock)
        # Nothing waits here: what the kernel does not take yet is waited for.
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
        """Pass on what arrives until nothing more does, or the connection is cut."""
        with suppress(TimeoutError, OSError):
            async with self._deadline:
                self._is_reading = True
                while not self._is_over and (data := await self._reader.read(READ_BYTES)):
                    await self._protocol.handle(RawData(data))
        self._is_reading, self._is_over = False, True
        await self._protocol.handle(Closed())

    async def _send(self, event: Event) -> None:
        """What the protocol wants: bytes out, an end, or to be told when nothing comes. Errors: `ConnectionError`."""
        match event:
            case RawData(data=data):
                try:
                    await self._write(data)
                except (ConnectionError, RuntimeError) as problem:
                    await self._protocol.handle(Closed())
                    raise ConnectionResetError from problem
            case Updated(idle=idle):
                self._is_idle = idle
                if idle and self._context.terminated.is_set():
                    self._cut()
                else:
                    self._wait_until(self._loop.time() + self._timeouts.idle_s if idle else None)
            case Closed():
                self._cut()

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

    def _cut(self) -> None:
        """Read nothing more."""
        self._is_over = True
        self._wait_until(self._loop.time())

    def _wait_until(self, time_s: float | None) -> None:
        """For how long is read on."""
        if self._is_reading and not self._deadline.expired():
            self._deadline.reschedule(time_s)

    def _abort(self) -> None:
        """Be without the connection at once, and let the kernel keep nothing of it."""
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
