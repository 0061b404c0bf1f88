"""The metrics of this process in Prometheus' text format, which `/metrics` answers with (SPEC 9).

OpenTelemetry's own exporter translates the metrics; its HTTP server is not used. Beside them are the numbers that
Prometheus' client knows of every process on Linux: CPU time, memory, open files, and when it started.

Overload: one rendering at a time, others wait. It takes about a millisecond and may be done on any thread. Crash: is
raised to the caller. Shutdown: with its `MeterProvider`, after which it renders no metrics of ours.
"""

import threading

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

INSTANCE: str = "service.instance.id"
"""The attribute of a process that tells it from others of its part (OpenTelemetry's semantic conventions)."""


class Exposition:
    """Renders metrics. Give its `reader` to the `MeterProvider`.

    `is_shared`: several processes answer at the same address. Each of its metrics then says which one it is of, by the
    label `service_instance_id`, or counters would seem to jump.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        ProcessCollector(registry=self._registry)
        self.reader: MetricReader = PrometheusMetricReader(
            scope_info_enabled=False,
            resource_attribute_filter=INSTANCE.__eq__ if is_shared else None,
            registry=self._registry,
        )

    def render(self) -> bytes:
        """All metrics, as they are now."""
        with self._lock:  # the exporter keeps what it translates in one place
            return generate_latest(self._registry)
