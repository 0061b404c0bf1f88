"""OpenTelemetry's own instrumentations of asyncpg and redis: each call within a trace is a span of it (SPEC 7).

They come with the extra `instrumentation`, which pins OpenTelemetry to their version; without it this does nothing.
They record statements with placeholders and commands without arguments, so no values. Calls outside of a trace, such as
the polls of a worker, are not recorded. Call it once, before the clients are created.
"""

from importlib.util import find_spec

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased


class NamedStatements(SpanProcessor):
    """Names a span after the first word of its SQL, where the instrumentation takes a comment."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        statement = (span.attributes or {}).get("db.statement")
        if span.name.startswith("--") and isinstance(statement, str):
            words = (line.split(None, 1)[0] for line in statement.splitlines() if line and not line.startswith("--"))
            span.update_name(next(words, "SQL"))


def instrument_libraries(resource: Resource, processor: SpanProcessor) -> None:
    """Send the spans of these libraries to `processor`, if their instrumentations are installed."""
    provider = TracerProvider(ParentBased(ALWAYS_OFF), resource, shutdown_on_exit=False)
    provider.add_span_processor(NamedStatements())
    provider.add_span_processor(processor)
    if _is_installed("asyncpg"):
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

        AsyncPGInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    if _is_installed("redis"):
        from opentelemetry.instrumentation.redis import RedisInstrumentor

        RedisInstrumentor().instrument(tracer_provider=provider)


def _is_installed(library: str) -> bool:
    try:
        return find_spec(f"opentelemetry.instrumentation.{library}") is not None
    except ModuleNotFoundError:
        return False
