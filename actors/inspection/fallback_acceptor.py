"""The fallback acceptor: while the gateway's loop is blocked, it accepts connections to find inspectors (SPEC 1).

Operators connect exactly when the loop is blocked, and the loop cannot accept them. So the inspection thread accepts
for as long as the watchdog sees a stall. It looks at the first bytes without reading them. It serves an inspector
itself; every other socket goes to the gateway unread.

Overload: at most `MAX_PENDING` sockets at once, the others wait in the listening socket. Crash: closes the one socket.
Shutdown: cancelled with the inspection server.
"""

import socket
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, TypeAlias

import trio

from omnisonic.actors.inspection.watchdog import Watchdog
from omnisonic.actors.runtime.acceptor import accept
from omnisonic.wire.handshake import Refused, Request, find_head_end, read_request, refusal_response

MAX_PENDING: Final = 64
FIRST_BYTES_S: Final = 1.0
"""A client that sends nothing for this long is no inspector."""
HEAD_S: Final = 5.0
PAUSE_S: Final = 0.05
READ_BYTES: Final = 4096
FIRST_BYTES: Final = b"GET /inspect"

AdmitInspector: TypeAlias = Callable[[socket.socket, Request, bytes, str], None]
"""Admits an inspector: socket, request, bytes after the request, address. Errors: `Refused`."""


class FallbackAcceptor:
    """Accepts from `listeners`. `release` gets every socket that is no inspector's."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        watchdog: Watchdog,
        admit: AdmitInspector,
        release: Callable[[socket.socket, str], None],
    ) -> None:
        self._listeners = listeners
        self._watchdog = watchdog
        self._admit = admit
        self._release = release
        self.is_running = False
        self._pending = 0

    async def run(self) -> None:
        """Accept until the loop runs again, then finish what was accepted."""
        async with trio.open_nursery() as nursery:
            while self._watchdog.stall() is not None:
                for listener in self._listeners:
                    self._accept(listener, nursery)
                await trio.sleep(PAUSE_S)

    def _accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while self._pending < MAX_PENDING:
            try:
                sock, address = accept(listener)
            except OSError:  # no connection waits
                return
            self._pending += 1
            nursery.start_soon(self._check_newcomer, sock, address)

    async def _check_newcomer(self, sock: socket.socket, address: str) -> None:
        try:
            is_inspector = await _peek_matches(sock, FIRST_BYTES)
        except OSError:
            sock.close()
            return
        except trio.Cancelled:
            sock.close()
            raise
        finally:
            self._pending -= 1
        if not is_inspector:
            self._release(sock, address)
            return
        try:
            with trio.fail_after(HEAD_S):
                request, early = await _read_head(sock)
            self._admit(sock, request, early, address)
        except Refused as refused:
            _send_answer(sock, refusal_response(refused))
        except (OSError, trio.TooSlowError):
            sock.close()


async def _peek_matches(sock: socket.socket, first: bytes) -> bool:
    """Whether what the peer sends begins with `first`; peeks, reads nothing. Errors: `OSError`."""
    seen = b""
    with trio.move_on_after(FIRST_BYTES_S):
        while len(seen) < len(first) and first.startswith(seen):
            await trio.lowlevel.wait_readable(sock)
            more = sock.recv(len(first), socket.MSG_PEEK)
            if more == seen:
                break  # it ended, or sends byte by byte: the gateway handles that
            seen = more
    return seen == first


async def _read_head(sock: socket.socket) -> tuple[Request, bytes]:
    """Read the request, and what came after it. Errors: `Refused`, `OSError`."""
    received = bytearray()
    while True:
        await trio.lowlevel.wait_readable(sock)
        data = sock.recv(READ_BYTES)
        if not data:
            raise Refused(HTTPStatus.BAD_REQUEST, "bad_request", "The request has no end.")
        received += data
        end = find_head_end(received, len(data))
        if end is not None:
            return read_request(bytes(received[:end])), bytes(received[end:])


def _send_answer(sock: socket.socket, answer: bytes) -> None:
    """Send what the kernel takes at once, and close."""
    try:
        sock.send(answer)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return
    finally:
        sock.close()
