"""A gateway's spans and metrics, as the OpenTelemetry SDK gets them (SPEC 7). In a process of their own."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.actors.telemetry_probe import SECRET, TRACE, Measured

DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def probe() -> Any:
    """What `telemetry_probe` printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.actors.telemetry_probe"], capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


def test_one_message_in_a_hundred_has_a_span(probe: Any) -> None:
    """A thousand messages, about ten spans, which say which room it was and for how many."""
    spans = probe["spans"]["messages"]
    assert 8 <= len(spans) <= 10
    assert {span["name"] for span in spans} == {"ws.message"}
    assert {span["tracer"] for span in spans} == {"realtime-gateway"}
    assert spans[0]["attributes"] == {"room": "jam", "messages": 1, "members": 2}
    assert all(0 <= span["took_s"] < 5 for span in spans)


def test_a_burst_of_messages_is_not_a_burst_of_spans(probe: Any) -> None:
    """At most fifty samples a second: a thousand messages within a few milliseconds have one, or very few."""
    assert 1 <= len(probe["spans"]["burst"]) <= 1 + 50 * probe["took_s"]["burst"]


def test_every_crash_has_a_span(probe: Any) -> None:
    """With the exception, and marked as an error."""
    (span,) = probe["spans"]["crash"]
    assert (span["name"], span["status"], span["events"]) == ("ws.message", "ERROR", ["exception"])


def test_a_crash_is_logged_within_its_span(probe: Any) -> None:
    """So that the line in the log leads to the trace, and back."""
    (span,) = probe["spans"]["crash"]
    assert probe["log"][0]["event"] == "room.crashed"
    assert probe["log"][0]["trace_id"] == span["trace"]


def test_what_is_told_from_outside_is_a_span_in_the_trace_of_whoever_told_it(probe: Any) -> None:
    """Every one of it, whatever its fate; what comes without a trace is sampled like all else."""
    cue, poison, crash = probe["spans"]["told"]
    outside = int(TRACE.split("-")[2], 16)
    assert [(span["name"], span["parent"]) for span in (cue, poison)] == [("ws.message", outside)] * 2
    assert {span["trace"] for span in (cue, poison)} == {TRACE.split("-")[1]}
    assert cue["attributes"] == {"room": "jam", "type": "cue", "members": 2}
    assert (cue["status"], poison["status"], poison["events"]) == ("UNSET", "ERROR", ["exception"])
    assert (crash["status"], crash["parent"]) == ("ERROR", None)


def test_a_connection_has_a_span_with_its_close_inside(probe: Any) -> None:
    """As long as the connection lasted."""
    close, connection = probe["spans"]["connection"]
    assert (connection["name"], close["name"]) == ("ws.connection", "ws.close")
    assert close["parent"] == connection["id"]
    assert close["attributes"] == {"code": 4008, "reason": "too_slow"}
    assert close["took_s"] == 0
    assert connection["took_s"] == pytest.approx(2.5, abs=0.01)


def test_no_span_shows_what_was_said(probe: Any) -> None:
    """Payloads are the members' business."""
    assert SECRET not in json.dumps(probe)


def test_every_number_of_a_gateway_is_a_metric(probe: Any) -> None:
    """Read anew at every collection, each under the prefix `omnisonic.`."""
    first, second = probe["metrics"]
    gauges = {name.removeprefix("omnisonic.") for name in first} - {"fan_out.duration"}
    assert gauges == set(Measured().measure())
    assert (first["omnisonic.connections"], second["omnisonic.connections"]) == (1.0, 3.0)
    sampled = len(probe["spans"]["messages"]) + len(probe["spans"]["burst"])
    assert first["omnisonic.fan_out.duration"] == sampled
