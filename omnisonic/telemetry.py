"""Telemetry: where traces and metrics go, by the standard `OTEL_*` variables (SPEC 7).

With `OTEL_EXPORTER_OTLP_ENDPOINT` set both go there by OTLP over HTTP. In development without it, spans are printed,
one short line each and not more than people can read. `OTEL_TRACES_EXPORTER` and `OTEL_METRICS_EXPORTER` (`otlp`,
`none`, and for traces `console`) and `OTEL_SDK_DISABLED` overrule that.

Overload: spans beyond the queue of the SDK's batch processor are dropped, rooms never wait. Crash: an exporter that
fails is logged by the SDK. Shutdown: `Telemetry.shutdown` sends what is left, within `FLUSH_MS`.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from omnisonic.config import Settings
from omnisonic.errors import BadSettings

FLUSH_MS: Final = 2_000
CONSOLE_LINES_PER_S: Final = 20
"""More spans a second than this are counted instead of printed."""


class Telemetry:
    """The providers of one process."""

    def __init__(self, traces: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._traces = traces
        self._meters = meters

    def shutdown(self) -> None:
        """Send what is left and stop. Blocks for `FLUSH_MS` at most for each of traces and metrics."""
        if self._traces is not None:
            self._traces.force_flush(FLUSH_MS)
            self._traces.shutdown()
        if self._meters is not None:
            self._meters.shutdown(timeout_millis=FLUSH_MS)


def configure_telemetry(
    settings: Settings, part: str, environ: Mapping[str, str] | None = None, console: TextIO | None = None
) -> Telemetry:
    """Set up this process, a part of the product such as `gateway`. Once a process.

    Errors: `BadSettings` for an exporter that there is not.
    """
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Telemetry(None, None)
    to_otlp = bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME", f"omnisonic-{part}")})
    traces_to = environ.get("OTEL_TRACES_EXPORTER") or _default(to_otlp=to_otlp, console=not settings.is_production)
    metrics_to = environ.get("OTEL_METRICS_EXPORTER") or _default(to_otlp=to_otlp, console=False)
    _check("OTEL_TRACES_EXPORTER", traces_to, ("otlp", "console", "none"))
    _check("OTEL_METRICS_EXPORTER", metrics_to, ("otlp", "none"))
    traces = None if traces_to == "none" else TracerProvider(resource=resource)
    if traces is not None:
        traces.add_span_processor(BatchSpanProcessor(_span_exporter(traces_to, console or sys.stderr)))
        trace.set_tracer_provider(traces)
    meters = None
    if metrics_to == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)
        metrics.set_meter_provider(meters)
    return Telemetry(traces, meters)


def _check(variable: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadSettings([f'{variable} is "{value}": it must be one of {", ".join(known)}.'])


def _default(*, to_otlp: bool, console: bool) -> str:
    if to_otlp:
        return "otlp"
    return "console" if console else "none"


def _span_exporter(name: str, console: TextIO) -> SpanExporter:
    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    return LineExporter(console)


class LineExporter(SpanExporter):
    """Prints `span ws.message 0.41 ms room=jam trace=4bf9…`, and a count in the place of too many."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._second = -1
        self._printed = 0
        self._dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Print `spans`, as far as people could read them."""
        second = int(self._clock())
        if second != self._second:
            if self._dropped:
                self._out.write(f"span ({self._dropped} more, not shown)\n")
            self._second, self._printed, self._dropped = second, 0, 0
        for span in spans:
            if self._printed < CONSOLE_LINES_PER_S:
                self._printed += 1
                self._out.write(_line(span))
            else:
                self._dropped += 1
        self._out.flush()
        return SpanExportResult.SUCCESS


def _line(span: ReadableSpan) -> str:
    took_ms = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    fields = [f"{name}={value!r}" for name, value in (span.attributes or {}).items()]
    failed = [] if span.status.is_ok or span.status.is_unset else [f"failed={span.status.description!r}"]
    trace_id = [f"trace={span.context.trace_id:032x}"] if span.context else []
    return " ".join(["span", span.name, f"{took_ms:.2f} ms", *fields, *failed, *trace_id]) + "\n"
