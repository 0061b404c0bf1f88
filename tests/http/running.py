"""The web and the fake gateway, each running for real in a thread of its own, on free loopback ports."""

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import trio
from hypercorn.typing import ASGIFramework
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from quart import Quart

from omnisonic.http.api.gateway import find_gateway, open_probe_client
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.app import Stores, create_app
from omnisonic.http.core.acceptor import ConnectionLimits
from omnisonic.http.core.connection import Timeouts
from omnisonic.http.serving import serve_web
from omnisonic.identity.logins import LoginCookies
from omnisonic.identity.signing import Secret
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import Bus
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import Database, Deadlines
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.stores.guard.valkey import ValkeyGuard
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.stores.storage import Storage
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.access.postgres import PostgresAccess
from omnisonic.studio.access.server_keys import ServerKeyStore
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity.activity_store import ActivityStore
from omnisonic.studio.archives.session_files import SessionFiles
from omnisonic.studio.comments.comment_store import CommentStore
from omnisonic.studio.exports.export_queue import ExportQueue
from omnisonic.studio.exports.export_store import ExportStore
from omnisonic.studio.markers.marker_store import MarkerStore
from omnisonic.studio.messages.message_store import MessageStore
from omnisonic.studio.segments.segment_store import SegmentStore
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.shares.guest_comments import GuestComments
from omnisonic.studio.shares.share_links import ShareLinks
from omnisonic.studio.shares.share_store import ShareStore
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.http.fake_gateway import FakeGateway, fake_gateway
from tests.http.fakes import FakeBus, FakePresence
from tests.no_tls import NO_TLS
from tests.postgres_server import PATIENT

STOP_TIMEOUT_S: Final = 10.0
CLIENT_TIMEOUT_S: Final = 60.0
"""For whoever asks the web: as long as the web waits for its database (`PATIENT`)."""
HANG_S: Final = 60.0
"""For what is done in the web's loop by hand."""
SECRET: Final = "a secret of the tests, of 32 bytes"
ADMIN_TOKEN: Final = "an operator's token of the tests"
NO_DATABASE: Final = "postgresql://nobody@127.0.0.1:9/none"
"""Where no database is."""
PASSWORD_HASH: Final = "no hash at all"

T = TypeVar("T")


class Clock:
    """Seconds that pass only when told to, or, where it `runs`, by themselves as well."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.runs = False

    def __call__(self) -> float:
        return self.now_s + (time.monotonic() if self.runs else 0.0)


@dataclass
class Web:
    """A running web, what it stands on, and a client for it: a stranger's.

    `presence` and `bus` are what the app uses unless it runs on Valkey. `clock` is that of the guard in memory,
    `folder` where uploads are unless it was given another storage.
    """

    port: int
    app: Quart
    settings: Settings
    presence: FakePresence
    bus: FakeBus
    stores: Stores
    database: Database
    clock: Clock
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    folder: Path
    client: httpx.Client = field(init=False)
    clients: list[httpx.Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = self.new_client()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        """Run `act` in the web's own loop, as calls to its stores must be."""
        return asyncio.run_coroutine_threadsafe(act, self.loop).result(HANG_S)

    def new_client(self) -> httpx.Client:
        """A client with cookies of its own."""
        client = httpx.Client(base_url=self.url, timeout=CLIENT_TIMEOUT_S, verify=NO_TLS)
        self.clients.append(client)
        return client

    def sign_up(self, email: str, *, name: str | None = None) -> httpx.Client:
        """A client that is signed in to the account with this address, which is made when it is not there."""
        client = self.new_client()
        cookies = LoginCookies(SECRET, secure=False)
        client.cookies.set(cookies.name, cookies.dump(self.do(self._login(email, name))), domain="127.0.0.1")
        return client

    async def _login(self, email: str, name: str | None) -> str:
        """The token of a new sign-in."""
        accounts = self.stores.accounts
        entry = await accounts.password_of(email)
        user = await accounts.register(email, PASSWORD_HASH, name=name) if entry is None else entry.user
        return await accounts.open_login(user)

    def forget_everybody(self) -> None:
        """Empty the database, and let all that the guard has counted be over."""
        self.do(self.database.row("DELETE FROM users"))
        self.do(self.database.row("DELETE FROM server_keys"))
        self.do(GarbageCollector(self.stores.retention, self.stores.storage).sweep())
        self.clock.now_s += 86_400

    def stored(self) -> set[str]:
        """The keys, and the names of unfinished files, in the folder of uploads."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def raw(self, request: bytes) -> bytes:
        """Send these very bytes, and return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=CLIENT_TIMEOUT_S) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@contextmanager
def running_web(
    settings: dict[str, str] | None = None,
    *,
    database_url: str = NO_DATABASE,
    redis_url: str | None = None,
    storage: Storage | None = None,
    uploads: Callable[[UploadStore], UploadStore] = lambda store: store,
    secret: Secret = SECRET,
    admin_token: str | None = ADMIN_TOKEN,
    gateway_port: int = 9,
    config: dict[str, object] | None = None,
    render_metrics: Callable[[], bytes] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    limits: ConnectionLimits | None = None,
    timeouts: Timeouts | None = None,
    deadlines: Deadlines = PATIENT,
) -> Iterator[Web]:
    """Serve the app until the block ends; `settings` is its environment, `config` goes over the app's own.

    Accounts and sessions are in the database, and without one requests that need it are 503. Presence, bus and guard
    are on the Valkey at `redis_url`, or fakes. Uploads are in `storage`, or in a folder that goes with the web; their
    rows are in what `uploads` makes of the store on the database.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    loaded = Settings.load(settings or {})
    presence, bus, clock = FakePresence(), FakeBus(), Clock()
    database = Database(database_url, deadlines=deadlines)
    folder = tempfile.TemporaryDirectory(prefix="omnisonic-uploads-")
    storage = storage or LocalStorage(Path(folder.name))
    stores = _stores(database, redis_url, presence, bus, clock, settings=loaded, storage=storage)
    asking = open_probe_client()
    gateway = find_gateway(loaded, asking)
    ask_gateway = None if gateway is None else gateway.check
    stores = replace(stores, uploads=uploads(stores.uploads), ask_gateway=ask_gateway)
    app = create_app(
        loaded,
        stores,
        secret=secret,
        admin_token=admin_token,
        gateway_port=gateway_port,
        web_port=port,
        render_metrics=render_metrics,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
    )
    app.config |= config or {}
    with folder, serving(app, listener, _opened(database, stores, asking), limits, timeouts) as (loop, end):
        web = Web(port, app, loaded, presence, bus, stores, database, clock, loop, end, Path(folder.name))
        try:
            yield web
        finally:
            for client in web.clients:
                client.close()


def _stores(
    database: Database,
    redis_url: str | None,
    presence: FakePresence,
    bus: FakeBus,
    clock: Clock,
    *,
    settings: Settings,
    storage: Storage,
) -> Stores:
    use = LoginUse(database)
    used_bus: Bus = bus if redis_url is None else ValkeyBus(redis_url)
    room_events = RoomEvents(used_bus)
    return Stores(
        presence=presence if redis_url is None else ValkeyPresence(redis_url),
        bus=used_bus,
        room_events=room_events,
        local_guard=MemoryGuard(),
        guard=MemoryGuard(clock) if redis_url is None else ValkeyGuard(redis_url),
        accounts=AccountStore(database, use),
        access=PostgresAccess(database, use),
        keys=ServerKeyStore(database),
        sessions=PostgresSessions(database, use, tell=room_events.tell),
        uploads=UploadStore(
            database,
            use,
            quota_bytes=settings.upload_quota_bytes,
            most_active=settings.upload_max_active_per_user,
            tell=room_events.tell,
        ),
        resumable=ResumableStore(database, use, quota_bytes=settings.upload_quota_bytes, tell=room_events.tell),
        segments=SegmentStore(database, use, quota_bytes=settings.upload_quota_bytes),
        files=SessionFiles(database, use),
        exports=ExportStore(
            database,
            use,
            most_active=settings.export_max_active,
            most_active_of_user=settings.export_max_active_per_user,
            tell=room_events.tell,
        ),
        messages=MessageStore(database, use),
        retention=UploadRetention(database),
        shares=ShareStore(database, use, tell=room_events.tell),
        share_links=ShareLinks(database),
        guest_comments=GuestComments(database),
        activity=ActivityStore(database, use, quota_bytes=settings.upload_quota_bytes, tell=room_events.tell),
        comments=CommentStore(database, use, tell=room_events.tell),
        markers=MarkerStore(database, use, tell=room_events.tell),
        storage=storage,
        ping_database=database.ping,
        count_waiting_exports=ExportQueue(database).count_waiting,
    )


@asynccontextmanager
async def _opened(database: Database, stores: Stores, asking: httpx.AsyncClient) -> AsyncIterator[None]:
    await database.open()
    try:
        yield
    finally:
        await asking.aclose()
        await database.aclose()
        for store in (stores.presence, stores.bus, stores.guard, stores.storage):
            await store.aclose()


@contextmanager
def serving(
    app: ASGIFramework,
    listener: socket.socket,
    opened: contextlib.AbstractAsyncContextManager[None],
    limits: ConnectionLimits | None = None,
    timeouts: Timeouts | None = None,
) -> Iterator[tuple[asyncio.AbstractEventLoop, Callable[[], None]]]:
    """Serve `app` in a thread until the block ends: its loop, and how to end it before. `opened` is entered there."""
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()

    async def serve() -> None:
        stop = asyncio.Event()

        async def until_told() -> None:
            started.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

        async with opened:
            await serve_web(app, listener, until_told, limits, timeouts)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(STOP_TIMEOUT_S)
    (loop, stop) = started[0]

    def end() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_TIMEOUT_S)
        assert not thread.is_alive(), "the web did not stop"

    try:
        yield loop, end
    finally:
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
