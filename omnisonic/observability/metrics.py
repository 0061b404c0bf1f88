"""All metrics: their names, meanings and units (SPEC 7).

Code that measures creates its instrument from the definition here; the documentation prints `metrics_table`. Without
OpenTelemetry's SDK the instruments do nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

Kind: TypeAlias = Literal["gauge", "counter", "histogram"]

PROMETHEUS_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of what `omnisonic.observability.exposition` renders."""
_PROMETHEUS_UNITS: Final = {"1": "", "s": "seconds", "By": "bytes"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `unit` is UCUM's, as OpenTelemetry wants it; `by` names its attributes."""

    name: str
    kind: Kind
    meaning: str
    unit: str = "1"
    by: tuple[str, ...] = ()

    def counter(self, meter: Meter) -> Counter:
        """Create the counter."""
        return meter.create_counter(self.name, unit=self.unit, description=self.meaning)

    def histogram(self, meter: Meter) -> Histogram:
        """Create the histogram."""
        return meter.create_histogram(self.name, unit=self.unit, description=self.meaning)

    @property
    def prometheus_name(self) -> str:
        """Its name in Prometheus, as OpenTelemetry's exporter makes it. Those of a histogram go on with `_bucket`."""
        name, unit = self.name.replace(".", "_"), _PROMETHEUS_UNITS[self.unit]
        name = name if name.endswith(unit) else f"{name}_{unit}"
        return f"{name}_total" if self.kind == "counter" else name

    def observe(
        self, meter: Meter, read: Callable[[], float | None], attributes: Mapping[str, str | int] | None = None
    ) -> None:
        """Call `read` whenever metrics are collected, in a thread of the SDK. For gauges and counters.

        When it returns None, nothing is known now, and the metric is left out.
        """

        def read_value(_options: CallbackOptions) -> Iterable[Observation]:
            value = read()
            if value is not None:
                yield Observation(value, attributes)

        self._observe(meter, read_value)

    def observe_each(
        self,
        meter: Meter,
        read: Callable[[], Mapping[str, float]],
        attributes: Mapping[str, str | int] | None = None,
    ) -> None:
        """As `observe`, for a metric with one attribute: `read` returns its values, by that attribute's.

        What is not returned any more is left out from then on.
        """
        (name,) = self.by

        def read_values(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, {**(attributes or {}), name: key}) for key, value in read().items()]

        self._observe(meter, read_values)

    def _observe(self, meter: Meter, read: Callable[[CallbackOptions], Iterable[Observation]]) -> None:
        make = meter.create_observable_gauge if self.kind == "gauge" else meter.create_observable_counter
        make(self.name, [read], unit=self.unit, description=self.meaning)


FAN_OUT: Final = Metric(
    "omnisonic.fan_out.duration", "histogram", "From a room's first letter of a turn to its last write; sampled", "s"
)
OF_GATEWAYS: Final[dict[str, Metric]] = {
    "connections": Metric("omnisonic.connections", "gauge", "Connections open now"),
    "rooms": Metric("omnisonic.rooms", "gauge", "Rooms there are now"),
    "members": Metric("omnisonic.members", "gauge", "Members in rooms now"),
    "messages": Metric("omnisonic.messages", "counter", "Messages taken from members"),
    "deliveries": Metric("omnisonic.deliveries", "counter", "Messages handed to members"),
    "fanned_out_bytes": Metric(
        "omnisonic.fanned_out_bytes", "counter", "Bytes made for rooms, before they are multiplied by members", "By"
    ),
    "mailbox_depth": Metric("omnisonic.mailbox_depth", "gauge", "Letters waiting in the fullest mailbox now"),
    "room_restarts": Metric("omnisonic.room_restarts", "counter", "Crashes of rooms"),
    "dead_letters": Metric("omnisonic.dead_letters", "counter", "Letters set aside"),
    "slow_consumer_closes": Metric(
        "omnisonic.slow_consumer_closes", "counter", "Connections closed because they did not read"
    ),
    "mirror_lag_s": Metric("omnisonic.mirror_lag_s", "gauge", "How long the presence store has been behind", "s"),
    "memory_lag_s": Metric("omnisonic.memory_lag_s", "gauge", "How long the room memory store has been behind", "s"),
    "kept_messages": Metric("omnisonic.kept_messages", "counter", "Messages written down"),
    "keep_lag_s": Metric(
        "omnisonic.keep_lag_s", "gauge", "How long the oldest message has waited to be written down", "s"
    ),
    "dropped_room_events": Metric(
        "omnisonic.dropped_room_events", "counter", "Events of rooms that no webhook gets, because too many wait"
    ),
}
"""By what `omnisonic.actors.runtime.telemetry.MetricsSource` calls them."""
OF_CLUSTERS: Final[dict[str, Metric]] = {
    "lease": Metric("omnisonic.cluster.lease", "gauge", "1 while this gateway may own rooms, otherwise 0"),
    "rooms_owned": Metric("omnisonic.cluster.rooms_owned", "gauge", "Rooms that this gateway owns now"),
    "edge_rooms": Metric(
        "omnisonic.cluster.edge_rooms", "gauge", "Rooms of other gateways that have members at this one now"
    ),
    "remote_members": Metric(
        "omnisonic.cluster.remote_members", "gauge", "Members of this gateway's rooms who are at other gateways now"
    ),
    "rejoins": Metric(
        "omnisonic.cluster.rejoins",
        "counter",
        "Members at this gateway who entered their room again: packets were lost, or it has another owner",
    ),
}
"""Of a gateway with `GATEWAY_CLUSTER=on`, by what `omnisonic.actors.cluster.measures` calls them."""
_KINDS_OF_PEERS: Final[dict[str, tuple[Kind, str, str]]] = {
    "link_up": ("gauge", "1", "1 while the link with this gateway is open and it is heard, otherwise 0"),
    "lag": ("gauge", "s", "How long the oldest message for this gateway has waited to be sent"),
    "sent_packets": ("counter", "1", "Packets sent to this gateway"),
    "received_packets": ("counter", "1", "Packets received from this gateway"),
    "sent_bytes": ("counter", "By", "Bytes sent to this gateway"),
    "received_bytes": ("counter", "By", "Bytes received from this gateway"),
    "sent_messages": ("counter", "1", "Messages sent to this gateway: turns of rooms, and what members said"),
    "received_messages": ("counter", "1", "Messages received from this gateway"),
    "resets": ("counter", "1", "Losses on the link with this gateway; members enter their rooms again"),
}
OF_PEERS: Final[dict[str, Metric]] = {
    name: Metric(f"omnisonic.peer.{name}", kind, meaning, unit, ("peer",))
    for name, (kind, unit, meaning) in _KINDS_OF_PEERS.items()
}
"""The same, for each of the other gateways."""

REQUESTS: Final = Metric(
    "http.server.request.duration",
    "histogram",
    "From a request's head to the end of its answer",
    "s",
    ("http.request.method", "http.response.status_code"),
)
UPLOADS: Final = Metric("omnisonic.uploads", "counter", "Files that arrived whole")
UPLOADED_BYTES: Final = Metric("omnisonic.uploaded_bytes", "counter", "Bytes of these files", "By")

EXPORTS: Final = Metric(
    "omnisonic.exports",
    "counter",
    "Tries to make a mixdown that are over: completed, failed, pending (tried again) or lost",
    by=("status",),
)
EXPORT_SECONDS: Final = Metric("omnisonic.export.duration", "histogram", "What one such try took", "s", ("status",))
EXPORTS_WAITING: Final = Metric("omnisonic.exports_waiting", "gauge", "Mixdowns that could be made and wait for it")

WEBHOOK_ATTEMPTS: Final = Metric(
    "omnisonic.webhook_attempts",
    "counter",
    "Tries to deliver an event to a webhook: delivered, failed (tried again), given_up or lost",
    by=("outcome",),
)

METRICS: Final[dict[str, tuple[Metric, ...]]] = {
    "gateway": (FAN_OUT, *OF_GATEWAYS.values(), *OF_CLUSTERS.values(), *OF_PEERS.values()),
    "web": (REQUESTS, UPLOADS, UPLOADED_BYTES),
    "worker": (EXPORTS, EXPORT_SECONDS, EXPORTS_WAITING, WEBHOOK_ATTEMPTS),
}
"""All metrics, by the part that measures them."""


_HEAD: Final = "| metric | in Prometheus | part | kind | meaning |"


def metrics_table() -> str:
    """All metrics as a Markdown table, for the documentation."""
    rows = [
        f"| `{metric.name}` | `{metric.prometheus_name}` | {part} | {_kind(metric)} | {metric.meaning}{_by(metric)} |"
        for part, metrics in METRICS.items()
        for metric in metrics
    ]
    return "\n".join([_HEAD, "| --- | --- | --- | --- | --- |", *rows]) + "\n"


def _kind(metric: Metric) -> str:
    units = {"s": ", seconds", "By": ", bytes", "1": ""}
    return metric.kind + units[metric.unit]


def _by(metric: Metric) -> str:
    return f" (by {', '.join(f'`{name}`' for name in metric.by)})" if metric.by else ""
