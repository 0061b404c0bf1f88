"""The metrics of this process in Prometheus' text format, which `/metrics` answers with (SPEC 9).

OpenTelemetry's own exporter translates the metrics; its HTTP server is not used. Beside them are the numbers that
Prometheus' client knows of every process on Linux: CPU time, memory, open files, and when it started.

Overload: one rendering at a time, others wait. It takes about a millisecond and may be done on any thread. Crash: is
raised to the caller. Shutdown: with its `MeterProvider`, after which it renders no metrics of ours.
"""

import threading
from collections.abc import Iterable
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

INSTANCE: Final = "service.instance.id"
"""The attribute of a process that tells it from others of its part (OpenTelemetry's semantic conventions)."""


class Exposition:
    """Renders metrics. Give its `reader` to the `MeterProvider`.

    `instance`: the id of this process, where several answer at the same address. Each metric then says which one it is
    of, by the label `service_instance_id`, or counters would seem to jump. It is what the resource of the
    `MeterProvider` has as `INSTANCE`.
    """

    def __init__(self, *, instance: str | None = None) -> None:
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._registry.register(_ProcessMetrics({} if instance is None else {INSTANCE.replace(".", "_"): instance}))
        self.reader: MetricReader = PrometheusMetricReader(
            scope_info_enabled=False,
            resource_attribute_filter=None if instance is None else INSTANCE.__eq__,
            registry=self._registry,
        )

    def render(self) -> bytes:
        """All metrics, as they are now."""
        with self._lock:  # the exporter keeps what it translates in one place
            return generate_latest(self._registry)


class _ProcessMetrics(Collector):
    """CPU time, memory, files and start of this process, with these labels."""

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Family]:
        for family in self._process.collect():
            family.samples = [sample._replace(labels={**sample.labels, **self._labels}) for sample in family.samples]
            yield family
