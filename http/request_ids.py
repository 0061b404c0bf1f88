"""The request id: the trace id, said on every answer as `X-Request-Id` (SPEC 3, 7).

An ASGI layer around the whole app, so that an answer made by the framework itself carries one too. API requests get a
server span of their own; ids and trace headers that a stranger sends are not believed. How long every request took is
measured by method and status, as OpenTelemetry's conventions call it. Costs a few microseconds where no SDK is set up.
"""

import secrets
import time
from typing import Final, cast

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope
from opentelemetry import context, metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from quart import Quart, request

PRESENCE_PATH: Final = "/api/presence"
TRACE_ID_BYTES: Final = 16
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


class RequestIds:
    """Wraps `app`: opens the span of an API request, and puts the trace id on the answer."""

    def __init__(self, app: ASGIFramework, provider: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._app = app
        self._api = trace.get_tracer("studio-web-api", tracer_provider=provider)
        self._presence = trace.get_tracer("studio-web-api-presence", tracer_provider=provider)
        self._duration = metrics.get_meter("studio-web-api", meter_provider=meters).create_histogram(
            "http.server.request.duration", unit="s", description="From a request's head to the end of its answer"
        )

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        if not scope["path"].startswith("/api/"):
            signed = _Signed(send, trace.get_current_span())
            await self._app(scope, receive, signed)
        else:
            tracer = self._presence if scope["path"] == PRESENCE_PATH else self._api
            signed = await self._traced(tracer, scope, receive, send)
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"  # or strangers would make names up
        took_s = time.perf_counter() - started_s
        self._duration.record(took_s, {"http.request.method": method, "http.response.status_code": signed.status})

    async def _traced(
        self, tracer: trace.Tracer, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> "_Signed":
        span = tracer.start_span(
            scope["method"], kind=SpanKind.SERVER, attributes={"http.request.method": scope["method"]}
        )
        signed = _Signed(send, span)
        token = context.attach(trace.set_span_in_context(span))
        try:
            await self._app(scope, receive, signed)
        finally:
            context.detach(token)
            span.end()
        return signed


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
            own = self._span.get_span_context()
            request_id = f"{own.trace_id:032x}" if own.is_valid else secrets.token_hex(TRACE_ID_BYTES)
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
            span.update_name(f"{request.method} {request.url_rule.rule}")
            span.set_attribute("http.route", request.url_rule.rule)
