"""The inspection server: serves inspectors from a thread of its own, so that it answers while the loop is blocked.

The gateway's poller reads the head of the request and checks the token (`omnisonic.actors.inspection.auth`). Then the
socket goes to the thread, which has its own trio loop and trio-websocket, because this is no hot path. Questions are
asked in the gateway's loop, with a deadline (`omnisonic.actors.inspection.thread_call`). While that loop is blocked,
the thread accepts inspectors itself (`omnisonic.actors.inspection.fallback_acceptor`).

The thread starts with the first inspector, or the first stall. Overload: `auth` bounds the number of inspectors. Crash:
of a session, ends that session; of the thread, ends all, and the next inspector starts a new thread. Shutdown: all are
closed with 1001, and the thread ends before the gateway does.
"""

import logging
import queue
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeAlias

import trio
from trio_websocket import ConnectionClosed, wrap_server_stream

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.inspection.auth import InspectionAuth
from omnisonic.actors.inspection.cluster_session import ClusterSession
from omnisonic.actors.inspection.fallback_acceptor import FallbackAcceptor
from omnisonic.actors.inspection.inspector import Inspector
from omnisonic.actors.inspection.peer_questions import PeerQuestions
from omnisonic.actors.inspection.session import InspectionSession, InspectorConnection
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


class Peers(Protocol):
    """The other processes of this gateway, where there are any."""

    async def run(self, serve: Callable[[InspectorConnection, str], Awaitable[None]]) -> None:
        """Serve inspectors of other processes, until cancelled: each by its connection and address."""
        ...

    def open_session(
        self,
        websocket: InspectorConnection,
        address: str,
        inspector: Inspector,
        thread_calls: ThreadCalls,
        watchdog: Watchdog,
    ) -> InspectionSession:
        """The session of an inspector who inspects all processes."""
        ...


class InspectionServer:
    """The inspectors of one gateway. Belongs to the gateway's loop, except where noted."""

    def __init__(self, auth: InspectionAuth, inspector: Inspector, watchdog: Watchdog) -> None:
        self._auth = auth
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
        self._peers: Peers | None = None
        self._questions: PeerQuestions | None = None

    def __len__(self) -> int:
        """How many inspectors there are."""
        return len(self._inside)

    def handle_handshake(self, connection: Connection, request: Request, now_s: float) -> None:
        """Admit an inspector whose request head is complete. Errors: `Refused`."""
        self._auth.check(request, connection.address, len(self), now_s)
        key = check_upgrade(request)
        sock, early = connection.detach_socket()
        self._inside.add(sock)
        self._newcomers.put((sock, _make_request(key) + early, connection.address))
        self._wake_thread()

    def start_fallback_acceptor(
        self, listeners: Sequence[socket.socket], take: Callable[[socket.socket, str], None]
    ) -> None:
        """Accept inspectors while the loop is blocked. Called by the watchdog, in its thread."""
        if self._auth.is_enabled and self._fallback_acceptor is None:
            release = partial(self._thread_calls.tell, take)
            self._fallback_acceptor = FallbackAcceptor(listeners, self._watchdog, self._admit, release)
            self._wake_thread()

    def serve_peers(self, peers: Peers) -> None:
        """From now on serve the other processes, too, and let inspectors here inspect all. Starts the thread."""
        self._peers = peers
        self._wake_thread()

    def ask_owners(self, questions: PeerQuestions) -> None:
        """From now on ask the owner of a room that is at another gateway."""
        self._questions = questions

    async def serve_here(self, connection: InspectorConnection, address: str) -> None:
        """Serve an inspector of another gateway, about this one alone, in the caller's loop."""
        await InspectionSession(connection, address, self._inspector, self._thread_calls, self._watchdog).run()

    def _wake_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)
            self._thread.start()
        self._call(self._wake)

    async def stop(self) -> None:
        """End all sessions; returns when the thread has ended, or after `STOP_S`."""
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
            if self._peers is not None:
                nursery.start_soon(self._peers.run, self._run_own_session)
            while not self._stopping:
                while not self._newcomers.empty():
                    nursery.start_soon(self._receive, *self._newcomers.get())
                acceptor = self._fallback_acceptor
                if acceptor is not None and not acceptor.is_running:
                    acceptor.is_running = True
                    nursery.start_soon(self._run_fallback_acceptor, acceptor)
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
                    await self._open_session(websocket, address).run()
                finally:
                    with trio.move_on_after(CLOSE_S, shield=True), suppress(ConnectionClosed):
                        await websocket.aclose(CloseCode.GOING_AWAY)
                    nursery.cancel_scope.cancel()
        except Exception as crash:  # noqa: BLE001 - a fault of one session must not end the others
            _log.warning("inspector.failed", extra={"address": address}, exc_info=crash)
        finally:
            await trio.aclose_forcefully(stream)
            self._inside.discard(sock)
            _log.info("inspector.disconnected", extra={"address": address})

    def _open_session(self, connection: InspectorConnection, address: str) -> InspectionSession:
        """The session of an inspector of the whole gateway."""
        if self._peers is None:
            return self._open_own_session(connection, address)
        return self._peers.open_session(connection, address, self._inspector, self._thread_calls, self._watchdog)

    def _open_own_session(self, connection: InspectorConnection, address: str) -> InspectionSession:
        """The session of an inspector of this process."""
        open_session = InspectionSession if self._questions is None else partial(ClusterSession, self._questions)
        return open_session(connection, address, self._inspector, self._thread_calls, self._watchdog)

    async def _run_own_session(self, connection: InspectorConnection, address: str) -> None:
        """An inspector of another process, about this one."""
        await self._open_own_session(connection, address).run()

    async def _run_fallback_acceptor(self, acceptor: FallbackAcceptor) -> None:
        try:
            await acceptor.run()
        finally:
            self._fallback_acceptor = None

    def _admit(self, sock: socket.socket, request: Request, early: bytes, address: str) -> None:
        assert self._nursery is not None
        self._auth.check(request, address, len(self), trio.current_time())
        key = check_upgrade(request)
        self._inside.add(sock)
        self._nursery.start_soon(self._receive, sock, _make_request(key) + early, address)


class _PrefixedStream(trio.abc.Stream):
    """A stream that begins with bytes that were already read from it."""

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
    """The head of the request again, as far as trio-websocket needs it; without the token."""
    return (
        "GET /inspect HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
