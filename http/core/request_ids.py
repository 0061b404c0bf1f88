"""The request id: the trace id, sent with every response as `X-Request-Id` (SPEC 3, 7).

An ASGI middleware around the whole app, so that responses of the framework carry the id too. API requests get a server
span of their own. All others, and all of them without an SDK, belong to a trace that is not recorded, whose id is in
the logs of everything that the request causes. Ids and trace headers of clients are not trusted. The duration of every
request is measured by method and status, under the names of OpenTelemetry's conventions. A stream of events, which may
last for hours, counts until it begins.

OpenTelemetry's own instrumentation of ASGI is not used: it trusts clients, records the query with the secrets in it,
and costs five times as much.
"""

import re
import time
from typing import Final, cast

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope
from opentelemetry import context, metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
from quart import Quart, request

from omnisonic.observability.metrics import REQUESTS

PRESENCE_PATH: Final = "/api/presence"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_CONVERTER: Final = re.compile(r"<[^<>]*:")
"""The converter of a variable in a rule, left out of span names."""
_EVENTS: Final = b"text/event-stream"
_ROOT: Final = context.Context()
"""The parent of each request's span: none."""


class RequestIds:
    """ASGI middleware: opens the span of an API request, and adds the trace id to the response."""

    def __init__(self, app: ASGIFramework, provider: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._app = app
        self._api = trace.get_tracer("studio-web-api", tracer_provider=provider)
        self._presence = trace.get_tracer("studio-web-api-presence", tracer_provider=provider)
        self._duration = REQUESTS.histogram(metrics.get_meter("studio-web-api", meter_provider=meters))
        self._ids = RandomIdGenerator()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        span = self._span(scope)
        sender = _IdSender(send, span)
        token = context.attach(trace.set_span_in_context(span))
        try:
            await self._app(scope, receive, sender)
        finally:
            context.detach(token)
            if not sender.streams_from_s:
                span.end()
        method = (
            scope["method"] if scope["method"] in METHODS else "_OTHER"
        )  # clients must not add values to the metric
        duration_s = (sender.streams_from_s or time.perf_counter()) - started_s
        self._duration.record(duration_s, {"http.request.method": method, "http.response.status_code": sender.status})

    def _span(self, scope: HTTPScope) -> Span:
        path = scope["path"]
        if path.startswith("/api/"):
            tracer = self._presence if path == PRESENCE_PATH else self._api
            attributes = {"http.request.method": scope["method"]}
            span = tracer.start_span(scope["method"], _ROOT, kind=SpanKind.SERVER, attributes=attributes)
            if span.get_span_context().is_valid:
                return span
        ids = self._ids
        return NonRecordingSpan(SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False))


class _IdSender:
    """Passes on what the app sends and adds the id to the start of the response. `status` is 0 before that.

    `streams_from_s` is when a stream of events began, and its span ended; 0 for other responses.
    """

    __slots__ = ("_send", "_span", "status", "streams_from_s")

    def __init__(self, send: ASGISendCallable, span: Span) -> None:
        self.status = 0
        self.streams_from_s = 0.0
        self._send = send
        self._span = span

    async def __call__(self, event: ASGISendEvent) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            request_id = trace.format_trace_id(self._span.get_span_context().trace_id)
            event["headers"] = [*event["headers"], (b"x-request-id", request_id.encode())]
            if self._span.is_recording():
                self._span.set_attribute("http.response.status_code", event["status"])
                if event["status"] >= 500:
                    self._span.set_status(Status(StatusCode.ERROR))
            if (b"content-type", _EVENTS) in event["headers"]:
                self.streams_from_s = time.perf_counter()
                self._span.end()
        await self._send(event)


def add_request_ids(app: Quart, provider: TracerProvider | None, meters: MeterProvider | None) -> None:
    """Add an id to every response of `app`, and a span of `provider`, named after its route, to every API request."""
    app.asgi_app = RequestIds(cast("ASGIFramework", app.asgi_app), provider, meters)  # type: ignore[method-assign]

    @app.before_request
    async def name_span() -> None:
        span = trace.get_current_span()
        if span.is_recording() and request.url_rule is not None:
            route = _CONVERTER.sub("<", request.url_rule.rule)
            span.update_name(f"{request.method} {route}")
            span.set_attribute("http.route", route)
