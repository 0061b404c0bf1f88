"""Alert rules and dashboard: Prometheus' own tool takes them, and they ask for metrics that there are (SPEC 9)."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from omnisonic.actors.workers.peer_pages import UP
from omnisonic.cli.main import app
from omnisonic.observability.metrics import METRICS
from omnisonic.operations.monitoring import ALERTS, DASHBOARD, read_file

TOOL_S: Final = 30.0
OF_PROMETHEUS: Final = {
    "up",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
RATES: Final = "5m"
"""What Grafana may put in for `$__rate_interval`."""
HAPPENED: Final = """
rule_files: [alerts.yml]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      - {series: 'up{job="omnisonic-gateway",instance="rooms"}', values: '1x3 0x10'}
      - {series: 'up{job="omnisonic-web",instance="pages"}', values: '1x20'}
      - {series: 'omnisonic_exports_waiting{job="omnisonic-web",instance="pages"}', values: '0x9 stale _x10'}
      - {series: 'omnisonic_room_restarts_total{job="omnisonic-gateway",instance="rooms"}', values: '0x3 1x1 _x9'}
      - {series: 'omnisonic_keep_lag_s_seconds{job="omnisonic-gateway",instance="rooms"}', values: '4x3 6x10'}
    alert_rule_test:
      - {eval_time: 2m, alertname: OmnisonicGatewayDown, exp_alerts: []}
      - eval_time: 3m30s
        alertname: OmnisonicGatewayDown
        exp_alerts:
          - exp_labels: {severity: critical, job: omnisonic-gateway, instance: rooms}
            exp_annotations:
              summary: The gateway rooms does not answer.
              description: Nobody can enter a room. It has ended, or something blocks it; its log says what.
      - {eval_time: 5m, alertname: OmnisonicWebDown, exp_alerts: []}
      - {eval_time: 4m, alertname: OmnisonicDatabaseDown, exp_alerts: []}
      - eval_time: 7m30s
        alertname: OmnisonicDatabaseDown
        exp_alerts:
          - exp_labels: {severity: critical, job: omnisonic-web, instance: pages}
            exp_annotations:
              summary: The database of pages does not answer.
              description: Requests get 503. Rooms go on for those who are in them. /readyz says what is broken.
      - {eval_time: 1m, alertname: OmnisonicRoomCrashes, exp_alerts: []}
      - eval_time: 2m
        alertname: OmnisonicRoomCrashes
        exp_alerts:
          - exp_labels: {severity: warning, job: omnisonic-gateway, instance: rooms}
            exp_annotations:
              summary: A room of rooms crashed.
              description: Nobody lost their connection. The message is kept as a dead letter; report the traceback.
      - {eval_time: 2m, alertname: OmnisonicKeptMessagesWait, exp_alerts: []}
      - eval_time: 3m30s
        alertname: OmnisonicKeptMessagesWait
        exp_alerts:
          - exp_labels: {severity: critical, job: omnisonic-gateway, instance: rooms}
            exp_annotations:
              summary: Kept messages have waited 6s to be written down.
              description: Those who sent them get no ack. Check the database.
"""
"""The gateway goes away, then the database of the web; before, a room crashed, and kept messages waited."""


def promtool(*arguments: str, folder: Path) -> str:
    """What Prometheus' tool says; it must not find fault."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is missing here (Debian: prometheus)")
    ended = subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True, timeout=TOOL_S, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return said


def alerts() -> list[tuple[str, str]]:
    """The name and the expression of each alert."""
    return re.findall(r"- alert: (\w+)\n(?:\s+#.*\n)?\s+expr: ((?:.|\n)+?)\n\s+(?:for|labels):", read_file(ALERTS))


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(read_file(DASHBOARD))["panels"]
    return found


def queries() -> list[str]:
    """All that the dashboard asks for."""
    return [target["expr"] for panel in panels() for target in panel.get("targets", [])]


def test_prometheus_takes_the_alert_rules(tmp_path: Path) -> None:
    """As they are printed."""
    (tmp_path / ALERTS).write_text(read_file(ALERTS))
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", ALERTS, folder=tmp_path)


def test_an_alert_fires_when_its_reason_is_there(tmp_path: Path) -> None:
    """A gateway that is down, first of all; and not before, or for another."""
    (tmp_path / ALERTS).write_text(read_file(ALERTS))
    (tmp_path / "happened.yml").write_text(HAPPENED)
    assert "SUCCESS" in promtool("test", "rules", "happened.yml", folder=tmp_path)


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    """Each as a rule, because that is what its tool reads."""
    rules = [{"record": f"panel:{number}", "expr": _filled_in(query)} for number, query in enumerate(queries())]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"SUCCESS: {len(queries())} rules found" in promtool("check", "rules", "queries.yml", folder=tmp_path)


def test_every_alert_is_explained() -> None:
    """In the table of docs/operating.md, and no other."""
    table = (Path(__file__).parents[2] / "docs/operating.md").read_text().partition("| alert | when |")[2]
    assert re.findall(r"`(Omnisonic\w+)`", table.partition("\n\n")[0]) == [alert for alert, _ in alerts()]


def test_only_metrics_that_there_are_are_asked_for() -> None:
    """By the names that `/metrics` answers with; and all of those that a scrape finds are on the dashboard."""
    scraped = {
        name
        for part in ("gateway", "web")
        for metric in METRICS[part]
        for name in (
            [f"{metric.prometheus_name}_{ending}" for ending in ("bucket", "count", "sum")]
            if metric.kind == "histogram"
            else [metric.prometheus_name]
        )
    }
    known = scraped | OF_PROMETHEUS | {"omnisonic_exports_waiting", UP}
    shown = {name for query in queries() for name in _metrics_in(query)}
    assert shown - known == set()
    assert {name for name in scraped if not name.endswith(("_count", "_sum"))} <= shown
    assert len(alerts()) > 10
    for alert, query in alerts():
        assert _metrics_in(query), alert
        assert _metrics_in(query) <= known, alert


def test_the_dashboard_is_whole() -> None:
    """Every panel has a number, a place and a title of its own, and asks the source that is chosen."""
    assert len({panel["id"] for panel in panels()}) == len({panel["title"] for panel in panels()}) == len(panels())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places)
    asked = {target["datasource"]["uid"] for panel in panels() for target in panel.get("targets", [])}
    assert asked == {"${datasource}"}


@pytest.mark.parametrize(("command", "name"), [("alerts", ALERTS), ("dashboard", DASHBOARD)])
def test_a_command_prints_the_file(command: str, name: str) -> None:
    """And nothing else, for a pipe."""
    printed = CliRunner().invoke(app, ["monitoring", command])
    assert (printed.exit_code, printed.stdout) == (0, read_file(name))


def _metrics_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:omnisonic_\w+|process_\w+|http_server_\w+|up)\b", query))


def _filled_in(query: str) -> str:
    return query.replace("$__rate_interval", RATES)
