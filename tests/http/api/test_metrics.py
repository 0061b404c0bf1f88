"""`/metrics` on the web: its own numbers, for programs on this machine and for who shows the token (SPEC 9)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from omnisonic.observability.exposition import Exposition
from omnisonic.observability.metrics import EXPORTS_WAITING, PROMETHEUS_TEXT, REQUESTS
from tests.http.api.test_sessions import make
from tests.http.running import NO_DATABASE, Web, running_web

TOKEN: Final = "a token of this test"
PASSED_ON: Final = {"X-Forwarded-For": "203.0.113.9"}


@contextmanager
def measured_web(settings: dict[str, str] | None = None, *, database_url: str = NO_DATABASE) -> Iterator[Web]:
    """A web whose metrics are its own."""
    exposition = Exposition()
    meters = MeterProvider([exposition.reader], shutdown_on_exit=False)
    with running_web(
        settings, database_url=database_url, meter_provider=meters, render_metrics=exposition.render
    ) as web:
        yield web


def numbers(answer: httpx.Response) -> dict[str, float]:
    """The values of the samples, by their names; of several with one name their sum."""
    assert answer.status_code == 200, answer.text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_a_scrape_counts_requests_and_the_mixdowns_that_wait(database_url: str) -> None:
    """By the names of the documents; a mixdown counts from when it is asked for."""
    with measured_web(database_url=database_url) as web:
        ada = web.sign_up("ada@example.com")
        session = make(ada)["id"]
        before = web.client.get("/metrics")
        assert before.headers["Content-Type"] == PROMETHEUS_TEXT
        assert before.headers["Cache-Control"] == "no-store"
        assert numbers(before)[EXPORTS_WAITING.prometheus_name] == 0
        assert ada.post("/api/export", json={"sessionId": session}).status_code == 202
        after = numbers(web.client.get("/metrics"))
    assert after[EXPORTS_WAITING.prometheus_name] == 1
    assert after[f"{REQUESTS.prometheus_name}_count"] == numbers(before)[f"{REQUESTS.prometheus_name}_count"] + 2


def test_without_the_database_the_other_numbers_are_there() -> None:
    """Nobody knows how many wait, so nothing is said of it."""
    with measured_web() as web:
        found = numbers(web.client.get("/metrics"))
    assert EXPORTS_WAITING.prometheus_name not in found
    assert "process_open_fds" in found


def test_what_a_proxy_passes_on_needs_the_token() -> None:
    """In JSON, as all that programs ask."""
    with measured_web() as web:
        answer = web.client.get("/metrics", headers=PASSED_ON)
        assert (answer.status_code, answer.json()["code"]) == (403, "loopback_only")
    with measured_web({"METRICS_TOKEN": TOKEN}) as web:
        for shown, code in (({}, "token_required"), ({"Authorization": "Bearer wrong"}, "invalid_token")):
            answer = web.client.get("/metrics", headers=PASSED_ON | shown)
            assert (answer.status_code, answer.json()["code"]) == (401, code)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        answer = web.client.get("/metrics", headers=PASSED_ON | {"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200


def test_where_nothing_is_measured_there_is_nothing_to_read(web: Web) -> None:
    """404; and the path is in no document of the API, because scrapers know what is there."""
    answer = web.client.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "/metrics" not in web.client.get("/api/openapi.json").json()["paths"]
