"""Clients that disconnect in the middle of a request: what has arrived whole is done to its end (RELIABILITY)."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
from quart import request

from omnisonic.http.app import create_plain_app
from omnisonic.http.core.framework import call_at_end, disconnect_waiter
from omnisonic.settings.origins import HostPolicy, OriginPolicy
from tests.http.running import CLIENT_TIMEOUT_S, serving

LINE: Final = b"POST /work HTTP/1.1\r\nHost: localhost\r\n"
REQUESTS: Final = {
    "a body": (LINE + b"Content-Length: 4\r\n\r\n", b"body"),
    "chunks": (LINE + b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nbody\r\n0\r\n\r\n"),
    "an empty body": (LINE + b"Content-Length: 0\r\n\r\n", b""),
    "no body": (LINE + b"\r\n", b""),
}


@dataclass
class Site:
    """A site whose only route goes on until its client is gone, and then does what it was asked for."""

    port: int
    is_begun: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)
    done: list[bytes] = field(default_factory=list)

    async def work(self) -> str:
        call_at_end(self.is_over.set)
        wait_for_disconnect = disconnect_waiter()
        self.is_begun.set()
        body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
        await wait_for_disconnect()
        self.done.append(body)
        return "done"

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=CLIENT_TIMEOUT_S)


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


@pytest.fixture
def site() -> Iterator[Site]:
    listener = socket.create_server(("127.0.0.1", 0))
    site = Site(int(listener.getsockname()[1]))
    hosts, origins = HostPolicy(frozenset({"localhost"})), OriginPolicy(frozenset())
    app = create_plain_app(hosts, origins, has_pages=False, https=False)
    app.post("/work")(site.work)
    with serving(app, listener, nothing()):
        yield site


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
def test_a_request_whose_client_is_gone_is_done_to_its_end(site: Site, sent: tuple[bytes, bytes]) -> None:
    """The route that waits for the disconnect is told of it, and nobody is cancelled half-way."""
    head, body = sent
    with site.connected() as client:
        client.sendall(head + body)
    assert site.is_over.wait(CLIENT_TIMEOUT_S)
    assert site.done == [b"body" if body else b""]


def test_a_body_may_come_after_the_route_has_begun(site: Site) -> None:
    head, body = REQUESTS["a body"]
    with site.connected() as client:
        client.sendall(head)
        assert site.is_begun.wait(CLIENT_TIMEOUT_S)
        client.sendall(body)
    assert site.is_over.wait(CLIENT_TIMEOUT_S)
    assert site.done == [body]


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
def test_who_has_only_stopped_sending_gets_an_answer(site: Site, sent: tuple[bytes, bytes]) -> None:
    with site.connected() as client:
        client.sendall(b"".join(sent))
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\ndone")


def test_a_request_that_breaks_off_in_its_body_ends_at_once(site: Site) -> None:
    """Nothing of it is done."""
    head, body = REQUESTS["a body"]
    with site.connected() as client:
        client.sendall(head + body[:2])
        assert site.is_begun.wait(CLIENT_TIMEOUT_S)
    assert site.is_over.wait(CLIENT_TIMEOUT_S)
    assert site.done == []
