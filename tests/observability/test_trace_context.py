"""The trace context crosses between processes as text, and nothing else passes for one (W3C Trace Context)."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from omnisonic.observability.trace_context import continued, current_trace

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_outside_of_any_trace_there_is_none() -> None:
    """And so nothing is written down."""
    assert current_trace() is None


def test_what_is_written_down_here_is_gone_on_with_there() -> None:
    """The span there is a child of the one here."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("here") as here:
        text = current_trace()
    assert text is not None
    there = tracer.start_span("there", continued(text))
    assert there.get_span_context().trace_id == here.get_span_context().trace_id
    assert trace.get_current_span(continued(text)).get_span_context().span_id == here.get_span_context().span_id


def test_it_is_read_as_w3c_writes_it() -> None:
    """With the flag that says whether it is recorded."""
    context = trace.get_current_span(continued(TRACE)).get_span_context()
    assert (f"{context.trace_id:032x}", f"{context.span_id:016x}") == (TRACE[3:35], TRACE[36:52])
    assert context.trace_flags.sampled
    assert not trace.get_current_span(continued(TRACE[:-1] + "0")).get_span_context().trace_flags.sampled


@pytest.mark.parametrize(
    "text", [None, "", "nonsense", TRACE[:-4], TRACE.replace("4bf92f", "xyzxyz"), "00-" + "0" * 32]
)
def test_what_is_none_begins_a_trace_of_its_own(text: str | None) -> None:
    """Also where another one goes on at the moment."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("around") as around:
        span = tracer.start_span("own", continued(text))
    assert span.get_span_context().trace_id != around.get_span_context().trace_id
