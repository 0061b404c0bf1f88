"""Inspection: serves inspectors from a thread of its own, so that they are answered when the gateway's loop is not.

The gateway's poller reads the request's head and lets the inspector in or not (`omnisonic.actors.inspection.auth`);
then the socket goes to the thread, which has a trio loop and trio-websocket, for this is no hot path. What is asked
crosses back into the gateway's loop with a deadline (`omnisonic.actors.inspection.thread_call`). While that loop is
held up, the thread takes inspectors off the listening sockets itself (`omnisonic.actors.inspection.fallback_acceptor`).

The thread starts with the first inspector, or the first stall. Overload: the door bounds how many there are. Crash: of
one session, ends that one; of the thread, ends them all, and the next inspector starts another. Shutdown: everybody is
closed with 1001, and the thread has ended before the gateway has.
"""

import logging
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

import trio
from trio_websocket import ConnectionClosed, wrap_server_stream

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.inspection.auth import InspectionAuth
from omnisonic.actors.inspection.fallback_acceptor import FallbackAcceptor
from omnisonic.actors.inspection.inspector import Inspector
from omnisonic.actors.inspection.session import InspectionSession
from omnisonic.actors.inspection.thread_call import ThreadCalls
from omnisonic.actors.inspection.watchdog import Watchdog
from omnisonic.wire.closing import CloseCode
from omnisonic.wire.handshake import Request, check_upgrade
from omnisonic.wire.inspection import QUESTION_BYTES

HANDSHAKE_S: Final = 5.0
CLOSE_S: Final = 0.5
STOP_S: Final = 2.0

_log = logging.getLogger(__name__)

Newcomer: TypeAlias = tuple[socket.socket, bytes, str]
"""A socket, the bytes that its stream begins with, and the peer's address."""


class InspectionServer:
    """The inspectors of one gateway. Belongs to the gateway's loop but for what says otherwise."""

    def __init__(self, door: InspectionAuth, inspector: Inspector, watchdog: Watchdog) -> None:
        self._auth = door
        self._inspector = inspector
        self._watchdog = watchdog
        self._thread_calls = ThreadCalls()
        self._newcomers: queue.SimpleQueue[Newcomer] = queue.SimpleQueue()
        self._inside: set[socket.socket] = set()
        self._fallback_acceptor: FallbackAcceptor | None = None
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._more = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._stopping = False

    def __len__(self) -> int:
        """How many inspectors there are."""
        return len(self._inside)

    def handle_handshake(self, connection: Connection, request: Request, now_s: float) -> None:
        """Let an inspector in whose request head is whole. Errors: `Refused`."""
        self._auth.check(request, connection.address, len(self), now_s)
        key = check_upgrade(request)
        sock, early = connection.detach_socket()
        self._inside.add(sock)
        self._newcomers.put((sock, _make_request(key) + early, connection.address))
        self._wake_thread()

    def start_fallback_acceptor(
        self, listeners: Sequence[socket.socket], take: Callable[[socket.socket, str], None]
    ) -> None:
        """The loop is held up: let inspectors in without it. Called by the watchdog, in its thread."""
        if self._auth.is_enabled and self._fallback_acceptor is None:
            give_back = partial(self._thread_calls.tell, take)
            self._fallback_acceptor = FallbackAcceptor(listeners, self._watchdog, self._admit, give_back)
            self._wake_thread()

    def _wake_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)
            self._thread.start()
        self._call(self._wake)

    async def stop(self) -> None:
        """End all inspections; returns when the thread has ended, or after `STOP_S`."""
        self._stopping = True
        self._call(self._wake)
        thread = self._thread
        if thread is not None:
            await trio.to_thread.run_sync(thread.join, STOP_S)

    def _call(self, call: Callable[[], None]) -> None:
        token = self._token
        if token is not None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(call)

    # In the thread

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except Exception as crash:  # noqa: BLE001 - nobody is left to raise it to
            _log.error("inspection.crashed", exc_info=crash)
        finally:
            self._token = None
            while not self._newcomers.empty():
                sock, _, _ = self._newcomers.get()
                self._inside.discard(sock)
                sock.close()

    def _wake(self) -> None:
        self._more.set()

    async def _serve(self) -> None:
        self._more = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            while not self._stopping:
                while not self._newcomers.empty():
                    nursery.start_soon(self._receive, *self._newcomers.get())
                stand_in = self._fallback_acceptor
                if stand_in is not None and not stand_in.is_running:
                    stand_in.is_running = True
                    nursery.start_soon(self._run_fallback_acceptor, stand_in)
                await self._more.wait()
                self._more = trio.Event()
            nursery.cancel_scope.cancel()

    async def _receive(self, sock: socket.socket, opening: bytes, address: str) -> None:
        """One inspector, from the handshake to the end."""
        stream = _PrefixedStream(trio.SocketStream(trio.socket.from_stdlib_socket(sock)), opening)
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(HANDSHAKE_S):
                    request = await wrap_server_stream(
                        nursery, stream, max_message_size=QUESTION_BYTES, message_queue_size=1
                    )
                    websocket = await request.accept()
                _log.info("inspector.connected", extra={"address": address})
                try:
                    await InspectionSession(
                        websocket, address, self._inspector, self._thread_calls, self._watchdog
                    ).run()
                finally:
                    with trio.move_on_after(CLOSE_S, shield=True), suppress(ConnectionClosed):
                        await websocket.aclose(CloseCode.GOING_AWAY)
                    nursery.cancel_scope.cancel()
        except Exception as crash:  # noqa: BLE001 - one inspector's fault must not end the others
            _log.warning("inspector.failed", extra={"address": address}, exc_info=crash)
        finally:
            await trio.aclose_forcefully(stream)
            self._inside.discard(sock)
            _log.info("inspector.disconnected", extra={"address": address})

    async def _run_fallback_acceptor(self, stand_in: FallbackAcceptor) -> None:
        try:
            await stand_in.run()
        finally:
            self._fallback_acceptor = None

    def _admit(self, sock: socket.socket, request: Request, early: bytes, address: str) -> None:
        assert self._nursery is not None
        self._auth.check(request, address, len(self), trio.current_time())
        key = check_upgrade(request)
        self._inside.add(sock)
        self._nursery.start_soon(self._receive, sock, _make_request(key) + early, address)


class _PrefixedStream(trio.abc.Stream):
    """A stream that begins with bytes which were read from it before."""

    def __init__(self, stream: trio.SocketStream, opening: bytes) -> None:
        self._stream = stream
        self._opening = opening

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._opening:
            await trio.lowlevel.checkpoint()
            size = len(self._opening) if max_bytes is None else max_bytes
            opening, self._opening = self._opening[:size], self._opening[size:]
            return opening
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _make_request(key: str) -> bytes:
    """The request's head again, as far as trio-websocket needs it: nobody's token goes further than the door."""
    return (
        "GET /inspect HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
