"""The oversight of a gateway: all that sees how it is, put together (SPEC 1).

The pulse is a task of the gateway; the watchdog and the inspection are threads, because they see what the loop cannot:
that it does not come round. Overload, crash and shutdown are theirs; none of them holds a room up.
"""

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

import trio

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
    """The gateway, or whatever stands in for it."""

    name: str

    @property
    def registry(self) -> Registry: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def connections(self) -> Collection[object]: ...


class Monitoring:
    """Of one gateway. `notes` are what its tasks have to say of themselves; `children` is what became of them."""

    def __init__(
        self,
        gateway: MonitoredGateway,
        dispatcher: Dispatcher,
        door: InspectionAuth,
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
            lambda: len(self._inspection),
        )
        self._inspection = InspectionServer(door, Inspector(parts), self._watchdog)

    def start_record(self, name: str) -> ChildRecord:
        """Where to write down what becomes of a task."""
        record = self.children[name] = ChildRecord(name, self._now_ms)
        return record

    def start(self, listeners: Sequence[socket.socket], take: Callable[[socket.socket, str], None]) -> None:
        """Begin to watch over the loop. `take` is given the newcomers that the loop did not come to take itself."""
        self._watchdog.start(partial(self._inspection.start_fallback_acceptor, listeners, take))

    def handle_handshake(self, connection: Connection, request: Request) -> bool:
        """Take a connection that wants to inspect; False when it wants something else. Errors: `Refused`."""
        if request.path != PATH:
            return False
        self._inspection.handle_handshake(connection, request, trio.current_time())
        return True

    async def stop(self) -> None:
        """See nothing any more."""
        self._watchdog.stop()
        await self._inspection.stop()
