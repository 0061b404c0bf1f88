"""Structured logs on standard error: one line an event, never a secret (SPEC 7).

An event is a name and fields: `logging.getLogger(__name__).info("room.crashed", extra={"room": room})`. In
development a line is `12:30:01.250 INFO room.crashed room=jam`; in production, or with `LOG_FORMAT=json`, it is one
JSON object. Within a span the line has its `trace_id` and `span_id`. Every value passes through `omnisonic.redaction`.
Do not name an event `ticket.something`: it would be hidden as a ticket. Where a message says more than the name, for
programs that embed a gateway and log only messages, the name is in `extra={"event": …}`.

Overload: a process blocks when nobody reads its standard error; `omnisonic serve` always reads. Crash: the traceback of
an exception is on the line of its event. Shutdown: nothing is buffered, so nothing is lost.
"""

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from opentelemetry import trace

from omnisonic.redaction import redacted, redacted_text
from omnisonic.settings.settings import Settings

_log = logging.getLogger(__name__)

_OF_EVERY_RECORD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
    "event",
}
"""The attributes of every record. All others are fields of the event."""


class LineFormatter(logging.Formatter):
    """`12:30:01.250 INFO room.crashed room=jam`, for people. Escapes what could look like another line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "milliseconds")[11:23]
        fields = _fields(record)
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = redacted_text(_named(record.exc_info[1]))
            fields["at"] = _steps(record.exc_info[1])
        event = _unbroken(redacted_text(_event(record)))
        return " ".join([at, f"{record.levelname:<7}", event, *(f"{name}={_quoted(fields[name])}" for name in fields)])


class JsonFormatter(logging.Formatter):
    """One JSON object: `time` (ISO 8601, UTC), `level`, `part`, `logger`, `event`, then the event's fields."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {
            "time": at,
            "level": record.levelname.lower(),
            "part": self.part,
            "logger": record.name,
            "event": redacted_text(_event(record)),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = redacted_text(_named(record.exc_info[1]))
            line["traceback"] = redacted_text("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(line, default=str)


def configure_logs(settings: Settings, part: str, *, stream: TextIO | None = None) -> None:
    """Write every log record of this process as one line to `stream` (default: standard error).

    Python's warnings are logged, too, and exceptions that end a thread or cannot be raised. Another call replaces the
    last one's setup.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(part) if settings.logs_json else LineFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_crash
    sys.unraisablehook = _log_unraisable
    # It logs each request, and so do our own callers of it.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def log_is_json() -> bool:
    """Whether this process writes its log in JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _log_thread_crash(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None and not isinstance(crash.exc_value, SystemExit):
        name = None if crash.thread is None else crash.thread.name
        _log.error("thread.crashed", extra={"thread_name": name}, exc_info=crash.exc_value)


def _log_unraisable(ignored: "sys.UnraisableHookArgs") -> None:
    if ignored.exc_value is not None:
        _log.error("exception.ignored", extra={"where": repr(ignored.object)}, exc_info=ignored.exc_value)


def _event(record: logging.LogRecord) -> str:
    """The name of the event. A message that says more than its name has it in `event`."""
    name = record.__dict__.get("event")
    return name if isinstance(name, str) else record.getMessage()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, Any] = {
        name: redacted(value, name=name) for name, value in record.__dict__.items() if name not in _OF_EVERY_RECORD
    }
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        fields["trace_id"] = trace.format_trace_id(span.trace_id)
        fields["span_id"] = trace.format_span_id(span.span_id)
    return fields


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _steps(error: BaseException) -> str:
    """The traceback on one line, innermost first: `room.py:44 in handle < dispatcher.py:12 in run`."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}" for frame in reversed(frames)
    )


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if not text.isprintable():
        return json.dumps(text)
    if not text or (isinstance(value, str) and any(mark in text for mark in ' "=')):
        return json.dumps(text, ensure_ascii=False)
    return text


def _unbroken(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]
