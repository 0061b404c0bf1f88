"""A gateway that runs alone is scraped: all that the documents list as its own is there."""

import socket

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from omnisonic.observability.metrics import OF_GATEWAYS
from tests.cli.running import running


def test_a_scrape_of_a_gateway_has_all_of_its_metrics() -> None:
    """Without any setting; with no room yet, what rooms measure of themselves is not there yet."""
    with running("gateway", OTEL_SDK_DISABLED="false", OTEL_TRACES_EXPORTER="none") as gateway:
        url = gateway.printed(r"^ws(://127\.0\.0\.1:\d+)$")[1]
        answer = httpx.get(f"http{url}/metrics", timeout=10)
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
    assert {metric.prometheus_name for metric in OF_GATEWAYS.values()} <= set(found)
    assert (found["omnisonic_connections"], found["omnisonic_rooms"]) == (1, 0)


def test_a_gateway_that_measures_nothing_says_so() -> None:
    """`OTEL_METRICS_EXPORTER=none`."""
    with running("gateway", OTEL_SDK_DISABLED="false", OTEL_METRICS_EXPORTER="none") as gateway:
        url = gateway.printed(r"^ws(://127\.0\.0\.1:\d+)$")[1]
        answer = httpx.get(f"http{url}/metrics", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.timing
def test_a_collector_that_hangs_fails_no_stop() -> None:
    """The gateway ends in time with code 0; its log says that its last metrics are lost."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        with running("gateway", OTEL_SDK_DISABLED="false", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as gateway:
            gateway.printed(r"^ws://127\.0\.0\.1:\d+$")
            assert gateway.stop() == 0
        assert any("telemetry.not_sent" in line for line in gateway.lines)
