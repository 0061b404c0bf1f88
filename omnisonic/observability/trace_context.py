"""The trace context as text, which is passed from one process to another (W3C Trace Context, `traceparent`).

Events on the bus and rows for the worker carry it, so that one trace shows everything that a request has caused. It
comes only from our own processes; that of strangers is ignored (`omnisonic.http.core.request_ids`). Pure; costs about a
microsecond.
"""

from typing import Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Trace: TypeAlias = str
"""Such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`."""

_FIELD: Final = "traceparent"
_propagator: Final = TraceContextTextMapPropagator()


def current_trace() -> Trace | None:
    """The current trace and span. None outside of a trace."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(_FIELD)


def continued(trace: Trace | None) -> Context:
    """The context for a span that is a child of `trace`. Without a valid `trace` the span begins a new one."""
    return _propagator.extract({_FIELD: trace} if trace else {}, Context())
