"""JSON log lines for what does not come from Python's logging: events of `serve`, and output of servers (SPEC 7). Pure.

A line is one object with `time`, `level`, `part`, `logger`, `event` and the fields of the event, without secrets.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from omnisonic.redaction import redacted, redacted_text

LEVELS: Final = {
    "DEBUG": "debug",
    "LOG": "info",
    "INFO": "info",
    "NOTICE": "info",
    "WARNING": "warning",
    "ERROR": "error",
    "FATAL": "critical",
    "PANIC": "critical",
    "#": "warning",
    ".": "debug",
    "-": "info",
    "*": "info",
}
"""The prefixes of Postgres and Valkey, and their levels here."""
SEVERITY: Final = ("debug", "info", "warning", "error", "critical")
"""All levels, from the least to the most severe."""

_POSTGRES: Final = re.compile(r"(DEBUG|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC)\d?:\s")
_VALKEY: Final = re.compile(r"\d+:[A-Z] .{20,30} ([.*#-]) ")


def json_line(part: str, event: str, fields: Mapping[str, object], *, level: str = "info") -> str:
    """One event as a line, without the newline."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": at, "level": level, "part": part, "logger": "omnisonic", "event": redacted_text(event)}
    return json.dumps(line | {name: redacted(value, name=name) for name, value in fields.items()}, default=str)


def as_json_line(part: str, text: str) -> str:
    """A line of `part` as JSON: unchanged if it is an object, otherwise as the event `output`."""
    if text.startswith("{") and _is_object(text):
        return text
    return json_line(part, "output", {"text": text}, level=level_of(text) or "info")


def level_of(text: str) -> str | None:
    """The level of a line of Postgres or Valkey; None for any other line."""
    found = _POSTGRES.match(text) or _VALKEY.match(text)
    return LEVELS[found[1]] if found else None


def is_logged(level: str, least: str) -> bool:
    """Whether a line of this level is logged, when `LOG_LEVEL` is `least`."""
    return SEVERITY.index(level) >= SEVERITY.index(least)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
