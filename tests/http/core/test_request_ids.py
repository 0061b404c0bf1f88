"""`X-Request-Id` and the spans of API requests (SPEC 7)."""

import json

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from omnisonic.observability.logs import JsonFormatter
from tests.http.running import Web, running_web


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/api/nothing", "/api/presence?roomId=a"])
def test_every_answer_has_an_id_of_its_own(web: Web, path: str) -> None:
    """32 hex digits, fresh each time, whatever the client says."""
    claimed = "0123456789abcdef0123456789abcdef"
    headers = {"X-Request-Id": claimed, "traceparent": f"00-{claimed}-0123456789abcdef-01"}
    ids = {web.client.get(path, headers=headers).headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    assert claimed not in ids
    assert all(len(request_id) == 32 and int(request_id, 16) for request_id in ids)


def test_the_id_is_the_trace_id() -> None:
    """API requests are spans of the tracers that SPEC 7 names, each named after its route, failures marked."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with running_web(tracer_provider=provider) as web:
        roster = web.client.get("/api/presence?roomId=a")
        web.presence.trouble.kind = "down"
        web.client.get("/api/presence?roomId=a")
        web.client.get("/api/openapi.json")
        web.client.get("/api/nothing")
        web.client.get("/healthz")
    spans = exporter.get_finished_spans()
    provider.shutdown()
    assert [(span.name, _tracer(span)) for span in spans] == [
        ("GET /api/presence", "studio-web-api-presence"),
        ("GET /api/presence", "studio-web-api-presence"),
        ("GET /api/openapi.json", "studio-web-api"),
        ("GET", "studio-web-api"),
    ]
    assert [(span.attributes or {})["http.response.status_code"] for span in spans] == [200, 503, 200, 404]
    assert [span.status.is_ok for span in spans] == [True, False, True, True]
    context = spans[0].context
    assert context is not None
    assert roster.headers["X-Request-Id"] == f"{context.trace_id:032x}"


@pytest.mark.parametrize("is_recorded", [True, False])
def test_what_rooms_are_told_carries_the_id(is_recorded: bool) -> None:
    """So that a trace, and at least the logs, go on in the gateway; it says whether it is recorded."""
    provider = TracerProvider(shutdown_on_exit=False) if is_recorded else None
    body = {"roomId": "jam", "memberId": "ada", "displayName": "Ada"}
    with running_web(tracer_provider=provider) as web:
        request_id = web.client.post("/api/presence", json=body).headers["X-Request-Id"]
        (carried,) = web.bus.traces
    assert carried is not None
    version, trace, _, flags = carried.split("-")
    assert (version, trace, int(flags) & 1) == ("00", request_id, is_recorded)


def test_the_id_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """As operators find there what somebody reports; also where no trace is recorded."""
    caplog.handler.setFormatter(JsonFormatter("web"))
    with running_web() as web:
        web.presence.trouble.kind = "broken"
        ids = [web.client.get("/api/presence?roomId=a").headers["X-Request-Id"] for _ in range(2)]
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert [line["trace_id"] for line in lines if line["event"] == "request.failed"] == ids


def _tracer(span: ReadableSpan) -> str:
    assert span.instrumentation_scope is not None
    return span.instrumentation_scope.name


def test_how_long_requests_take_is_measured_by_method_and_status() -> None:
    """Every request counts, API or not, and a method that somebody made up is not a name of its own."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    with running_web(meter_provider=provider) as web:
        web.client.get("/healthz")
        web.client.get("/api/presence?roomId=a")
        web.client.request("BREW", "/api/presence")
    counted = {}
    data = reader.get_metrics_data()
    assert data is not None
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        assert metric.name == "http.server.request.duration"
        for point in metric.data.data_points:
            assert isinstance(point, HistogramDataPoint)
            assert point.attributes is not None
            names = "http.request.method", "http.response.status_code"
            counted[tuple(point.attributes[name] for name in names)] = point.count
    provider.shutdown()
    assert counted == {("GET", 200): 2, ("_OTHER", 405): 1}
