"""A gateway's counters, spans and metrics (SPEC 7). Rooms and connections only add to plain numbers.

Spans: `ws.message` for one message in `MESSAGES_PER_SPAN`, at most `SPANS_PER_S`, for every crash, and for every
message from outside the room, as part of its sender's trace. `ws.connection` with `ws.close` when a connection has
ended. Metrics are read from the gateway when they are collected. Names and ids of rooms are in them; payloads, tickets
and cookies never are.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from omnisonic.observability.metrics import FAN_OUT, OF_CLUSTERS, OF_GATEWAYS, OF_PEERS, Metric
from omnisonic.observability.trace_context import Trace, continued
from omnisonic.wire.closing import CloseCode

METER: Final = "realtime-gateway"
MESSAGES_PER_SPAN: Final = 100
"""One message in this many has a span: 1 %."""
SPANS_PER_S: Final = 50
"""At most this many sampled spans a second."""


_ROOT: Final = Context()
"""A span of a room begins a trace of its own, whatever span the program around the gateway is in."""


@dataclass(slots=True)
class Counters:
    """Totals since the gateway started."""

    connections: int = 0
    room_restarts: int = 0
    connection_crashes: int = 0
    closes: dict[CloseCode, int] = field(default_factory=dict)

    def count_close(self, code: CloseCode) -> None:
        """Count a connection that this end closed."""
        self.closes[code] = self.closes.get(code, 0) + 1


class MetricsSource(Protocol):
    """The gateway, as the metrics read it."""

    def measure(self) -> dict[str, float]:
        """The current value of each metric, by its name without the prefix."""
        ...


class ClusterMetricsSource(MetricsSource, Protocol):
    """The gateway's part of its cluster, as the metrics read it."""

    def measure_peers(self) -> dict[str, dict[str, float]]:
        """The current value of each metric of peers, by its name without the prefix, for each peer by its name."""
        ...


@dataclass(frozen=True, slots=True)
class MetricsTarget:
    """Where the metrics of a gateway go: the `meter` (None: the global one), and what tells them from another's."""

    meter: metrics.Meter | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)


ANY_TARGET: Final = MetricsTarget()


class TurnTracer:
    """Decides which turns become spans. `left` is how many messages remain until the next span."""

    __slots__ = ("_attributes", "_due_ns", "_fan_out", "_pause_ns", "_tracer", "left")

    def __init__(self, spans_per_s: float = SPANS_PER_S, target: MetricsTarget = ANY_TARGET) -> None:
        self.left = MESSAGES_PER_SPAN
        self._due_ns = 0.0
        self._pause_ns = 1e9 / spans_per_s
        self._tracer = trace.get_tracer("realtime-gateway")
        self._fan_out = FAN_OUT.histogram(target.meter or metrics.get_meter(METER))
        self._attributes = target.attributes

    def trace_turn(self, room: str, started_ns: int, messages: int, members: int) -> None:
        """Make a span of a turn that began at `started_ns` (since 1970) and ended now."""
        self.left = MESSAGES_PER_SPAN
        if started_ns < self._due_ns:
            return
        now_ns = time.time_ns()
        self._due_ns = now_ns + self._pause_ns
        self._fan_out.record((now_ns - started_ns) / 1e9, self._attributes)
        span = self._tracer.start_span("ws.message", _ROOT, start_time=started_ns)
        span.set_attributes({"room": room, "messages": messages, "members": members})
        span.end(now_ns)

    def start_external_span(self, room: str, what: str, trace_: Trace) -> Span:
        """Start the span of a message from outside, in its trace. The caller ends the span."""
        attributes = {"room": room, "type": what}
        return self._tracer.start_span("ws.message", continued(trace_), kind=SpanKind.CONSUMER, attributes=attributes)

    @contextmanager
    def trace_crash(self, room: str, crash: BaseException) -> Iterator[None]:
        """Make a span of a crash. The block runs inside the span."""
        about = {"room": room, "error.type": type(crash).__name__}
        with self._tracer.start_as_current_span("ws.message", _ROOT, attributes=about) as span:
            span.record_exception(crash)
            span.set_status(Status(StatusCode.ERROR, type(crash).__name__))
            yield

    def trace_connection(self, room: str, lasted_s: float, code: int, reason: str) -> None:
        """Make the spans of a connection that has ended."""
        now_ns = time.time_ns()
        span = self._tracer.start_span(
            "ws.connection", _ROOT, start_time=now_ns - int(lasted_s * 1e9), attributes={"room": room}
        )
        if span.is_recording():
            inside = trace.set_span_in_context(span)
            close = self._tracer.start_span("ws.close", inside, start_time=now_ns)
            close.set_attributes({"code": int(code), "reason": reason})
            close.end(now_ns)
        span.end(now_ns)


def publish_metrics(measured: MetricsSource, target: MetricsTarget = ANY_TARGET) -> Callable[[], None]:
    """Register a metric for every number of `measured`, read when metrics are collected.

    Returns what ends this: OpenTelemetry itself forgets no metric, and would keep `measured`.
    """
    return _publish(measured, OF_GATEWAYS, target)


def publish_cluster_metrics(measured: ClusterMetricsSource, target: MetricsTarget = ANY_TARGET) -> Callable[[], None]:
    """The same for what a gateway measures of its cluster, and of each peer."""
    peers: list[ClusterMetricsSource] = [measured]

    def read(name: str) -> dict[str, float]:
        return {peer: numbers[name] for source in peers for peer, numbers in source.measure_peers().items()}

    end_numbers = _publish(measured, OF_CLUSTERS, target)
    meter = target.meter or metrics.get_meter(METER)
    for name, metric in OF_PEERS.items():
        metric.observe_each(meter, partial(read, name), target.attributes)

    def end() -> None:
        end_numbers()
        peers.clear()

    return end


def _publish(measured: MetricsSource, wanted: Mapping[str, Metric], target: MetricsTarget) -> Callable[[], None]:
    meter, measurement = target.meter or metrics.get_meter(METER), _Measurement(measured)
    for name, metric in wanted.items():
        metric.observe(meter, partial(measurement.read, name), target.attributes)
    return measurement.end


class _Measurement:
    """The numbers of one collection. It reads each metric once, so the gateway is measured once for all of them."""

    def __init__(self, measured: MetricsSource) -> None:
        self._measured: MetricsSource | None = measured
        self._unread: dict[str, float] = {}

    def end(self) -> None:
        """From now on nothing is known."""
        self._measured = None
        self._unread = {}

    def read(self, name: str) -> float | None:
        """The number of this name, measured anew when it was read before; None after the end. On any thread."""
        number, measured = self._unread.pop(name, None), self._measured
        if measured is None:
            return None
        if number is None:
            unread = dict(measured.measure())
            number = unread.pop(name)
            self._unread = unread
        return number
