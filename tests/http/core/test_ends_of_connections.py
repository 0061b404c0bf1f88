"""Whatever a client does, its connection ends, and its place is for others then (RELIABILITY)."""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from omnisonic.http.core.acceptor import ConnectionLimits
from omnisonic.http.core.connection import Timeouts
from tests.cli.running import eventually
from tests.http.core.test_connections import HASTY, HELLO, connected, is_served
from tests.http.running import CLIENT_TIMEOUT_S, serving

pytestmark = pytest.mark.timing

ONE: Final = ConnectionLimits(total=1)
PATIENT: Final = Timeouts(idle_s=60.0, send_s=HASTY.send_s)
"""Idle connections stay: only what is tried here ends them."""
LARGE: Final = bytes(8 * 2**20)
ASK: Final = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASK_TO_SWITCH: Final = b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: something\r\n\r\n"
REQUESTS: Final = {
    "one request": ASK,
    "a spare line after it": ASK + b"\r\n",
    "a second request after it": ASK + HELLO,
    "an upgrade to something": ASK_TO_SWITCH,
}
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
)
KEY: Final = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
RESET: Final = struct.pack("ii", 1, 0)


@dataclass
class Site:
    """An app that answers requests for `/large` when it may, others at once, and refuses WebSockets."""

    port: int = 0
    is_asked: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] == "http":
            body = b""
            if scope["path"] == "/large":
                self.is_asked.set()
                await asyncio.to_thread(self.may_answer.wait)
                body = LARGE
            length = str(len(body)).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


@contextmanager
def running(timeouts: Timeouts) -> Iterator[Site]:
    """A site that has one place."""
    listener = socket.create_server(("127.0.0.1", 0))
    site = Site(listener.getsockname()[1])
    with serving(site, listener, nothing(), ONE, timeouts):
        try:
            yield site
        finally:
            site.may_answer.set()


@pytest.fixture
def site() -> Iterator[Site]:
    with running(PATIENT) as site:
        yield site


def has_room(site: Site) -> None:
    """Wait until there is a place for the next."""
    eventually(lambda: is_served(site.port), what="there is room", within_s=10 * HASTY.send_s)


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
def test_who_resets_the_connection_before_the_answer_gives_the_place_back(site: Site, request_bytes: bytes) -> None:
    """Also when what was sent after the request has not been read yet."""
    with connected(site.port) as sock:
        sock.sendall(request_bytes)
        assert site.is_asked.wait(CLIENT_TIMEOUT_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    site.may_answer.set()
    has_room(site)


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
def test_who_does_not_read_the_answer_loses_the_place(site: Site, request_bytes: bytes) -> None:
    site.may_answer.set()
    with connected(site.port) as sock:
        sock.sendall(request_bytes)
        assert site.is_asked.wait(CLIENT_TIMEOUT_S)
        has_room(site)


@pytest.mark.parametrize("end", [b"\r\n", KEY + b"\r\n", KEY + b"\r\nearly"], ids=["no key", "whole", "with more"])
def test_who_wants_a_websocket_is_refused_and_loses_the_place(site: Site, end: bytes) -> None:
    """And cannot stay by being silent, whatever is wrong with the request."""
    with connected(site.port) as sock:
        sock.sendall(UPGRADE + end)
        answer = b"".join(iter(lambda: sock.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 40")
        assert answer.count(b"HTTP/1.1 ") == 1
        has_room(site)
