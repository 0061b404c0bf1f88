"""The options of a gateway: who may connect, its limits and its time limits. Frozen; read when the gateway starts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import trio

from omnisonic.actors.admission.admission import Admission, OpenAdmission
from omnisonic.actors.admission.revocation import RECHECK_S
from omnisonic.actors.connections.keepalive import UNFINISHED_BYTES, Timeouts
from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.actors.rooms.batch import RelayPrefixes
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.registry import EMPTY_S
from omnisonic.actors.runtime.telemetry import ANY_TARGET, MetricsTarget
from omnisonic.models import RoomId
from omnisonic.settings.origins import HostPolicy, OriginPolicy
from omnisonic.studio.access import AccessStore
from omnisonic.studio.messages import KeptMessages, MessageToKeep
from omnisonic.studio.webhooks import RoomEvents
from omnisonic.wire.handshake import Request
from omnisonic.wire.messages import LARGEST_MESSAGE_BYTES

if TYPE_CHECKING:
    from omnisonic.actors.connections.connection import Connection
    from omnisonic.actors.connections.open_connections import OpenConnections
    from omnisonic.actors.gateway import Gateway


class WorkerPart(Protocol):
    """What a gateway calls where it is one of several workers behind one port (`omnisonic.actors.workers`)."""

    def open_connections(self, most: int, most_per_address: int) -> "OpenConnections":
        """What counts the gateway's connections."""
        ...

    async def start(self, gateway: "Gateway") -> None:
        """Take connections from the other workers."""
        ...

    def hand_over(self, connection: "Connection", request: Request) -> bool:
        """Hand a connection over to the worker that has its room; False when it is this one. Errors: `Refused`."""
        ...

    def stop(self) -> None:
        """Take nothing more."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How a gateway is set up. A limit of 0 is no limit.

    `access` checks regularly everybody who was admitted by a sign-in; None: they may stay. Operators inspect with the
    `admin_token`; None: nobody can. A member whose connection broke is waited for, `grace_s` long. `/metrics` answers
    programs on this machine, and those that show the `metrics_token`, with `render_metrics`; that is called on another
    thread. What is measured goes to `metrics`.
    """

    hosts: HostPolicy
    origins: OriginPolicy
    admission: Admission = field(default_factory=OpenAdmission)
    access: AccessStore | None = None
    admin_token: str | None = field(default=None, repr=False)
    metrics_token: str | None = field(default=None, repr=False)
    render_metrics: Callable[[], bytes] | None = None
    metrics: MetricsTarget = ANY_TARGET
    recheck_s: float = RECHECK_S
    ttl_s: int = 60
    rate: RateLimit = RateLimit(0.0, 0.0)
    queue_bytes: int = 262_144
    max_connections: int = 0
    max_connections_per_address: int = 0
    max_members_per_room: int = 0
    largest_message_bytes: int = LARGEST_MESSAGE_BYTES
    unfinished_bytes: int = UNFINISHED_BYTES
    timeouts: Timeouts = Timeouts()
    empty_room_s: float = EMPTY_S
    grace_s: float = 0.0
    history: HistoryLimits = HistoryLimits()
    messages: KeptMessages | None = None
    room_events: RoomEvents | None = None
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def room_context(
        self,
        room_id: RoomId,
        epoch: str,
        relay_prefixes: RelayPrefixes,
        keep: Callable[[MessageToKeep], bool] | None,
    ) -> RoomContext:
        """What a new room is given. `keep` takes its messages that are to be written down; None: nothing is kept."""
        return RoomContext(
            room_id,
            RoomMemory(epoch, self.history),
            self.ttl_s,
            self.max_members_per_room,
            trio.current_time,
            self.now_ms,
            relay_prefixes,
            self.grace_s,
            keep=keep,
        )
