"""The web and the fake gateway, each running for real in a thread of its own, on free loopback ports."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import httpx
import trio
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from quart import Quart

from omnisonic.config import Settings
from omnisonic.http.app import create_app
from omnisonic.http.serving import hypercorn_config, serve_web
from tests.web.fake_gateway import FakeGateway, fake_gateway
from tests.web.fakes import FakeBus, FakePresence

STOP_TIMEOUT_S: Final = 10.0
CLIENT_TIMEOUT_S: Final = 10.0

T = TypeVar("T")


@dataclass
class Web:
    """A running web, what it stands on, and a client for it."""

    port: int
    app: Quart
    presence: FakePresence
    bus: FakeBus
    stop: Callable[[], None]
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=CLIENT_TIMEOUT_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, request: bytes) -> bytes:
        """Send these very bytes, and return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=CLIENT_TIMEOUT_S) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@contextmanager
def running_web(
    settings: dict[str, str] | None = None,
    *,
    gateway_port: int = 9,
    config: dict[str, object] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Iterator[Web]:
    """Serve the app until the block ends; `settings` is its environment, `config` goes over the app's own."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    presence, bus = FakePresence(), FakeBus()
    app = create_app(
        Settings.load(settings or {}),
        presence=presence,
        bus=bus,
        gateway_port=gateway_port,
        web_port=port,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
    )
    app.config |= config or {}
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()

    async def serve() -> None:
        stop = asyncio.Event()

        async def until_told() -> None:
            started.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

        await serve_web(app, hypercorn_config(binds=[f"fd://{listener.detach()}"]), until_told)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(STOP_TIMEOUT_S)
    (loop, stop) = started[0]

    def end() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_TIMEOUT_S)
        assert not thread.is_alive(), "the web did not stop"

    web = Web(port, app, presence, bus, end)
    try:
        yield web
    finally:
        web.client.close()
        end()


@dataclass
class GatewayThread:
    """The fake gateway from the outside: `do` runs one of its methods in its own loop."""

    fake: FakeGateway
    token: trio.lowlevel.TrioToken

    def do(self, act: Callable[..., Awaitable[T]], *args: object) -> T:
        return trio.from_thread.run(act, *args, trio_token=self.token)


@contextmanager
def running_gateway() -> Iterator[GatewayThread]:
    """A fake gateway until the block ends."""
    running: list[tuple[GatewayThread, trio.Event]] = []
    ready = threading.Event()

    async def run() -> None:
        async with fake_gateway() as fake:
            stop = trio.Event()
            running.append((GatewayThread(fake, trio.lowlevel.current_trio_token()), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert ready.wait(STOP_TIMEOUT_S)
    (gateway, stop) = running[0]
    try:
        yield gateway
    finally:
        gateway.token.run_sync_soon(stop.set)
        thread.join(STOP_TIMEOUT_S)
        assert not thread.is_alive(), "the fake gateway did not stop"
