"""What is seen of mixdowns from outside: spans in the trace of whoever asked, and metrics (SPEC 7).

One `ExportTelemetry` a worker. Spans: `export.render` for each try, and within it `export.copy`, `export.mix` and
`export.deliver`. Names of sessions and files are not shown. Without OpenTelemetry's SDK all of it does nothing.
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
from omnisonic.studio.exports.heartbeat import Sleep
from omnisonic.studio.exports.queue import ExportQueue, Job

LOOK_S: Final = 15.0
"""How often the queue is counted: four times as often as metrics are sent."""

Step: TypeAlias = Literal["copy", "mix", "deliver"]


@dataclass(slots=True)
class Attempt:
    """How one try to make an export ends; `pending` when it is tried again, `lost` when it was another worker's."""

    status: ExportStatus | Literal["lost"] = "pending"

    def ended(self, export: Export | None) -> None:
        """Like this, or not ours any more."""
        self.status = "lost" if export is None else export.status


class ExportTelemetry:
    """The spans and metrics of the exports that one worker makes. `waiting` is how many wait in the queue.

    `traces` and `meters` are OpenTelemetry's global ones when not given.
    """

    def __init__(self, traces: TracerProvider | None = None, meters: MeterProvider | None = None) -> None:
        self.waiting = 0
        self._tracer = trace.get_tracer("studio-worker", tracer_provider=traces)
        meter = metrics.get_meter("studio-worker", meter_provider=meters)
        self._tries = EXPORTS.counter(meter)
        self._seconds = EXPORT_SECONDS.histogram(meter)
        EXPORTS_WAITING.observe(meter, lambda: self.waiting)

    @contextmanager
    def rendering(self, job: Job) -> Iterator[Attempt]:
        """The block makes this export, and notes how it ended."""
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
                self._tries.add(1, about)
                self._seconds.record(time.perf_counter() - began_s, about)

    def step(self, step: Step) -> AbstractContextManager[Span]:
        """The block is this step of it."""
        return self._tracer.start_as_current_span(f"export.{step}")

    async def watch(self, queue: ExportQueue, sleep: Sleep) -> None:
        """Count what waits in the queue, now and then. Never returns."""
        while True:
            with suppress(Unavailable):  # the last count is still the best there is
                self.waiting = await queue.waiting()
            await sleep(LOOK_S)
