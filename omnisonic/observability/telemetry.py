"""Telemetry: exports traces and metrics as the standard `OTEL_*` variables say (SPEC 7).

With `OTEL_EXPORTER_OTLP_ENDPOINT` (or that of traces, or of metrics) they are sent there by OTLP over HTTP; with the
extra `instrumentation` calls to Postgres and Redis are spans, too. Without it, in development, spans are printed as
short lines of the level `info`, up to `CONSOLE_LINES_PER_S`. `OTEL_TRACES_EXPORTER` (`otlp`, `console`, `none`),
`OTEL_METRICS_EXPORTER` (`otlp`, `prometheus`, `none`) and `OTEL_SDK_DISABLED` overrule this. Secrets are removed.

The parts in `SCRAPED` also have an `Exposition`, which `/metrics` answers with, unless there are no metrics at all.

Overload: spans beyond the queue of the SDK's batch processor are dropped; rooms never wait. Crash: the SDK logs an
exporter that fails. Shutdown: `Telemetry.shutdown` sends what is left, within `FLUSH_S`.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO
from uuid import uuid4

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from omnisonic import __version__
from omnisonic.errors import BadSettings
from omnisonic.observability.exposition import INSTANCE, Exposition
from omnisonic.observability.instrumentation import instrument_libraries
from omnisonic.observability.log_lines import as_json_line
from omnisonic.observability.redacted_spans import RedactedSpans
from omnisonic.redaction import redacted_text
from omnisonic.settings.settings import Settings

FLUSH_S: Final = 2.0
"""How long the end of a process may wait for collectors. What is not sent by then is lost."""
CONSOLE_LINES_PER_S: Final = 20
"""More spans per second are counted and not printed."""
CONSOLE_TRACES_PER_S: Final = 50
"""More traces per second are not recorded for the console."""
SCRAPED: Final = frozenset({"gateway", "web"})
"""The parts with `/metrics`. The others listen on no port, or are for development."""
ERROR_TYPE: Final = "error.type"
"""The attribute of a failed span (OpenTelemetry's semantic conventions)."""

_log = logging.getLogger(__name__)


class Telemetry:
    """The providers of one process. `render_metrics` makes what `/metrics` answers; None where there is none."""

    def __init__(
        self, traces: TracerProvider | None, meters: MeterProvider | None, exposition: Exposition | None = None
    ) -> None:
        self._traces = traces
        self._meters = meters
        self.render_metrics: Callable[[], bytes] | None = None if exposition is None else exposition.render

    @property
    def has_metrics(self) -> bool:
        """Whether metrics are exported."""
        return self._meters is not None

    def shutdown(self) -> None:
        """Send what is left, and stop. Blocks for `FLUSH_S` at most, and raises nothing.

        The SDK waits for an exporter for as long as that tries, whatever timeout it is given. So it waits in threads,
        which end with the process.
        """
        stopping = [
            threading.Thread(target=_shut_down, args=(provider,), daemon=True)
            for provider in (self._traces, self._meters)
            if provider is not None
        ]
        give_up_at_s = time.monotonic() + FLUSH_S
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(max(0.0, give_up_at_s - time.monotonic()))
        if any(thread.is_alive() for thread in stopping):
            _log.warning("telemetry.not_sent", extra={"after_s": FLUSH_S})


def _shut_down(provider: TracerProvider | MeterProvider) -> None:
    try:
        provider.shutdown()
    except Exception:  # noqa: BLE001 - a part that has done its work must not fail by this
        _log.warning("telemetry.not_sent", exc_info=True)


def configure_telemetry(
    settings: Settings, part: str, environ: Mapping[str, str] | None = None, console: TextIO | None = None
) -> Telemetry:
    """Set up telemetry for this process, a part such as `gateway`. Call it once.

    Raises `BadSettings` for an unknown exporter.
    """
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Telemetry(None, None)
    printed = not settings.is_production and settings.log_level in ("debug", "info")
    traces_to = environ.get("OTEL_TRACES_EXPORTER") or _default(
        environ, "TRACES", otherwise="console" if printed else "none"
    )
    metrics_to = environ.get("OTEL_METRICS_EXPORTER") or _default(environ, "METRICS", otherwise="prometheus")
    _check("OTEL_TRACES_EXPORTER", traces_to, ("otlp", "console", "none"))
    _check("OTEL_METRICS_EXPORTER", metrics_to, ("otlp", "prometheus", "none"))
    resource = _resource(part, environ)
    spares = traces_to == "console" and not environ.get("OTEL_TRACES_SAMPLER")
    sampler = ParentBased(FewRoots()) if spares else None
    traces = None if traces_to == "none" else TracerProvider(sampler, resource, shutdown_on_exit=False)
    if traces is not None:
        processor = BatchSpanProcessor(_span_exporter(traces_to, console or sys.stderr, part, settings))
        traces.add_span_processor(processor)
        trace.set_tracer_provider(traces)
        if traces_to == "otlp":
            instrument_libraries(resource, processor)
    is_shared = settings.web_workers > 1 and part == "web"
    instance = str(resource.attributes[INSTANCE]) if is_shared else None
    exposition = Exposition(instance=instance) if part in SCRAPED else None
    meters = _meter_provider(metrics_to, resource, exposition)
    return Telemetry(traces, meters, None if meters is None else exposition)


def _meter_provider(metrics_to: str, resource: Resource, exposition: Exposition | None) -> MeterProvider | None:
    """Set up the metrics of this process; None when nobody can read them."""
    readers: list[MetricReader] = []
    if metrics_to == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    if metrics_to != "none" and exposition is not None:
        readers.append(exposition.reader)
    if not readers:
        return None
    meters = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(meters)
    return meters


def _check(variable: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadSettings([f'{variable} is "{value}": it must be one of {", ".join(known)}.'])


def _resource(part: str, environ: Mapping[str, str]) -> Resource:
    """Describes this process: the part, its version, and a random id."""
    return Resource.create(
        {
            "service.name": environ.get("OTEL_SERVICE_NAME", f"omnisonic-{part}"),
            "service.version": __version__,
            INSTANCE: str(uuid4()),
        }
    )


def _default(environ: Mapping[str, str], what: str, *, otherwise: str) -> str:
    if environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(f"OTEL_EXPORTER_OTLP_{what}_ENDPOINT"):
        return "otlp"
    return otherwise


def _span_exporter(name: str, console: TextIO, part: str, settings: Settings) -> SpanExporter:
    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return RedactedSpans(OTLPSpanExporter())
    return LineExporter(console, part=part if settings.logs_json else None)


class FewRoots(Sampler):
    """Samples `CONSOLE_TRACES_PER_S` traces per second, and all that have failed from the start.

    Recording more, which nobody can read, would cost a busy web a tenth of its time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = -1
        self._begun = 0

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Whether this trace is recorded."""
        del parent_context, trace_id, name, kind, links, trace_state
        second = int(self._clock())
        if second != self._second:
            self._second, self._begun = second, 0
        if self._begun >= CONSOLE_TRACES_PER_S and ERROR_TYPE not in (attributes or {}):
            return SamplingResult(Decision.DROP)
        self._begun += 1
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return f"{type(self).__name__}({CONSOLE_TRACES_PER_S})"


class LineExporter(SpanExporter):
    """Prints lines such as `span ws.message 0.41 ms room=jam trace=4bf9…`, and a count of those beyond the limit.

    With `part` each line is a JSON object, like those of its log.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic, *, part: str | None = None) -> None:
        self._out = out
        self._part = part
        self._clock = clock
        self._second = -1
        self._printed = 0
        self._dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Print `spans`, up to the limit."""
        second = int(self._clock())
        if second != self._second:
            if self._dropped:
                self._print(f"span ({self._dropped} more, not shown)")
            self._second, self._printed, self._dropped = second, 0, 0
        for span in spans:
            if self._printed < CONSOLE_LINES_PER_S:
                self._printed += 1
                self._print(redacted_text(_line(span)))
            else:
                self._dropped += 1
        self._out.flush()
        return SpanExportResult.SUCCESS

    def _print(self, line: str) -> None:
        self._out.write(f"{line if self._part is None else as_json_line(self._part, line)}\n")


def _line(span: ReadableSpan) -> str:
    took_ms = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    fields = [f"{name}={value!r}" for name, value in (span.attributes or {}).items()]
    failed = [] if span.status.is_ok or span.status.is_unset else [f"failed={span.status.description!r}"]
    trace_id = [f"trace={span.context.trace_id:032x}"] if span.context else []
    return " ".join(["span", span.name, f"{took_ms:.2f} ms", *fields, *failed, *trace_id])
