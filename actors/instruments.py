"""A gateway's spans and metrics (SPEC 7). Rooms and connections only add to plain numbers; telemetry is made here.

Spans: `ws.message` for one message in `MESSAGES_PER_SPAN`, at most `SPANS_PER_S`, and for every crash; `ws.connection`
with its `ws.close` when a connection has ended. Metrics are read off the gateway when they are collected. Names and ids
of rooms are shown; payloads, tickets and cookies never are.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Status, StatusCode

MESSAGES_PER_SPAN: Final = 100
"""One message in this many has a span: 1 %."""
SPANS_PER_S: Final = 50
"""At most this many samples a second: a busy gateway tells enough by them, and has better things to do."""


class Measured(Protocol):
    """What can be read off a gateway at any time, at the cost of adding up."""

    def measure(self) -> dict[str, float]:
        """The current value of each metric, by its name without the prefix."""
        ...


class Sampler:
    """Decides which turns of rooms become spans. `left` is how many messages go by until the next one does."""

    __slots__ = ("_due_ns", "_fan_out", "_pause_ns", "_tracer", "left")

    def __init__(self, spans_per_s: float = SPANS_PER_S) -> None:
        self.left = MESSAGES_PER_SPAN
        self._due_ns = 0.0
        self._pause_ns = 1e9 / spans_per_s
        self._tracer = trace.get_tracer("realtime-gateway")
        self._fan_out = metrics.get_meter("realtime-gateway").create_histogram(
            "omnisonic.fan_out.duration", unit="s", description="From a room's first letter of a turn to its last write"
        )

    def turn(self, room: str, started_ns: int, messages: int, members: int) -> None:
        """A turn that began at `started_ns` (since 1970) and ended now is the sample."""
        self.left = MESSAGES_PER_SPAN
        if started_ns < self._due_ns:
            return
        now_ns = time.time_ns()
        self._due_ns = now_ns + self._pause_ns
        self._fan_out.record((now_ns - started_ns) / 1e9)
        span = self._tracer.start_span("ws.message", start_time=started_ns)
        span.set_attributes({"room": room, "messages": messages, "members": members})
        span.end(now_ns)

    def crash(self, room: str, crash: BaseException) -> None:
        """A message killed its room. Always a span."""
        span = self._tracer.start_span("ws.message", attributes={"room": room})
        span.record_exception(crash)
        span.set_status(Status(StatusCode.ERROR, type(crash).__name__))
        span.end()

    def connection(self, room: str, lasted_s: float, code: int, reason: str) -> None:
        """A connection has ended."""
        now_ns = time.time_ns()
        span = self._tracer.start_span(
            "ws.connection", start_time=now_ns - int(lasted_s * 1e9), attributes={"room": room}
        )
        if span.is_recording():
            inside = trace.set_span_in_context(span)
            close = self._tracer.start_span("ws.close", inside, start_time=now_ns)
            close.set_attributes({"code": int(code), "reason": reason})
            close.end(now_ns)
        span.end(now_ns)


_METRICS: Final = {
    "connections": "Connections open now",
    "rooms": "Rooms there are now",
    "members": "Members in rooms now",
    "messages": "Messages taken from members",
    "deliveries": "Messages handed to members",
    "fanned_out_bytes": "Bytes made for rooms, before they are multiplied by members",
    "mailbox_depth": "Letters waiting in the fullest mailbox now",
    "room_restarts": "Crashes of rooms",
    "dead_letters": "Letters set aside",
    "slow_consumer_closes": "Connections closed because they did not read",
    "mirror_lag_s": "How long the presence store has been behind, in seconds",
}


def publish_metrics(measured: Measured) -> None:
    """Make every number that `measured` has a metric, read when metrics are collected."""
    meter = metrics.get_meter("realtime-gateway")
    for name, description in _METRICS.items():
        meter.create_observable_gauge(f"omnisonic.{name}", [_reader(measured, name)], description=description)


def _reader(measured: Measured, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(measured.measure()[name])

    return read
