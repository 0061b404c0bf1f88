"""The gateway: accepts connections, and is the root of the supervision tree (SPEC 5, DESIGN 3).

    gateway -> poller, dispatcher, acceptors, timers, access revocation, stats sampler   (restarted by `supervise`)
            -> monitoring                           (threads: watchdog and inspection server)
            -> pending admissions                   (one task for each)
            -> readiness, metrics                   (one task while somebody waits for the answer)
            -> registry -> rooms                    (one-for-one)

It owns the connections and has them admitted; rooms know nothing of that. Overload: over its caps it refuses with 503.
Crash: children are restarted; one that crashes too often ends the gateway. Shutdown: stop accepting, close everybody
with 1001 and a random reconnect delay, flush, end.
"""

import logging
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

import trio

from omnisonic.actors.admission.admission import Admitted
from omnisonic.actors.admission.pending import PendingAdmissions
from omnisonic.actors.admission.revocation import AccessRevocation
from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.connections.keepalive import Keepalive, UnfinishedMessages
from omnisonic.actors.connections.open_connections import OpenConnections
from omnisonic.actors.connections.slow_path import SlowPath
from omnisonic.actors.connections.socket_connection import SocketConnection
from omnisonic.actors.gateway_measures import measure_gateway
from omnisonic.actors.gateway_options import GatewayOptions, WorkerPart
from omnisonic.actors.inspection.auth import InspectionAuth
from omnisonic.actors.inspection.http_pages import HttpPages
from omnisonic.actors.inspection.metrics import MetricsPage
from omnisonic.actors.inspection.monitoring import Monitoring
from omnisonic.actors.inspection.readiness import Readiness
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.port import RoomPort
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.runtime.acceptor import accept_forever
from omnisonic.actors.runtime.scheduler import Dispatcher, Poller
from omnisonic.actors.runtime.supervisor import ChildSpec, supervise
from omnisonic.actors.runtime.telemetry import Counters, TurnTracer
from omnisonic.actors.sync.event_writer import EventWriter
from omnisonic.actors.sync.message_writer import MessageWriter
from omnisonic.errors import InvalidInput
from omnisonic.identity.scrapers import ScraperAccess
from omnisonic.models import RoomId
from omnisonic.models.checks import uuid_meant
from omnisonic.studio.messages import MessageToKeep
from omnisonic.wire import handshake
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.handshake import Refused, Request

TIMERS_S: Final = 0.25
"""How often time limits are checked."""
DRAIN_S: Final = 1.0
"""At shutdown kept messages, and then events, may take this long to be written."""
RECONNECT_MS: Final = (500, 5_000)
"""At shutdown clients reconnect after a random time in this range."""
SHUTDOWN_S: Final = 5.0

_log = logging.getLogger(__name__)


class Gateway:
    """A running gateway. Made by `omnisonic.operations.gateway_process.open_gateway`."""

    def __init__(
        self,
        options: GatewayOptions,
        nursery: trio.Nursery,
        room_class: Callable[[RoomContext], RoomState],
        worker: WorkerPart | None = None,
    ) -> None:
        self.options = options
        self.rate = options.rate
        self.queue_bytes = options.queue_bytes
        self.counters = Counters()
        self._worker = worker
        caps = options.max_connections, options.max_connections_per_address
        self.connections = OpenConnections(*caps) if worker is None else worker.open_connections(*caps)
        self._nursery = nursery
        self._dispatcher = Dispatcher()
        self._poller = self.clock = Poller(self._dispatcher, clock=trio.current_time)
        self.tracer = TurnTracer(target=options.metrics)
        self.registry = Registry(self._room_context, room_class, self._dispatcher, self.counters, self.tracer, nursery)
        self.message_writer = None if options.messages is None else MessageWriter(options.messages, self.registry.get)
        events = options.room_events
        self.event_writer = None if events is None else EventWriter(events, self.registry, options.now_ms)
        self.unfinished = UnfinishedMessages(options.timeouts.message_s, options.unfinished_bytes)
        self._keepalive = Keepalive(options.timeouts, self.unfinished)
        self.pending = PendingAdmissions(nursery, self._admit)
        self.revocation = AccessRevocation(self.pending, options.access, recheck_s=options.recheck_s)
        self.readiness = Readiness(nursery, self._dispatcher)
        if options.access is not None:
            self.readiness.checks["database"] = options.access.ping
        metrics = MetricsPage(nursery, ScraperAccess(options.metrics_token), options.render_metrics)
        self._pages = HttpPages(self.readiness, metrics)
        self.name = "gateway"
        auth = InspectionAuth(options.admin_token, options.hosts, options.origins)
        self.notes: dict[str, Callable[[], str]] = {
            "poller": lambda: f"{len(self._poller)} sockets",
            "timers": lambda: f"{len(self.pending)} admissions are pending",
            "access_revocation": lambda: f"{len(self.revocation)} people and sign-ins",
            "message_writer": lambda: f"{len(self.message_writer or ())} messages wait",
            "mirror": lambda: f"{self.mirror_lag_s():.1f} s behind",
            "memory": lambda: f"{self.memory_lag_s():.1f} s behind",
            "event_writer": lambda: f"{len(self.event_writer or ())} events wait",
        }
        self._monitoring = Monitoring(self, self._dispatcher, auth, options.now_ms, self.notes)
        self.inspection = self._monitoring.inspection
        self._accepting: set[trio.CancelScope] = set()
        self._listeners: Sequence[socket.socket] = ()
        self.mirror_lag_s: Callable[[], float] = lambda: 0.0
        self.memory_lag_s: Callable[[], float] = lambda: 0.0
        self.cluster: Cluster | None = None
        """Set where other gateways have members in the same rooms."""
        self.find_place: Callable[[RoomId], RoomPort] = self.registry.get_or_make
        """Where a connection enters a room: here, or in another gateway."""
        self.release_rooms: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """Called at shutdown, when no member can say anything any more: writes down what rooms remember."""

    def _room_context(self, room_id: RoomId, epoch: str, relay_prefixes: RelayPrefixes) -> RoomContext:
        return self.options.room_context(room_id, epoch, relay_prefixes, self._find_keep(room_id))

    def _find_keep(self, room_id: RoomId) -> Callable[[MessageToKeep], bool] | None:
        """What takes the kept messages of a room; None when it cannot be a session's, whose id is a UUID."""
        writer = self.message_writer
        return None if writer is None or uuid_meant(room_id) != room_id else writer.offer

    # Running

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Start everything; returns once connections are being accepted. The gateway closes the listeners."""
        self._listeners = listeners
        await self.start_child("poller", self._poller.run)
        await self.start_child("dispatcher", self._dispatcher.run)
        await self.start_child("timers", self._run_timers)
        await self.start_child("access_revocation", self.revocation.run)
        await self.start_child("stats_sampler", self._monitoring.stats_sampler.run)
        if self.message_writer is not None:
            await self.start_child("message_writer", self.message_writer.run)
        if self.event_writer is not None:
            self.registry.watchers.append(self.event_writer)
            await self.start_child("event_writer", self.event_writer.run)
        if self._worker is not None:
            await self._worker.start(self)
        self._monitoring.start(listeners if self._worker is None else (), self._add_connection)
        for number, listener in enumerate(listeners):
            await self.start_child(f"acceptor {number}", partial(self._accept, listener))

    async def start_child(self, name: str, run: Callable[[trio.TaskStatus[None]], Awaitable[None]]) -> None:
        """Run a task beside the others, restarted when it crashes; returns once it is in service."""
        await self._nursery.start(supervise, ChildSpec(name, run), _log_crash, self._monitoring.start_record(name))

    async def _accept(self, listener: socket.socket, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as scope:
            self._accepting.add(scope)
            await accept_forever(listener, self._add_connection, task_status)
        listener.close()

    async def shutdown(self, deadline_s: float = SHUTDOWN_S) -> None:
        """Stop accepting, close everybody with 1001 and release the rooms; returns when done or after `deadline_s`."""
        for scope in self._accepting:
            scope.cancel()
        if self._worker is not None:
            self._worker.stop()
        await self._monitoring.stop()
        if self.message_writer is not None:
            await self.message_writer.drain(DRAIN_S)  # so that those who wait for an `ack` get it
            await trio.lowlevel.checkpoint()
        for connection in self.connections:
            wait_ms = random.randint(*RECONNECT_MS)  # noqa: S311 - spreads load, keeps no secret
            connection.close(Closing(CloseCode.GOING_AWAY, f'{{"reconnectMs":{wait_ms}}}'))
        with trio.move_on_after(deadline_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.release_rooms)
                await self.connections.wait_all_gone()
        for connection in self.connections:
            connection.end("going_away")
        for writer in (self.message_writer, self.event_writer):
            if writer is not None:
                await writer.drain(DRAIN_S)

    def close(self) -> None:
        """Close the event source and the listeners. Call it after everything has stopped."""
        self._poller.close()
        for listener in self._listeners:
            listener.close()

    def measure(self) -> dict[str, float]:
        """The current value of each metric of `omnisonic.actors.runtime.telemetry`."""
        return measure_gateway(self)

    def room(self, room_id: RoomId) -> RoomActor | None:
        """The room of this name, if there is one."""
        return self.registry.get(room_id)

    # New connections

    def _add_connection(self, sock: socket.socket, address: str) -> None:
        self.take_connection(sock, address, b"")

    def take_connection(self, sock: socket.socket, address: str, received: bytes) -> None:
        """Take a new connection. Another worker may have accepted it, and have `received` something."""
        if self.connections.is_flooded:
            sock.close()
            return
        self._poller.now_s = now_s = trio.current_time()
        connection = SocketConnection(sock, address, self, now_s)
        self.connections.add(connection)
        self._keepalive.watch_handshake(connection, now_s)
        self.counters.connections += 1
        self._poller.watch(connection.fd, connection)
        if received:
            connection.on_received(received)

    def handle_handshake(self, connection: Connection, request: Request) -> None:
        """Admit a client whose request head is complete, or answer why not. Errors: `Refused`."""
        if not self.options.hosts.allows(request.headers["host"]):
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "wrong_host", "That host name is not answered here.")
        if self._pages.handle_handshake(connection, request) or self._monitoring.handle_handshake(connection, request):
            return
        key = handshake.check_upgrade(request)
        if not self.options.origins.allows(request.headers.get("origin"), host=request.headers["host"]):
            raise Refused(HTTPStatus.FORBIDDEN, "foreign_origin", "Pages of that origin may not connect here.")
        if self._worker is not None and self._worker.hand_over(connection, request):
            return
        self.connections.check_caps(connection)
        answer = handshake.upgrade_response(key, request.subprotocols)
        try:
            decision = self.options.admission.admit(request)
        except InvalidInput as wrong:
            connection.reject(answer, wrong.code, wrong.message)
            return
        if isinstance(decision, Admitted):
            self._admit(connection, decision, answer)
        else:
            self.pending.add(connection, decision, answer)

    def _admit(self, connection: Connection, admitted: Admitted, answer: bytes) -> None:
        entrance = admitted.entrance
        self._keepalive.watch_silence(connection)
        room = self.find_place(entrance.room_id)
        connection.enter(room, entrance, answer, admitted.person, admitted.login)
        if connection.is_open:
            self.revocation.watch(connection, by_role=admitted.by_role)

    # Called by connections

    def set_writing(self, connection: Connection, *, writing: bool) -> None:
        self._poller.set_writing(connection.fd, writing=writing)

    def start_slow_path(self, connection: SocketConnection) -> SlowPath:
        slow_path = SlowPath(connection, self.options.largest_message_bytes)
        self._nursery.start_soon(slow_path.run)
        return slow_path

    def on_unfinished(self, connection: Connection, size: int, *, is_new: bool) -> None:
        self._keepalive.note_unfinished(connection, size, trio.current_time(), is_new=is_new)

    def on_closing(self, connection: Connection) -> None:
        self._keepalive.watch_closing(connection, trio.current_time())
        self.pending.discard(connection)
        self._pages.discard(connection)
        if connection.closing is not None and connection.member is not None:
            self.counters.count_close(connection.closing.code)

    def on_end(self, connection: Connection) -> None:
        self._poller.forget(connection.fd)
        self._keepalive.discard(connection)
        self.pending.discard(connection)
        self._pages.discard(connection)
        self.revocation.discard(connection)
        self.connections.remove(connection)
        if connection.room_id is not None:
            code, reason = connection.close_info
            self.tracer.trace_connection(connection.room_id, trio.current_time() - connection.opened_s, code, reason)

    def on_crash(self, connection: Connection, crash: Exception) -> None:
        self.counters.connection_crashes += 1
        _log.error("connection.crashed", extra={"address": connection.address}, exc_info=crash)

    # Timers

    async def _run_timers(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        while True:
            await trio.sleep(TIMERS_S)
            now_s = trio.current_time()
            self._keepalive.close_overdue(now_s)
            self.registry.sweep(now_s, self.options.empty_room_s)


def _log_crash(name: str, crash: BaseException, attempt: int) -> None:
    _log.error("actor.crashed", extra={"actor": name, "attempt": attempt}, exc_info=crash)
