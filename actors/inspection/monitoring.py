"""Monitoring: what observes a gateway, put together (SPEC 1).

The stats sampler is a task of the gateway. The watchdog and the inspection server are threads, because they observe
what the loop cannot: that it is blocked. Overload, crash and shutdown: see each of them; none of them delays a room.
"""

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

import trio

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.inspection.auth import PATH, InspectionAuth
from omnisonic.actors.inspection.inspector import GatewayParts, Inspector
from omnisonic.actors.inspection.server import InspectionServer
from omnisonic.actors.inspection.stats_sampler import StatsSampler
from omnisonic.actors.inspection.watchdog import Watchdog
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.actors.runtime.supervisor import ChildRecord
from omnisonic.actors.runtime.telemetry import Counters
from omnisonic.wire.handshake import Request


class MonitoredGateway(Protocol):
    """The parts of a gateway that are monitored."""

    name: str

    @property
    def registry(self) -> Registry: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def connections(self) -> Collection[object]: ...

    @property
    def cluster(self) -> Cluster | None: ...


class Monitoring:
    """The monitoring of one gateway. `notes` are remarks of its tasks; `children` are the records of its tasks."""

    def __init__(
        self,
        gateway: MonitoredGateway,
        dispatcher: Dispatcher,
        auth: InspectionAuth,
        now_ms: Callable[[], int],
        notes: Mapping[str, Callable[[], str]],
    ) -> None:
        self.children: dict[str, ChildRecord] = {}
        self.stats_sampler = StatsSampler(gateway.registry)
        self._now_ms = now_ms
        self._watchdog = Watchdog(dispatcher, now_ms)
        parts = GatewayParts(
            gateway.registry,
            gateway.counters,
            gateway.connections,
            self.children,
            notes,
            self.stats_sampler,
            now_ms,
            lambda: gateway.name,
            lambda: len(self.inspection),
            lambda: gateway.cluster,
        )
        self.inspection = InspectionServer(auth, Inspector(parts), self._watchdog)

    def start_record(self, name: str) -> ChildRecord:
        """Create the record of a task."""
        record = self.children[name] = ChildRecord(name, self._now_ms)
        return record

    def start(self, listeners: Sequence[socket.socket], take: Callable[[socket.socket, str], None]) -> None:
        """Start the watchdog. `take` gets connections that were accepted while the loop was blocked."""
        self._watchdog.start(partial(self.inspection.start_fallback_acceptor, listeners, take))

    def handle_handshake(self, connection: Connection, request: Request) -> bool:
        """Take a request for `/inspect`; False when it is for something else. Errors: `Refused`."""
        if request.path != PATH:
            return False
        self.inspection.handle_handshake(connection, request, trio.current_time())
        return True

    async def stop(self) -> None:
        """Stop the watchdog and the inspection server."""
        self._watchdog.stop()
        await self.inspection.stop()
