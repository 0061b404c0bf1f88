"""A receiver of OTLP over HTTP on a real socket: it keeps what processes send, as protobuf has it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROMPTLY: Final = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "300"}
"""How often processes send, in milliseconds: a test does not want to wait for a minute."""


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span that arrived. Ids are hexadecimal; `parent` is empty for the first of a trace."""

    service: str
    tracer: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool


class OtlpReceiver:
    """What has arrived so far. Any thread may look."""

    def __init__(self, port: int) -> None:
        self.bodies: list[bytes] = []
        self._port = port
        self._traces: list[ExportTraceServiceRequest] = []
        self._metrics: list[ExportMetricsServiceRequest] = []

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process send here, and soon."""
        return {
            "OTEL_SDK_DISABLED": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._port}",
            **PROMPTLY,
        }

    def take(self, path: str, body: bytes) -> None:
        """Read and keep a request. Errors: `DecodeError` when it is no protobuf of its kind, `KeyError`."""
        self.bodies.append(body)
        if path == "/v1/traces":
            self._traces.append(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            self._metrics.append(ExportMetricsServiceRequest.FromString(body))
        else:
            raise KeyError(path)

    def spans(self, trace: str | None = None) -> list[ReceivedSpan]:
        """The spans of one trace, or all of them, as they arrived."""
        found = [
            ReceivedSpan(
                _plain(group.resource.attributes)["service.name"],
                scope.scope.name,
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                _plain(span.attributes),
                span.status.code == span.status.STATUS_CODE_ERROR,
            )
            for request in self._traces.copy()
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        return [span for span in found if trace in (None, span.trace)]

    def metrics(self, service: str) -> dict[str, tuple[str, float]]:
        """The kind of each metric of a service, and its last value: of a histogram, how many it counted."""
        last: dict[str, tuple[str, float]] = {}
        for request in self._metrics.copy():
            for group in request.resource_metrics:
                if _plain(group.resource.attributes)["service.name"] != service:
                    continue
                for scope in group.scope_metrics:
                    for metric in scope.metrics:
                        last[metric.name] = _last(metric)
        return last


def _last(metric: Any) -> tuple[str, float]:
    if metric.HasField("histogram"):
        return "histogram", sum(point.count for point in metric.histogram.data_points)
    if metric.HasField("sum"):
        return "counter" if metric.sum.is_monotonic else "sum", _total(metric.sum.data_points)
    return "gauge", _total(metric.gauge.data_points)


def _total(points: Any) -> float:
    return float(sum(getattr(point, point.WhichOneof("value")) for point in points))


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def running_otlp_receiver() -> Iterator[OtlpReceiver]:
    """A receiver on a free port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = OtlpReceiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
