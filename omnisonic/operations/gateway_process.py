"""The gateway as a process: creates its stores, admission and rooms, and runs it until a signal (SPEC 1, 8).

Overload and crash: see `omnisonic.actors.gateway`. Store unavailable: rooms go on; connections that need it get 503.
Shutdown: all connections are closed with 1001; a second signal ends the process at once.
"""

import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import trio

from omnisonic.actors.admission.admission import Admission, MixedAdmission, OpenAdmission, TicketAdmission, TicketCheck
from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.actors.gateway import Gateway
from omnisonic.actors.gateway_cluster import join_cluster, measure_cluster
from omnisonic.actors.gateway_options import GatewayOptions
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.actors.hosting.hosting_tasks import HostingTasks
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.runtime.telemetry import publish_metrics
from omnisonic.actors.sync.event_relay import EventRelay
from omnisonic.actors.sync.presence_mirror import PresenceMirror
from omnisonic.actors.sync.room_memory import RoomMemoryWriter
from omnisonic.actors.workers.place import WorkerPlace
from omnisonic.actors.workers.worker import Worker
from omnisonic.errors import BadSettings
from omnisonic.identity.logins import LoginCookies
from omnisonic.identity.signing import signing_secret
from omnisonic.observability.telemetry import configure_telemetry
from omnisonic.operations.gateway_records import GatewayRecords, open_records
from omnisonic.operations.gateway_stores import open_access, open_guard, open_presence_and_bus, open_room_memory
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import Bus, round_trip
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.studio.access import AccessStore

RUN_BYTES: Final = 9
"""Random bytes in the name of one run of a gateway."""
SAVE_AT_END_S: Final = 3.0
"""How long rooms of somebody's own may take to be saved at shutdown: `serve` stops within 10 s."""
NEEDS_DATABASE: Final = (
    "DATABASE_URL is not set, and ROOM_ACCESS=ticket needs it: it says who may enter a room. Set it, or run"
    " `omnisonic serve`."
)

NEEDS_REDIS: Final = (
    "REDIS_URL is not set, and GATEWAY_CLUSTER=on needs it: gateways find each other there. Set it, or run"
    " `omnisonic serve`."
)

NO_RECORDS: Final = GatewayRecords()

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_gateway(
    options: GatewayOptions,
    listeners: Sequence[socket.socket],
    *,
    presence: PresenceStore,
    bus: Bus,
    memory: RoomMemoryStore | None = None,
    owner: str = "gateway",
    is_clustered: bool = False,
    room_class: Callable[[RoomContext], RoomState] = RoomState,
    hosting: Hosting | None = None,
    worker: Worker | None = None,
) -> AsyncIterator[Gateway]:
    """Run a gateway until the block ends; then all connections are closed with 1001.

    Args:
        options: What the settings say.
        listeners: Listening sockets, which are closed with the gateway.
        presence: The presence store, for trio.
        bus: The bus, for trio.
        memory: The room memory store, for trio. Without one, rooms that were empty are remembered in this process.
        owner: The name of this gateway in the presence store. What an earlier one of that name left there is removed.
        is_clustered: Other gateways with the same stores may have members in the same rooms. Needs a `memory`.
        room_class: Creates the state of a room.
        hosting: Hosts rooms of somebody's own class, instead.
        worker: Makes it one of several processes behind one port.
    """
    with ExitStack() as after:
        async with trio.open_nursery() as nursery:
            gateway = Gateway(options, nursery, room_class if hosting is None else hosting.create_room, worker)
            hosted = None if hosting is None else HostingTasks(hosting, gateway, nursery)
            gateway.name = owner
            gateway.readiness.checks |= {"presence": presence.ping, "bus": partial(round_trip, bus)}
            after.callback(gateway.close)
            mirror = PresenceMirror(presence, gateway.registry, owner=owner, ttl_s=options.ttl_s)
            relay = EventRelay(presence, bus, gateway.registry, gateway.revocation)
            gateway.registry.watchers += [mirror, relay]
            gateway.mirror_lag_s = lambda: mirror.lag_s
            cluster: Cluster | None = None
            writer: RoomMemoryWriter
            if is_clustered and memory is not None:
                cluster = Cluster(
                    gateway,
                    memory,
                    bus,
                    name=owner,
                    now_ms=options.now_ms,
                    grace_s=options.grace_s,
                    history_bytes=options.history.total_bytes,
                )
                writer = cluster.claims
                if hosted is not None:
                    cluster.save_room = hosted.save_room
                await join_cluster(gateway, cluster)
            else:
                run = f"{owner}:{secrets.token_urlsafe(RUN_BYTES)}"
                store = memory or InProcessRoomMemory(blocks_ttl_s=options.history.age_s)
                writer = RoomMemoryWriter(store, owner=run, now_ms=options.now_ms)
                gateway.registry.memory_watcher, gateway.release_rooms = writer, writer.release_all
                await gateway.start_child("memory", writer.run)
            gateway.memory_lag_s = lambda: writer.lag_s
            await gateway.start_child("mirror", mirror.run)
            await gateway.start_child("relay", relay.listen)
            await gateway.start_child("leases", relay.read_leases)
            await gateway.start_child("replies", relay.send_replies)
            if hosted is not None:
                await hosted.start()
            await gateway.start(listeners)
            publish_metrics(gateway)
            measure_cluster(gateway)
            try:
                yield gateway
            finally:
                with trio.CancelScope(shield=True):
                    await gateway.shutdown()
                    if hosted is not None:
                        await hosted.save_all(SAVE_AT_END_S)
                    if writer.is_up:  # rooms may have handled their last mail after they were released
                        await writer.release_all()
                    if cluster is not None:
                        await cluster.end()
                    nursery.cancel_scope.cancel()
                    await mirror.remove_rosters()


def gateway_options(
    settings: Settings,
    admission: Admission,
    access: AccessStore | None = None,
    records: GatewayRecords = NO_RECORDS,
    render_metrics: Callable[[], bytes] | None = None,
) -> GatewayOptions:
    """The options of a gateway.

    `access` is the store that says who may stay, None without a database, `records` where the gateway writes.
    `render_metrics` makes what `/metrics` answers.
    """
    return GatewayOptions(
        hosts=settings.host_policy(settings.gateway_host),
        origins=settings.origin_policy(settings.web_port),
        admission=admission,
        access=access,
        messages=records.messages,
        room_events=records.room_events,
        admin_token=settings.admin_token.get_secret_value() if settings.admin_token else None,
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
        render_metrics=render_metrics,
        ttl_s=settings.presence_ttl_s,
        rate=RateLimit.of(settings.member_rate_per_s, settings.member_burst),
        queue_bytes=settings.member_queue_bytes,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        max_members_per_room=settings.max_members_per_room,
        grace_s=settings.reconnect_grace_s,
        history=HistoryLimits(settings.history_messages, settings.history_bytes, settings.history_s),
    )


@asynccontextmanager
async def open_admission(settings: Settings) -> AsyncIterator[tuple[Admission, AccessStore | None]]:
    """The admission policy that `ROOM_ACCESS` names, and the access store; None without a database.

    With a database, only the members of a session may enter its room, also with `ROOM_ACCESS=open`. Without one, open
    access checks tickets if the signing secret is set.

    Raises:
        BadSettings: `ROOM_ACCESS=ticket` without a database, or a weak signing secret.
    """
    if settings.database_url is None:
        if settings.access == "ticket":
            raise BadSettings([NEEDS_DATABASE])
        async with open_ticket_check(settings) as tickets:
            yield OpenAdmission(tickets), None
        return
    key = signing_secret(settings)
    async with (
        open_guard(settings.redis_url) as guard,
        open_access(settings.database_url, settings.database_timeout_s) as access,
    ):
        cookies = LoginCookies(key, secure=settings.is_https)
        kind = MixedAdmission if settings.access == "open" else TicketAdmission
        yield kind(TicketCheck(key, guard), cookies, access), access


@asynccontextmanager
async def open_ticket_check(settings: Settings) -> AsyncIterator[TicketCheck | None]:
    """The check of tickets without a database. None without a signing secret. Raises `BadSettings` for a weak one."""
    if settings.nextauth_secret is None:
        yield None
        return
    key = signing_secret(settings)
    async with open_guard(settings.redis_url) as guard:
        yield TicketCheck(key, guard)


async def run_gateway(
    settings: Settings,
    listeners: list[socket.socket],
    *,
    ready: Callable[[], None],
    room_class: type[Room[Any]] | None = None,
    place: WorkerPlace | None = None,
) -> None:
    """Run a gateway until SIGTERM or Ctrl-C, then stop gracefully; a second signal ends the process at once.

    Calls `ready` when connections are accepted. Its rooms are those of `room_class`, if there is one. With a `place` it
    is one of several workers. Raises as `open_admission`, before anything has started.
    """
    if settings.gateway_cluster == "on" and settings.redis_url is None:
        raise BadSettings([NEEDS_REDIS])
    hosting = None if room_class is None else Hosting(room_class)
    telemetry = configure_telemetry(settings, "gateway")
    owner = f"{settings.gateway_id}:{listeners[0].getsockname()[1]}"
    if place is not None:
        owner += f"/{place.number}"
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with (
                open_admission(settings) as (admission, access),
                open_records(settings.database_url) as records,
                open_presence_and_bus(settings.redis_url) as (presence, bus),
                open_room_memory(settings.redis_url, settings.history_s) as memory,
                trio.open_nursery() as nursery,
            ):
                render = telemetry.render_metrics
                worker = None if place is None else Worker(place, admission, render)
                render = render if worker is None else worker.render_metrics
                options = gateway_options(settings, admission, access, records, render)
                async with open_gateway(
                    options,
                    listeners,
                    presence=presence,
                    bus=bus,
                    memory=memory,
                    owner=owner,
                    is_clustered=settings.gateway_cluster == "on",
                    hosting=hosting,
                    worker=worker,
                ) as gateway:
                    ready()
                    await anext(signals)
                    _log.info("gateway.stopping", extra={"connections": len(gateway.connections)})
                    nursery.start_soon(_exit_on_signal, signals)
                nursery.cancel_scope.cancel()
    finally:
        telemetry.shutdown()


async def _exit_on_signal(signals: AsyncIterator[int]) -> None:
    """End the process at the second signal, without waiting for connections to close."""
    await anext(signals)
    os._exit(1)
