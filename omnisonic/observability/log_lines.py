"""Lines of a log in JSON: what has no record of Python's logging, and what other programs have written (SPEC 7). Pure.

A line is one object with `time`, `level`, `part`, `logger`, `event` and the event's own fields; no secret is in it.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from omnisonic.redaction import redacted, redacted_text

LEVELS: Final = {
    "DEBUG": "debug",
    "WARNING": "warning",
    "ERROR": "error",
    "FATAL": "critical",
    "PANIC": "critical",
    "#": "warning",
}
"""What Postgres and Valkey say before a message, and what that is here; all else is `info`."""

_POSTGRES: Final = re.compile(r"(DEBUG|WARNING|ERROR|FATAL|PANIC)\d?:\s")
_VALKEY: Final = re.compile(r"\d+:[A-Z] .{20,30} ([.*#-]) ")


def json_line(part: str, event: str, fields: Mapping[str, object], *, level: str = "info") -> str:
    """One event as a line, without its end."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": at, "level": level, "part": part, "logger": "omnisonic", "event": redacted_text(event)}
    return json.dumps(line | {name: redacted(value, name=name) for name, value in fields.items()}, default=str)


def as_json_line(part: str, text: str) -> str:
    """A line that `part` has written: as it is when it is an object, otherwise in one, as the event `output`."""
    if text.startswith("{") and _is_object(text):
        return text
    found = _POSTGRES.match(text) or _VALKEY.match(text)
    level = LEVELS.get(found[1], "info") if found else "info"
    return json_line(part, "output", {"text": text}, level=level)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
