"""What a connection asks of the gateway around it. None of it waits."""

from typing import TYPE_CHECKING, Protocol

from omnisonic.actors.connections.rate_limit import RateLimit
from omnisonic.wire.handshake import Request

if TYPE_CHECKING:
    from omnisonic.actors.connections.connection import Connection
    from omnisonic.actors.connections.slow_path import SlowPath


class Clock(Protocol):
    """Knows the time of the current sweep, in monotonic seconds, at the cost of an attribute."""

    @property
    def now_s(self) -> float: ...


class ConnectionOwner(Protocol):
    """The gateway, or whatever stands in for it in a test."""

    rate: RateLimit
    queue_bytes: int

    @property
    def clock(self) -> Clock: ...

    def handle_handshake(self, connection: "Connection", request: Request) -> None: ...

    def set_writing(self, connection: "Connection", *, writing: bool) -> None: ...

    def start_slow_path(self, connection: "Connection") -> "SlowPath": ...

    def on_unfinished(self, connection: "Connection", size: int, *, is_new: bool) -> None: ...

    def on_closing(self, connection: "Connection") -> None: ...

    def on_end(self, connection: "Connection") -> None: ...

    def on_crash(self, connection: "Connection", crash: Exception) -> None: ...
