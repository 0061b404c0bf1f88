"""Telemetry of exports: spans in the trace of the request, and metrics (SPEC 7).

One `ExportTelemetry` a worker. Spans: `export.render` for each attempt, and within it `export.copy`, `export.mix` and
`export.deliver`. Names of sessions and files do not appear in them. Without OpenTelemetry's SDK nothing is recorded.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from omnisonic.errors import Unavailable
from omnisonic.models import Export, ExportStatus
from omnisonic.observability.metrics import EXPORT_SECONDS, EXPORTS, EXPORTS_WAITING
from omnisonic.observability.trace_context import continued
from omnisonic.studio.exports.export_queue import ExportQueue, Job
from omnisonic.studio.exports.heartbeat import Sleep

COUNT_S: Final = 15.0
"""The time between two counts of the queue: four times as often as metrics are sent."""

Step: TypeAlias = Literal["copy", "mix", "deliver"]


@dataclass(slots=True)
class Attempt:
    """How one attempt to make an export ends: `pending` when it is retried, `lost` when another worker has it."""

    status: ExportStatus | Literal["lost"] = "pending"

    def end(self, export: Export | None) -> None:
        """Record the export as it is after the attempt; None when it is not ours any more."""
        self.status = "lost" if export is None else export.status


class ExportTelemetry:
    """The spans and metrics of one worker's exports. `waiting` is how many jobs wait in the queue.

    `traces` and `meters` default to OpenTelemetry's global ones.
    """

    def __init__(self, traces: TracerProvider | None = None, meters: MeterProvider | None = None) -> None:
        self.waiting = 0
        self._tracer = trace.get_tracer("studio-worker", tracer_provider=traces)
        meter = metrics.get_meter("studio-worker", meter_provider=meters)
        self._attempts = EXPORTS.counter(meter)
        self._seconds = EXPORT_SECONDS.histogram(meter)
        EXPORTS_WAITING.observe(meter, lambda: self.waiting)

    @contextmanager
    def trace_attempt(self, job: Job) -> Iterator[Attempt]:
        """A span around an attempt; the block records how the attempt ended."""
        attempt, began_s = Attempt(), time.perf_counter()
        attributes: dict[str, AttributeValue] = {
            "export": job.export.id,
            "format": job.export.format,
            "stems": len(job.stems),
        }
        with self._tracer.start_as_current_span(
            "export.render", continued(job.trace), kind=SpanKind.CONSUMER, attributes=attributes
        ) as span:
            try:
                yield attempt
            finally:
                span.set_attribute("status", attempt.status)
                if attempt.status == "failed":
                    span.set_status(Status(StatusCode.ERROR))
                about = {"status": attempt.status}
                self._attempts.add(1, about)
                self._seconds.record(time.perf_counter() - began_s, about)

    def trace_step(self, step: Step) -> AbstractContextManager[Span]:
        """A span around one step of an attempt."""
        return self._tracer.start_as_current_span(f"export.{step}")

    async def watch_queue(self, queue: ExportQueue, sleep: Sleep) -> None:
        """Count the waiting jobs every `COUNT_S`. Never returns."""
        while True:
            with suppress(Unavailable):  # the last count stays
                self.waiting = await queue.count_waiting()
            await sleep(COUNT_S)
