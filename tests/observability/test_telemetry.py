"""Where traces and metrics go, by the environment, and how much of them a person is shown (SPEC 7)."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context

from omnisonic import __version__
from omnisonic.errors import BadSettings
from omnisonic.observability.telemetry import (
    CONSOLE_LINES_PER_S,
    CONSOLE_TRACES_PER_S,
    ERROR_TYPE,
    FLUSH_S,
    FewRoots,
    LineExporter,
    Telemetry,
    configure_telemetry,
)
from omnisonic.settings.settings import Settings

DEADLINE_S = 30.0
EXIT_S = 2.0
"""How long Python takes to end, at most."""
PROGRAM = """
import io, json, sys, time
from opentelemetry import metrics, trace
from omnisonic.settings.settings import Settings
from omnisonic.observability.telemetry import configure_telemetry

environ, console = json.loads(sys.argv[1]), io.StringIO()
telemetry = configure_telemetry(Settings.load(environ), sys.argv[2], environ, console)
with trace.get_tracer("realtime-gateway").start_as_current_span("ws.message", attributes={"room": "jam"}) as span:
    is_recording = span.is_recording()
resource = getattr(trace.get_tracer_provider(), "resource", None)
json.dump({
    "recording": is_recording,
    "service": resource.attributes["service.name"] if resource else None,
    "instance": resource.attributes["service.instance.id"] if resource else None,
    "version": resource.attributes["service.version"] if resource else None,
    "meters": type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.sdk"),
    "scraped": telemetry.render_metrics is not None,
    "pushed": sys.modules.get("opentelemetry.exporter.otlp.proto.http.metric_exporter") is not None,
    "threads": sys.modules.get("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None,
    "stopped_at_s": time.monotonic(),
    **(telemetry.shutdown() or {}),
    "console": console.getvalue(),
}, sys.stdout)
"""


def configured(part: str = "gateway", **environ: str) -> Any:
    """What a process does with its telemetry in this environment."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(environ), part],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        env={**plain, **{name: value for name, value in environ.items() if name.startswith("OTEL_")}},
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


class Page:
    """A console and a clock."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.now_s = 50.0

    def lines(self) -> list[str]:
        """What was printed since the last look."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return text.splitlines()

    def tracer(self) -> Tracer:
        """A tracer whose spans are printed here at once."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(LineExporter(self.out, lambda: self.now_s)))
        return provider.get_tracer("test")


def test_a_span_is_one_line() -> None:
    """Its name, how long it took, its attributes, and the trace it belongs to."""
    page = Page()
    span = page.tracer().start_span("ws.message", start_time=1_000_000_000, attributes={"room": "jam", "members": 3})
    span.end(1_000_410_000)
    (line,) = page.lines()
    assert line == f"span ws.message 0.41 ms room='jam' members=3 trace={span.get_span_context().trace_id:032x}"


def test_a_span_that_failed_says_so() -> None:
    """With what it failed of."""
    page = Page()
    span = page.tracer().start_span("ws.message")
    span.set_status(Status(StatusCode.ERROR, "ValueError"))
    span.end()
    assert " failed='ValueError' " in page.lines()[0]


def test_an_attribute_cannot_forge_a_line() -> None:
    """A room's name is anybody's choice."""
    page = Page()
    page.tracer().start_span("ws.message", attributes={"room": "jam\nspan forged 0 ms"}).end()
    assert len(page.lines()) == 1


def test_more_lines_than_people_can_read_are_counted_instead() -> None:
    """So many a second; the count follows with the next second, and then there are lines again."""
    page = Page()
    tracer = page.tracer()
    for _ in range(CONSOLE_LINES_PER_S + 5):
        tracer.start_span("many").end()
    assert len(page.lines()) == CONSOLE_LINES_PER_S
    page.now_s += 1
    tracer.start_span("next").end()
    count, line = page.lines()
    assert count == "span (5 more, not shown)"
    assert line.startswith("span next ")
    page.now_s += 1
    tracer.start_span("later").end()
    assert len(page.lines()) == 1


def test_only_so_many_traces_a_second_are_recorded_for_the_console() -> None:
    """With all of their spans; and every one that has failed from the start."""
    now_s = 50.0
    tracer = TracerProvider(ParentBased(FewRoots(lambda: now_s)), shutdown_on_exit=False).get_tracer("test")
    roots = [tracer.start_span("request") for _ in range(CONSOLE_TRACES_PER_S + 5)]
    assert sum(root.is_recording() for root in roots) == CONSOLE_TRACES_PER_S
    assert tracer.start_span("inner", set_span_in_context(roots[0])).is_recording()
    assert not tracer.start_span("inner", set_span_in_context(roots[-1])).is_recording()
    failed = tracer.start_span("ws.message", attributes={ERROR_TYPE: "ValueError", "room": "jam"})
    assert failed.is_recording()
    now_s += 1
    assert tracer.start_span("request").is_recording()


def test_development_prints_spans() -> None:
    """Without any variable: to the console, under the part's name; metrics are there to be scraped."""
    result = configured()
    assert (result["recording"], result["service"], result["scraped"]) == (True, "omnisonic-gateway", True)
    assert result["console"].startswith("span ws.message ")
    assert "room='jam'" in result["console"]


@pytest.mark.parametrize("environ", [
    {"OMNISONIC_ENV": "production", "OTEL_METRICS_EXPORTER": "none"},
    {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    {"LOG_LEVEL": "warning", "OTEL_METRICS_EXPORTER": "none"},
    {"OTEL_SDK_DISABLED": "TRUE"},
    {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
])  # fmt: skip
def test_telemetry_that_goes_nowhere_costs_nothing(environ: dict[str, str]) -> None:
    """No span is recorded and nothing is printed."""
    result = configured(**environ)
    assert (result["recording"], result["meters"], result["console"]) == (False, False, "")
    assert not result["scraped"]


@pytest.mark.parametrize(
    "environ", [{}, {"OTEL_METRICS_EXPORTER": "prometheus"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_metrics_can_be_scraped_wherever_else_they_go(environ: dict[str, str]) -> None:
    """In production as well, by default, and beside OTLP."""
    result = configured(OMNISONIC_ENV="production", **environ)
    assert (result["meters"], result["scraped"]) == (True, True)
    assert result["pushed"] == ("OTEL_EXPORTER_OTLP_ENDPOINT" in environ)


@pytest.mark.parametrize("part", ["worker", "parity"])
def test_what_nobody_can_scrape_measures_nothing_by_default(part: str) -> None:
    """A worker has no port; with OTLP it measures."""
    result = configured(part)
    assert (result["meters"], result["scraped"]) == (False, False)


def test_traces_alone_may_go_somewhere() -> None:
    """By the variable for their own endpoint."""
    result = configured(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces", OMNISONIC_ENV="production")
    assert (result["recording"], result["pushed"], result["threads"]) == (True, False, True)


def test_several_processes_of_one_part_are_told_apart() -> None:
    """By an id of each; all say which version they are."""
    one, other = configured(), configured()
    assert one["version"] == other["version"] == __version__
    assert one["instance"] != other["instance"]


def test_a_secret_in_a_span_is_not_printed() -> None:
    """Whoever put it there."""
    page = Page()
    page.tracer().start_span("ask", attributes={"url": "/api/auth/callback/github?code=canary&state=canary"}).end()
    (line,) = page.lines()
    assert "canary" not in line


def test_an_operators_name_for_the_service_is_kept() -> None:
    """`OTEL_SERVICE_NAME` overrules ours."""
    assert configured(OTEL_SERVICE_NAME="stage-left")["service"] == "stage-left"


def test_production_prints_spans_when_told_to() -> None:
    """`OTEL_TRACES_EXPORTER` overrules the environment's default."""
    assert configured(OMNISONIC_ENV="production", OTEL_TRACES_EXPORTER="console")["console"].count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_METRICS_EXPORTER", "console")]
)
def test_an_exporter_that_there_is_not_is_refused_by_name(variable: str, value: str) -> None:
    """Nobody should look for traces in a place that they never went to."""
    with pytest.raises(BadSettings, match=f'{variable} is "{value}"'):
        configure_telemetry(Settings.load({}), "gateway", {variable: value})


@pytest.fixture(params=["refuses", "hangs"])
def broken_collector(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a collector that is not there, or that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if request.param == "hangs":
            yield f"http://127.0.0.1:{port}"
            return
    yield f"http://127.0.0.1:{port}"


@pytest.mark.timing
@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_a_collector_that_does_not_answer_holds_up_no_stop(broken_collector: str, part: str) -> None:
    """The process ends in time, without an error, although spans and metrics could not be sent."""
    stopped_at_s = configured(part, OTEL_EXPORTER_OTLP_ENDPOINT=broken_collector)["stopped_at_s"]
    assert time.monotonic() - stopped_at_s < FLUSH_S + EXIT_S


def test_what_fails_at_the_stop_is_logged_and_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A part whose metrics cannot be closed has stopped in order nevertheless."""

    class Failing(MeterProvider):
        def shutdown(self, timeout_millis: float = 0) -> None:
            raise OSError("no space")

    Telemetry(None, Failing(shutdown_on_exit=False)).shutdown()
    assert [record.message for record in caplog.records] == ["telemetry.not_sent"]
