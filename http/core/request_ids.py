"""The request id: the trace id, said on every answer as `X-Request-Id` (SPEC 3, 7).

An ASGI layer around the whole app, so that an answer made by the framework itself carries one too. API requests get a
server span of their own. All others, and all of them where no SDK is set up, are in a trace that is not recorded: its
id is in the logs of every part that the request leads to. Ids and trace headers that a stranger sends are not believed.
How long every request took is measured by method and status, as OpenTelemetry's conventions call it.

OpenTelemetry's own instrumentation of ASGI is not used: it believes strangers, keeps the query, with what is secret in
it, and costs five times as much.
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
"""What says in a route how a part of its path is read: traces are named by the part alone."""
_ROOT: Final = context.Context()
"""A request begins a trace."""


class RequestIds:
    """Wraps `app`: opens the span of an API request, and puts the trace id on the answer."""

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
        signed = _Signed(send, span)
        token = context.attach(trace.set_span_in_context(span))
        try:
            await self._app(scope, receive, signed)
        finally:
            context.detach(token)
            span.end()
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"  # or strangers would make names up
        took_s = time.perf_counter() - started_s
        self._duration.record(took_s, {"http.request.method": method, "http.response.status_code": signed.status})

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


class _Signed:
    """Sends on what the app sends, and signs the start of the answer with the id. `status` is 0 before that."""

    __slots__ = ("_send", "_span", "status")

    def __init__(self, send: ASGISendCallable, span: Span) -> None:
        self.status = 0
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
        await self._send(event)


def trace_requests(app: Quart, provider: TracerProvider | None, meters: MeterProvider | None) -> None:
    """Give every answer of `app` its id, and every API request a span of `provider`, named after its route."""
    app.asgi_app = RequestIds(cast("ASGIFramework", app.asgi_app), provider, meters)  # type: ignore[method-assign]

    @app.before_request
    async def name_the_span() -> None:
        span = trace.get_current_span()
        if span.is_recording() and request.url_rule is not None:
            route = _CONVERTER.sub("<", request.url_rule.rule)
            span.update_name(f"{request.method} {route}")
            span.set_attribute("http.route", route)
