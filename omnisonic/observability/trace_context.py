"""The trace context as text, for what crosses from one process to another (W3C Trace Context, `traceparent`).

It goes with events on the bus and with rows that a worker takes, so that one trace holds all that a request has led to.
It is our own processes' word: what strangers send is not believed (`omnisonic.http.core.request_ids`). Pure; costs
about a microsecond.
"""

from typing import Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Trace: TypeAlias = str
"""Such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`."""

_FIELD: Final = "traceparent"
_propagator: Final = TraceContextTextMapPropagator()


def current_trace() -> Trace | None:
    """The trace, and the span in it, in which this is asked; None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(_FIELD)


def continued(trace: Trace | None) -> Context:
    """The context in which a span is a child of `trace`; without one, or with what is none, it begins a new trace."""
    return _propagator.extract({_FIELD: trace} if trace else {}, Context())
