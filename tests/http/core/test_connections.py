"""Connections to the web: how many there may be, and what becomes of those that stand still (RELIABILITY)."""

import contextlib
import functools
import os
import resource
import select
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from omnisonic.http.api.downloads import PER_ADDRESS, DownloadSlots
from omnisonic.http.api.listening import PER_ADDRESS as GUESTS_PER_ADDRESS
from omnisonic.http.core.acceptor import PAUSE_S, ConnectionLimits
from omnisonic.http.core.connection import Timeouts
from omnisonic.http.core.errors import Refusal
from tests.cli.running import environ, eventually, status_of
from tests.http.api.test_sessions import make
from tests.http.api.test_shares import shared
from tests.http.api.test_uploads import send
from tests.http.running import CLIENT_TIMEOUT_S, Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database

pytestmark = pytest.mark.timing

HASTY: Final = Timeouts(idle_s=0.5, send_s=1.0)
READERS: Final = 100
READERS_BYTES: Final = READERS * 2**20 // 3
"""What so many may cost: a hundred megabytes were three hundred."""
SOUND: Final = wav(0.1) + bytes(8 * 2**20)
FEW: Final = ConnectionLimits(total=6, per_address=4, exempt=(ip_network("127.0.0.9/32"),))
HELLO: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
DESCRIPTORS: Final = 64
FEW_DESCRIPTORS: Final = 128
PAUSES: Final = 2
ADDRESSES: Final = 5
SITE: Final = """
import asyncio, logging, resource, socket, sys
from omnisonic.http.serving import serve_web

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

async def serve():
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    await serve_web(app, listener, asyncio.Event().wait)

logging.basicConfig(format="%(message)s")
asyncio.run(serve())
"""


@pytest.fixture(name="limited")
def serve_few() -> Iterator[Web]:
    """A web that holds few connections, and does not end those that are idle while a test runs."""
    with running_web(limits=FEW) as web:
        yield web


@pytest.fixture(name="hasty", scope="module")
def serve_hastily(postgres_process: PostgresServer) -> Iterator[Web]:
    """A web that waits for nobody."""
    with fresh_database(postgres_process) as url, running_web(database_url=url, timeouts=HASTY) as web:
        yield web


def connected(port: int, address: str = "127.0.0.1") -> socket.socket:
    """A connection from `address` that takes in next to nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(CLIENT_TIMEOUT_S)
    sock.bind((address, 0))
    sock.connect(("127.0.0.1", port))
    return sock


def asked(sock: socket.socket) -> bytes:
    """What it is told when it says hello: `HTTP/1.1 200`, say. Empty when it was cut off."""
    try:
        sock.sendall(HELLO)
        return sock.recv(65_536)[:12]
    except ConnectionError:
        return b""


def is_served(port: int, address: str = "127.0.0.1") -> bool:
    with connected(port, address) as sock:
        return asked(sock) == b"HTTP/1.1 200"


def test_one_address_has_so_many_connections_and_the_others_are_served(limited: Web) -> None:
    """The next is told 503 and when to come back; whoever hangs up makes room at once."""
    port = limited.port
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(connected(port)) for _ in range(FEW.per_address)]
        assert [asked(sock) for sock in own] == [b"HTTP/1.1 200"] * len(own)
        with connected(port) as refused:
            answer = b"".join(iter(lambda: refused.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5\r\n" in answer
        assert b'"code":"too_many_connections"' in answer
        assert is_served(port, "127.0.0.2")
        own[0].close()
        eventually(lambda: is_served(port), what="there is room", within_s=Timeouts().idle_s / 2)


def test_there_are_so_many_connections_in_all(limited: Web) -> None:
    """From however many addresses."""
    with contextlib.ExitStack() as stack:
        for number in range(FEW.total):
            sock = stack.enter_context(connected(limited.port, f"127.0.1.{number + 1}"))
            assert asked(sock) == b"HTTP/1.1 200"
        assert not is_served(limited.port, "127.0.0.2")
    eventually(lambda: is_served(limited.port), what="there is room", within_s=Timeouts().idle_s / 2)


def test_a_trusted_proxy_is_not_counted_by_its_address(limited: Web) -> None:
    """Behind it are many people: only the limit in all is for it."""
    with contextlib.ExitStack() as stack:
        proxied = [stack.enter_context(connected(limited.port, "127.0.0.9")) for _ in range(FEW.total)]
        assert [asked(sock) for sock in proxied] == [b"HTTP/1.1 200"] * len(proxied)
    eventually(lambda: is_served(limited.port), what="there is room", within_s=Timeouts().idle_s / 2)


@pytest.mark.parametrize(
    ("limits", "descriptors", "within"),
    [((4000, 256), 65_000, (4000, 256)), ((4000, 256), 960, (480, 240)), ((4000, 256), 64, (32, 16)),
     ((0, 0), 1000, (500, 250)), ((10, 4), 1000, (10, 4)), ((10, 50), 1000, (10, 5)), ((4000, 256), -5, (2, 1))],
)  # fmt: skip
def test_the_limits_fit_the_descriptors_that_there_are(
    limits: tuple[int, int], descriptors: int, within: tuple[int, int]
) -> None:
    """Two a connection; one address has at most half of them."""
    fitting = ConnectionLimits(*limits).within(descriptors)
    assert (fitting.total, fitting.per_address) == within


def test_readers_that_do_not_read_cost_little_and_are_gone_soon(hasty: Web) -> None:
    """A hundred of them, from several addresses, ask for one file by its link; the others are served meanwhile."""
    _, request = offered(hasty)
    with contextlib.ExitStack() as stack:
        gone = select.poll()
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for number in range(READERS):
            reader = stack.enter_context(connected(hasty.port, f"127.0.2.{number % ADDRESSES + 1}"))
            reader.sendall(request)
            gone.register(reader, select.POLLHUP | select.POLLERR)
        begun_s = time.monotonic()
        while len(gone.poll(0)) < READERS:
            assert hasty.client.get("/healthz").status_code == 200
            assert time.monotonic() < begun_s + 10 * HASTY.send_s
        assert tracemalloc.get_traced_memory()[1] < READERS_BYTES


def test_an_address_has_so_many_downloads_at_once(web: Web) -> None:
    """The next is told 429 and when to come back; others have their own, and one that is over makes room."""
    ada, request = offered(web)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connected(web.port)) for _ in range(PER_ADDRESS)]
        for reader in readers:
            reader.sendall(request)
            assert reader.recv(12) == b"HTTP/1.1 200"
        refused = ada.get(content_of(ada))
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_downloads")
        assert refused.headers["Retry-After"] == "5"
        assert is_given(web, request, "127.0.0.4")
        assert not is_given(web, request, "127.0.0.1")
        readers[0].close()
        within_s = Timeouts().send_s / 2
        eventually(lambda: is_given(web, request, "127.0.0.1"), what="there is room", within_s=within_s)


def test_whoever_has_a_share_link_takes_no_slots_of_members(web: Web) -> None:
    """Even from one address: the next one with the link waits, and a member gets the stem."""
    web.forget_everybody()
    ada = web.sign_up("ada@example.com")
    _, link = shared(web, ada, make(ada)["id"], SOUND)
    send(ada, SOUND)
    audio = f"/api{httpx.URL(link['url']).path}/audio"
    request = f"GET {audio} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(GUESTS_PER_ADDRESS):
            guest = stack.enter_context(connected(web.port))
            guest.sendall(request)
            assert guest.recv(12) == b"HTTP/1.1 200"
        refused = ada.get(audio)
        assert refused.status_code == 429
        assert refused.json()["code"] == "too_many_downloads"
        assert refused.headers["Retry-After"] == "5"
        assert is_given(web, request, "127.0.0.4")
        assert ada.get(content_of(ada), headers={"Range": "bytes=0-3"}).status_code == 206


def test_a_download_that_is_not_begun_takes_no_slot(web: Web) -> None:
    """Asking what there is, and for what one has, as often as one likes."""
    ada, _ = offered(web)
    content = content_of(ada)
    tag = ada.head(content).headers["ETag"]
    for _ in range(PER_ADDRESS + 1):
        assert ada.head(content).status_code == 200
        assert ada.get(content, headers={"If-None-Match": tag}).status_code == 304
        assert ada.get(content, headers={"Range": "bytes=0-3"}).status_code == 206


def test_there_are_so_many_downloads_in_all() -> None:
    """503, from whichever address, until one is over; one address comes to its own limit before."""
    slots = DownloadSlots(total=3, per_address=2)
    free = [slots.take("a"), slots.take("a"), slots.take("b")]
    for address, status in (("a", 429), ("b", 503), ("c", 503)):
        with pytest.raises(Refusal) as refused:
            slots.take(address)
        assert refused.value.status == status
        assert refused.value.headers == {"Retry-After": "5"}
    free[2]()
    slots.take("c")


def test_a_head_that_comes_byte_by_byte_is_cut_off(hasty: Web) -> None:
    """However busily: what counts is when it is whole. Others are served meanwhile."""
    begun_s = time.monotonic()
    with connected(hasty.port) as slow:
        while not select.select([slow], [], [], 0)[0]:
            slow.sendall(b"G")
            assert hasty.client.get("/healthz").status_code == 200
            assert time.monotonic() < begun_s + 10 * HASTY.idle_s
        assert time.monotonic() >= begun_s + HASTY.idle_s


def test_out_of_descriptors_the_web_waits_and_goes_on() -> None:
    """Without limits to its connections: it does not spin, says so once, and serves again when they are gone."""
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    with subprocess.Popen(
        [sys.executable, "-c", SITE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit
    ) as site:
        assert site.stdout is not None
        assert site.stderr is not None
        try:
            port = int(site.stdout.readline())
            with contextlib.ExitStack() as stack:
                for _ in range(2 * DESCRIPTORS):
                    stack.enter_context(connected(port))
                assert site.stderr.readline() == "acceptor.out_of_resources\n"
                spent_s, begun_s = processor_s(site.pid), time.monotonic()
                while time.monotonic() < begun_s + PAUSES * PAUSE_S:
                    assert site.poll() is None
                    select.select([site.stderr], [], [], PAUSE_S)
                assert processor_s(site.pid) - spent_s < PAUSE_S / 2
            eventually(lambda: is_served(port), what="it serves again")
        finally:
            site.kill()
        assert site.stderr.read() == ""


def test_a_site_with_few_descriptors_serves_others_than_who_takes_all_it_gets() -> None:
    """A real one: its limits follow from what the system gives it."""
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, FEW_DESCRIPTORS))
    program = [sys.executable, "-m", "omnisonic", "parity"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, text=True, env=environ(PARITY_PORT="0"), preexec_fn=limit
    ) as site:
        assert site.stdout is not None
        try:
            port = urlsplit(site.stdout.readline().strip()).port
            assert port is not None
            with contextlib.ExitStack() as stack:
                for _ in range(3 * FEW_DESCRIPTORS):
                    stack.enter_context(connected(port))
                assert is_served(port, "127.0.0.2")
        finally:
            site.kill()


def offered(web: Web) -> tuple[httpx.Client, bytes]:
    """Somebody who has brought a large file, and a request for it, which anybody may make."""
    web.forget_everybody()
    ada = web.sign_up("ada@example.com")
    link = send(ada, SOUND).json()["downloadUrl"].removeprefix(web.url)
    return ada, f"GET {link} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n".encode()


def content_of(client: httpx.Client) -> str:
    """Where the content of the only upload is."""
    (line,) = client.get("/api/upload/list").json()["uploads"]
    return f"/api/upload/{line['upload']['id']}/content"


def is_given(web: Web, request: bytes, address: str) -> bool:
    """Whether `address` gets what it asks for."""
    with connected(web.port, address) as sock:
        sock.sendall(request)
        return sock.recv(12) == b"HTTP/1.1 200"


def processor_s(pid: int) -> float:
    """The processor time that the process has taken (proc(5): utime, stime)."""
    fields = status_of(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
