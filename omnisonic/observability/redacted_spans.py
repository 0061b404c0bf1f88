"""Removes secrets from spans before they leave the process (SPEC 7).

Our own spans hold none, but exceptions may quote their input, and libraries add what they like. It runs in the
exporting thread. Results are cached, because nearly all attributes repeat.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import Attributes, AttributeValue

from omnisonic.redaction import redacted, redacted_text

CACHED: Final = 2_048
CACHED_LENGTH: Final = 512
"""Longer values are not cached, because they rarely repeat."""


class RedactedSpans(SpanExporter):
    """Passes spans to `exporter` without their secrets."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([redacted_span(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def redacted_span(span: ReadableSpan) -> ReadableSpan:
    """The same span, without secrets in its attributes, events and status."""
    description, attributes = span.status.description, _attributes(span.attributes)
    if not span.events and description is None and attributes == dict(span.attributes or {}):
        return span  # nearly always
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[Event(event.name, _attributes(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, None if description is None else redacted_text(description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: _value(name, value) for name, value in (attributes or {}).items()}


def _value(name: str, value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        return _redact_cached(name, value) if len(value) <= CACHED_LENGTH else str(redacted(value, name=name))
    if isinstance(value, Sequence):
        return tuple(str(redacted(item, name=name)) for item in value) if _is_text(value) else value
    return value


def _is_text(values: Sequence[object]) -> bool:
    return any(isinstance(value, str) for value in values)


@lru_cache(CACHED)
def _redact_cached(name: str, value: str) -> str:
    return str(redacted(value, name=name))
