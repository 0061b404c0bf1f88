"""Log lines: one an event, readable in development, JSON in production, and never a secret."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from omnisonic.observability.log_lines import as_json_line
from omnisonic.observability.logs import configure_logs
from omnisonic.redaction import redacted, redacted_text
from omnisonic.settings.settings import Settings

CANARY = "c4n4ry"


@pytest.fixture
def root() -> Iterator[None]:
    """Puts back what pytest itself set up."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    hooks = threading.excepthook, sys.unraisablehook
    yield
    threading.excepthook, sys.unraisablehook = hooks
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def development(root: None) -> io.StringIO:
    """Where the log lines of a process in development end up."""
    stream = io.StringIO()
    configure_logs(Settings.load({}), "gateway", stream=stream)
    return stream


@pytest.fixture
def production(root: None) -> io.StringIO:
    """Where the log lines of a process in production end up."""
    stream = io.StringIO()
    configure_logs(Settings.load({"OMNISONIC_ENV": "production"}), "gateway", stream=stream)
    return stream


@pytest.fixture(params=["text", "json"])
def either(root: None, request: pytest.FixtureRequest) -> io.StringIO:
    """Where the log lines of a process end up, in each format."""
    stream = io.StringIO()
    configure_logs(Settings.load({"LOG_FORMAT": request.param}), "gateway", stream=stream)
    return stream


def only_line(stream: io.StringIO) -> str:
    """The one line that was written."""
    [line] = stream.getvalue().splitlines()
    return line


def only_object(stream: io.StringIO) -> dict[str, Any]:
    """The one JSON object that was written."""
    parsed: dict[str, Any] = json.loads(only_line(stream))
    return parsed


def test_an_event_in_development_is_a_line_that_people_can_read(development: io.StringIO) -> None:
    """Time, level, event, fields; what holds a space is quoted."""
    logging.getLogger("omnisonic.test").info("room.crashed", extra={"room": "late jam", "members": 8, "reason": ""})
    clock, level, rest = only_line(development).split(maxsplit=2)
    assert clock.count(":") == 2
    assert level == "INFO"
    assert rest == 'room.crashed room="late jam" members=8 reason=""'


def test_an_event_in_production_is_one_json_object(production: io.StringIO) -> None:
    """Machines find the same fields under the same names."""
    logging.getLogger("omnisonic.test").warning("room.crashed", extra={"room": "late jam", "members": 8})
    line = only_object(production)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "part": "gateway",
        "logger": "omnisonic.test",
        "event": "room.crashed",
        "room": "late jam",
        "members": 8,
    }


@pytest.mark.parametrize("break_", ["\n", "\r", "\x0b", "\x1b[31m", "\u2028", "\x85", "\u202e"])
def test_a_name_cannot_pretend_to_be_another_line(development: io.StringIO, break_: str) -> None:
    """Members choose their names; a log must not believe them."""
    name = f"Ada{break_}12:00:00.000 INFO forged"
    logging.getLogger("omnisonic.test").info("joined", extra={"member": name})
    logging.getLogger("omnisonic.test").info(f"joined {name}")  # noqa: G004 - as careless code does
    assert break_ not in development.getvalue().replace("\n", "", 2).rstrip("\n")
    assert len(development.getvalue().splitlines()) == 2


def test_names_in_any_script_stay_readable(development: io.StringIO) -> None:
    """Only what cannot be printed is escaped."""
    logging.getLogger("omnisonic.test").info("joined", extra={"member": "Zoë", "band": "東京 trio"})
    assert 'member=Zoë band="東京 trio"' in only_line(development)


def test_an_exception_is_part_of_its_events_line(development: io.StringIO) -> None:
    """What was raised, and where, innermost first."""
    try:
        int("x")
    except ValueError:
        logging.getLogger("omnisonic.test").exception("room.crashed")
    line = only_line(development)
    assert "error=\"ValueError: invalid literal for int() with base 10: 'x'\"" in line
    assert "test_logs.py:" in line


def test_an_exception_in_production_has_its_whole_traceback(production: io.StringIO) -> None:
    """In one field of one line."""
    try:
        int("x")
    except ValueError:
        logging.getLogger("omnisonic.test").exception("room.crashed")
    line = only_object(production)
    assert line["error"].startswith("ValueError: ")
    assert line["traceback"].startswith("Traceback (most recent call last):")


def test_a_line_within_a_span_carries_its_ids(production: io.StringIO) -> None:
    """A log line leads to its trace."""
    with TracerProvider().get_tracer("test").start_as_current_span("ws.message") as span:
        logging.getLogger("omnisonic.test").info("said")
    line = only_object(production)
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert line["span_id"] == f"{span.get_span_context().span_id:016x}"


def test_a_line_outside_of_spans_has_no_ids(production: io.StringIO) -> None:
    """Rather than zeros."""
    logging.getLogger("omnisonic.test").info("said")
    assert "trace_id" not in only_object(production)


def test_a_thread_that_crashes_is_a_line_too(production: io.StringIO) -> None:
    """Python would print a traceback of many lines."""
    thread = threading.Thread(target=int, args=("x",), name="the hand")
    thread.start()
    thread.join()
    line = only_object(production)
    assert (line["event"], line["thread_name"], line["level"]) == ("thread.crashed", "the hand", "error")
    assert line["error"].startswith("ValueError: ")


def test_what_cannot_be_raised_is_a_line_too(production: io.StringIO) -> None:
    """As of an object that fails while it is forgotten."""

    class Falls:
        def __del__(self) -> None:
            raise ValueError("too late")

    Falls()
    assert only_object(production)["error"] == "ValueError: too late"


@pytest.mark.parametrize(("level", "reported"), [("debug", 4), ("INFO", 3), ("warning", 2), ("error", 1)])
def test_a_log_tells_as_much_as_it_is_told_to(root: None, level: str, reported: int) -> None:
    """`LOG_LEVEL`, in any case."""
    stream = io.StringIO()
    configure_logs(Settings.load({"LOG_LEVEL": level}), "gateway", stream=stream)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("omnisonic.test").log(number, "said")
    assert len(stream.getvalue().splitlines()) == reported


@pytest.mark.parametrize(
    ("environ", "is_json"),
    [
        ({}, False),
        ({"LOG_FORMAT": "json"}, True),
        ({"OMNISONIC_ENV": "production"}, True),
        ({"OMNISONIC_ENV": "production", "LOG_FORMAT": "text"}, False),
    ],
)
def test_production_logs_json_unless_it_is_told_otherwise(environ: dict[str, str], is_json: bool) -> None:
    """`LOG_FORMAT` goes before."""
    assert Settings.load(environ).logs_json is is_json


@pytest.mark.parametrize("text", ["FATAL:  it is over", "{not json", '["no object"]', "12:M 27 Nov", "", "{" * 9999])
def test_what_others_write_becomes_a_json_line(text: str) -> None:
    """Whatever it looks like; its own words are in it."""
    line = json.loads(as_json_line("postgres", text))
    assert (line["part"], line["event"], line["text"]) == ("postgres", "output", text)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("FATAL:  terminating connection", "critical"),
        ("LOG:  ready", "info"),
        ("DEBUG1:  x", "debug"),
        ("7:M 27 Nov 2026 01:32:59.745 # WARNING Memory overcommit", "warning"),
        ("7:M 27 Nov 2026 01:32:59.745 * Ready to accept connections", "info"),
    ],
)
def test_what_servers_say_keeps_its_level(text: str, level: str) -> None:
    """Postgres' words, Valkey's marks."""
    assert json.loads(as_json_line("postgres", text))["level"] == level


def test_what_is_json_already_stays_and_what_others_write_keeps_no_secret() -> None:
    """A part has taken its secrets out itself."""
    line = '{"event": "said"}'
    assert as_json_line("web", line) == line
    assert CANARY not in as_json_line("postgres", f"FATAL: postgresql://me:{CANARY}@host/x")


def test_warnings_of_pythons_own_are_lines_too(production: io.StringIO) -> None:
    """Nothing else may write to the stream."""
    logging.getLogger("py.warnings").warning("%s", "x.py:1: DeprecationWarning: old\n  old()\n")
    assert only_object(production)["logger"] == "py.warnings"


@pytest.mark.parametrize(
    "text",
    [
        f"redis://:{CANARY}@127.0.0.1:6379/0",
        f"cannot reach rediss://user:{CANARY}@host: refused",
        f"postgresql://u:p@ss{CANARY}@host/db",
        f"redis://u:{CANARY}/{CANARY}@host",
        f"GET /?roomId=jam&ticket={CANARY}&memberId=ada",
        f"ws://127.0.0.1:8080/?ticket={CANARY}",
        f"Sec-WebSocket-Protocol: omnisonic, ticket.{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"authorization=Basic {CANARY}",
        f"Cookie: a=1; session={CANARY}",
        f"Set-Cookie: session={CANARY}; HttpOnly",
        f"headers=[(b'cookie', b'session={CANARY}'), (b'host', b'x')]",
        f'{{"authorization": "Bearer {CANARY}"}}',
        f'{{"ticket": "{CANARY}", "url": "ws://x"}}',
        f"{{'password': '{CANARY}'}}",
        f"ADMIN_TOKEN={CANARY}",
        f"AWS secret_key: {CANARY}",
        f"GET /files/{CANARY}/take.wav",
        f"omnisonic={CANARY}",
        f"https://s3.example/stems/1?X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}",
    ],
)
def test_a_secret_in_text_is_hidden(either: io.StringIO, text: str) -> None:
    """Wherever it stands: in the event, its arguments, a field, an exception, and what that came of."""
    log = logging.getLogger("omnisonic.test")
    log.info(text)
    log.info("heard %s", text)
    log.info("heard", extra={"request": text, "nested": {"deep": [text], text: 1}, "bytes": text.encode()})
    log.error("failed", exc_info=RuntimeError(text))
    log.error("failed", exc_info=_chained(text))
    assert len(either.getvalue().splitlines()) == 5
    assert "***" in either.getvalue()
    assert CANARY not in either.getvalue()


def _chained(text: str) -> Exception:
    """An exception that came of another, in a group, with a note: each of them holds `text`."""
    crash = RuntimeError(text)
    crash.__cause__ = KeyError(text)
    crash.add_note(text)
    return ExceptionGroup(text, [crash])


@pytest.mark.parametrize(
    "name", ["ticket", "Authorization", "cookie", "set-cookie", "password", "admin_token", "github_client_secret"]
)
def test_a_secret_is_hidden_by_its_name(either: io.StringIO, name: str) -> None:
    """As a field, in a mapping, and as a header."""
    logging.getLogger("omnisonic.test").info(
        "heard", extra={name: CANARY, "headers": [(name.encode(), CANARY.encode())], "body": {name: [CANARY]}}
    )
    assert CANARY not in only_line(either)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:3000/?mail=ann@home",
        "ws://127.0.0.1:8080",
        "a ticket, please",
        "member ada@home joined at 12:30",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A log that hides everything tells nothing."""
    assert redacted_text(text) == text


def test_anything_else_is_searched_as_its_text() -> None:
    """Paths, sets, exceptions: whatever somebody logs."""
    assert redacted([{f"ticket={CANARY}"}, ValueError(f"ticket={CANARY}")]) == [["ticket=***"], "ticket=***"]


def test_numbers_and_absent_values_keep_their_type() -> None:
    """Log searches compare them."""
    assert redacted({"depth": 3, "ratio": 0.5, "open": True, "reason": None}) == {
        "depth": 3,
        "ratio": 0.5,
        "open": True,
        "reason": None,
    }
