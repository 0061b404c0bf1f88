"""`open_gateway`: rooms inside a trio program, without Redis, Postgres or a web framework (SPEC 8).

It runs the same gateway as the studio (`omnisonic.actors`), without the presence store. The rooms exist in this process
only, or in one of several (`omnisonic.embedding.clustering`); the program reaches those here by `RunningGateway`.

Overload: the limits of `Limits`. Crash: a room that crashes is restarted; a crash of the gateway itself cancels the
block and is raised. Shutdown: all connections are closed with 1001, within `SHUTDOWN_S`.
"""

import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack

import trio
from opentelemetry.metrics import MeterProvider
from pydantic import SecretStr

from omnisonic.actors.admission.admission import OpenAdmission
from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.actors.gateway import SHUTDOWN_S, Gateway
from omnisonic.actors.gateway_cluster import measure_cluster
from omnisonic.actors.gateway_options import GatewayOptions
from omnisonic.actors.hosting.hook_contract import require_plain_function
from omnisonic.actors.hosting.hosted_room import Hosting, OnMessage
from omnisonic.actors.hosting.hosting_tasks import HostingTasks
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.runtime.telemetry import publish_metrics
from omnisonic.actors.sync.room_memory import RoomMemoryWriter
from omnisonic.concurrency.async_library import require_async_library
from omnisonic.concurrency.background import open_background
from omnisonic.embedding.admission import Admit, HookAdmission
from omnisonic.embedding.clustering import enter_cluster, leave_cluster, open_cluster_stores
from omnisonic.embedding.metrics import open_metrics
from omnisonic.embedding.running_gateway import RunningGateway
from omnisonic.errors import BadSettings
from omnisonic.settings.origins import WILDCARDS, OriginPolicy
from omnisonic.settings.secret_strength import TOKEN_BYTES, secret_problems
from omnisonic.settings.settings import LOOPBACK, Settings
from omnisonic.stores.room_memory.memory import InProcessRoomMemory

BACKLOG: Final = 1024


class Limits(TypedDict, total=False):
    """The limits that `open_gateway` takes as keyword arguments. 0: no limit. What is left out has its default.

    Args:
        member_rate_per_s: Messages per second that one member may send (500).
        member_burst: Messages that one member may send at once (1000).
        member_queue_bytes: Bytes that may wait for a member who does not read (262144).
        max_connections: Connections of the whole gateway (20000).
        max_connections_per_address: Connections from one IP address (5000).
        max_members_per_room: Members in one room (2000).
        reconnect_grace_s: Seconds that a room waits for a member whose connection broke (15).
        history_messages: Messages that a room remembers for members who come back (512); 0: none.
        history_bytes: Bytes of messages that a room remembers (1048576).
        history_s: Seconds that a room remembers a message (300).
        empty_room_s: Seconds after which an empty room is forgotten (60).

    Example:
        limits: omnisonic.Limits = {"max_members_per_room": 8, "empty_room_s": 600}
        async with omnisonic.open_gateway(**limits) as gateway: ...
    """

    member_rate_per_s: float
    member_burst: int
    member_queue_bytes: int
    max_connections: int
    max_connections_per_address: int
    max_members_per_room: int
    reconnect_grace_s: float
    history_messages: int
    history_bytes: int
    history_s: float
    empty_room_s: float


@asynccontextmanager
async def open_gateway(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    admit: Admit | None = None,
    on_message: OnMessage | None = None,
    room_class: Callable[[Any], Room[Any]] = Room,
    allowed_origins: Collection[str] = (),
    allowed_hosts: Collection[str] = (),
    inspector: str | None = None,
    metrics: MeterProvider | bool = False,
    metrics_token: str | None = None,
    cluster: str | None = None,
    gateway_id: str | None = None,
    **limits: Unpack[Limits],
) -> AsyncIterator[RunningGateway]:
    """Run rooms until the block ends.

    Args:
        host: Address to listen on.
        port: Port to listen on. 0 picks a free one; see `gateway.url`.
        admit: Decides who may enter: a function that takes a `Request`. Plain, or async with 2 s. Without it, anybody
            may enter.
        on_message: `on_message(room, member, message)` receives the messages of all rooms, before `Room.on_message`,
            and returns the same values. A plain function.
        room_class: Your subclass of `Room`, or a function that takes a `RoomHost` and returns a room.
        allowed_origins: The origins whose pages may connect, such as `https://band.example`. Without any, no page may
            connect. Programs, which send no `Origin`, may always connect.
        allowed_hosts: The host names that are answered, on any port. Defaults to the names of `host`.
        inspector: The operator's token. Who shows it can inspect the gateway, with `omnisonic rooms`
            (docs/inspecting.md). Without it nobody can. Use at least 24 random bytes: `secrets.token_urlsafe(32)`.
        metrics: True to answer `/metrics` on the gateway's port, for Prometheus; that needs the extra `studio`. Or a
            `MeterProvider` of OpenTelemetry, which gets the metrics. By default nothing is measured.
        metrics_token: Lets a scraper read `/metrics` from elsewhere than this machine.
        cluster: The `redis://`, `rediss://` or `unix://` URL of a Valkey or Redis. Gateways with the same URL share
            their rooms: each room is in one of them, and its members may be connected to any (docs/scaling.md). That
            needs the extra `studio`. Without it, this gateway is alone.
        gateway_id: This gateway's name among those of the cluster, for operators. Defaults to the name of the machine.
        **limits: See `Limits`.

    Yields:
        A `RunningGateway` that accepts connections.

    Raises:
        OSError: It cannot listen there.
        ValueError: A limit, an origin, a host name or `cluster` has an impossible value.
        TypeError: A hook is not a plain function, `metrics` is neither, a limit has an unknown name, or there is a
            `gateway_id` without a `cluster`.
        BadSettings: `inspector` or `metrics_token` is easy to guess, and `host` is not this machine alone.
        MissingExtra: `metrics=True` or `cluster` needs packages that are not installed.
        WrongAsyncLibrary: The program runs on asyncio. Run the gateway in a trio program.

    At the end of the block all connections are closed with 1001, which tells clients to reconnect later, within 5 s.
    Then rooms are saved, within 10 s. In a cluster they are handed over to gateways that have members in them. What the
    block raises is not wrapped in a group.

    Example:
        async with omnisonic.open_gateway(port=8080) as gateway:
            print(gateway.url)
            await trio.sleep_forever()

        # On each of several machines:
        async with omnisonic.open_gateway("0.0.0.0", 8080, cluster="redis://10.0.0.5:6379") as gateway:
            await trio.sleep_forever()
    """
    require_async_library("trio", "run the gateway in a trio program, and join its rooms with omnisonic.aio.connect")
    if on_message is not None:
        require_plain_function(on_message, "on_message")
    hosting = Hosting(room_class, on_message)
    if gateway_id is not None and cluster is None:
        raise TypeError("gateway_id names a gateway among those of a cluster: give cluster, too.")
    options = _options(host, admit, allowed_origins, allowed_hosts, limits, redis_url=cluster)
    _check_tokens(host, inspector=inspector, metrics_token=metrics_token)
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    with listener, open_metrics(metrics, port) as measured, ExitStack() as after:
        options = replace(
            options,
            admin_token=inspector,
            metrics_token=metrics_token,
            render_metrics=measured.render,
            metrics=measured.target,
        )
        async with (
            open_cluster_stores(cluster, options.history.age_s) as stores,
            open_background() as background,
        ):
            gateway = Gateway(options, background, hosting.create_room)
            hosted = HostingTasks(hosting, gateway, background)
            try:
                if stores is None:
                    await _remember_here(gateway, options)
                else:
                    gateway.name = f"{gateway_id or socket.gethostname()}:{port}"
                    await enter_cluster(gateway, hosted, stores, options)
                await hosted.start()
                await gateway.start([listener])
                if measured.is_published:
                    after.callback(publish_metrics(gateway, measured.target))
                    after.callback(measure_cluster(gateway, measured.target))
                yield RunningGateway(gateway, hosting, host, port)
            finally:
                has_crashed = background.cancel_scope.cancel_called
                with trio.CancelScope(shield=True):
                    await gateway.shutdown(
                        0.0 if has_crashed else SHUTDOWN_S
                    )  # after a crash nobody can send close frames
                    await hosted.save_all()
                    if gateway.cluster is not None:
                        await leave_cluster(gateway.cluster, has_crashed=has_crashed)
                    background.cancel_scope.cancel()
                    gateway.close()


async def _remember_here(gateway: Gateway, options: GatewayOptions) -> None:
    """Keep what a room that was empty remembers, for when somebody comes back to it."""
    memory = InProcessRoomMemory(blocks_ttl_s=options.history.age_s)
    writer = RoomMemoryWriter(memory, owner=gateway.name, now_ms=options.now_ms)
    gateway.registry.memory_watcher = writer
    await gateway.start_child("memory", writer.run)


def _options(
    host: str,
    admit: Admit | None,
    origins: Collection[str],
    hosts: Collection[str],
    limits: Limits,
    *,
    redis_url: str | None,
) -> GatewayOptions:
    known = Limits.__annotations__
    if unknown := limits.keys() - known.keys():
        raise TypeError(f"open_gateway() knows no {', '.join(sorted(unknown))}; there is {', '.join(known)}.")
    given: dict[str, Any] = {**limits, "allowed_origins": frozenset(origins), "allowed_hosts": frozenset(hosts)}
    empty_room_s = given.pop("empty_room_s", None)
    settings = Settings(gateway_host=host, redis_url=redis_url, **given)
    options = GatewayOptions(
        hosts=settings.host_policy(host),
        origins=OriginPolicy(settings.allowed_origins),
        admission=OpenAdmission() if admit is None else HookAdmission(admit),
        rate=RateLimit.of(settings.member_rate_per_s, settings.member_burst),
        queue_bytes=settings.member_queue_bytes,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        max_members_per_room=settings.max_members_per_room,
        grace_s=settings.reconnect_grace_s,
        history=HistoryLimits(settings.history_messages, settings.history_bytes, settings.history_s),
    )
    return options if empty_room_s is None else replace(options, empty_room_s=empty_room_s)


def _check_tokens(host: str, **tokens: str | None) -> None:
    """Check tokens as production does, except where only this machine can show them. Raises `BadSettings`."""
    problems: list[str] = []
    for name, token in tokens.items():
        if token == "":
            problems.append(f"{name} is empty: leave it out, or give it at least {TOKEN_BYTES} random bytes.")
        elif token is not None and host not in LOOPBACK:
            problems += secret_problems(name, SecretStr(token), TOKEN_BYTES)
    if problems:
        raise BadSettings(problems)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. `::` takes IPv4, too, where the system can do that."""
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    is_dual = host in WILDCARDS and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=is_dual)
