"""Spans leave the process without secrets, whoever put them there (SPEC 7)."""

from collections.abc import Mapping

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from omnisonic.observability.redacted_spans import CACHED_LENGTH, RedactedSpans

CANARY = "canary-4f1d"


class Watched:
    """A tracer, and what of its spans leaves the process."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(RedactedSpans(self._exporter)))
        self.tracer: Tracer = provider.get_tracer("test")

    def left(self, attributes: Mapping[str, AttributeValue]) -> ReadableSpan:
        """A span with these attributes, as it leaves."""
        self.tracer.start_span("work", attributes=attributes).end()
        return self.last()

    def last(self) -> ReadableSpan:
        return self._exporter.get_finished_spans()[-1]


def test_a_span_without_secrets_leaves_as_it_is() -> None:
    """Attributes of every kind."""
    attributes: dict[str, AttributeValue] = {
        "room": "jam", "members": 3, "share": 0.5, "open": True, "sizes": (1, 2), "names": ("ada", "bo"),
    }  # fmt: skip
    watched = Watched()
    assert dict(watched.left(attributes).attributes or {}) == attributes
    assert dict(watched.left(attributes | {"ticket": "x"}).attributes or {}) == attributes | {"ticket": "***"}


def test_what_is_called_a_secret_is_hidden() -> None:
    """By the attribute's name."""
    left = Watched().left({"ticket": CANARY, "http.request.header.cookie": [CANARY], "room": "jam"})
    assert CANARY not in left.to_json()
    assert dict(left.attributes or {})["room"] == "jam"


def test_what_looks_like_a_secret_is_hidden() -> None:
    """Wherever in a value it stands, and however long that is."""
    watched = Watched()
    for value in (
        f"http://a/api/auth/callback/github?code={CANARY}&state={CANARY}",
        f"postgresql://omnisonic:{CANARY}@db/omnisonic",
        f"Cookie: omnisonic={CANARY}",
        f"Authorization: Bearer {CANARY}",
        "x" * CACHED_LENGTH + f" ticket={CANARY}",
    ):
        assert CANARY not in watched.left({"about": value, "several": [value]}).to_json()


def test_an_exception_is_told_without_the_secret_that_it_quotes() -> None:
    """In its message, in its traceback, and in the span's status; the rest of it stays."""
    watched = Watched()
    span = watched.tracer.start_span("work")
    _fail(span)
    left = watched.last()
    assert CANARY not in left.to_json()
    assert left.status.status_code is StatusCode.ERROR
    (event,) = left.events
    assert (event.attributes or {})["exception.type"] == "ValueError"
    assert "cannot reach" in str((event.attributes or {})["exception.message"])


def test_a_span_keeps_its_place_in_the_trace() -> None:
    """Ids, parent, links, name, kind, times and scope: all but what is hidden."""
    watched = Watched()
    with watched.tracer.start_as_current_span("outer") as outer:
        links = [Link(outer.get_span_context())]
        inner = watched.tracer.start_span("inner", links=links, attributes={"ticket": CANARY}, start_time=7)
        inner.end(9)
    _, left = watched.last(), watched._exporter.get_finished_spans()[0]
    assert left.context == inner.get_span_context()
    assert left.parent == outer.get_span_context()
    assert (left.name, left.start_time, left.end_time) == ("inner", 7, 9)
    assert [link.context for link in left.links] == [outer.get_span_context()]
    assert left.instrumentation_scope is not None
    assert left.instrumentation_scope.name == "test"


def _fail(span: Span) -> None:
    problem = ValueError(f"cannot reach redis://:{CANARY}@10.0.0.5")
    span.record_exception(problem)
    span.set_status(Status(StatusCode.ERROR, str(problem)))
    span.end()
