"""How often one may ask: bounded for each person and for each address, whatever becomes of the guard (SPEC 3)."""

import time
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from omnisonic.http.api.request_rates import RETRY_GUARD_S
from tests.http.api.test_sessions import make
from tests.http.conftest import emptied
from tests.http.running import Web, running_web
from tests.postgres_server import PostgresServer, fresh_database
from tests.valkey_server import ValkeyServer

LIMITS: Final = {
    "REST_RATE_PER_S": "0.5",
    "REST_BURST": "5",
    "REST_ADDRESS_RATE_PER_S": "0.25",
    "REST_ADDRESS_BURST": "12",
    "TRUSTED_PROXIES": "127.0.0.1",
}


@pytest.fixture(scope="module")
def shared_limited(postgres_process: PostgresServer) -> Iterator[Web]:
    with fresh_database(postgres_process) as url, running_web(LIMITS, database_url=url) as web:
        yield web


@pytest.fixture
def limited(shared_limited: Web) -> Web:
    """A web behind a proxy, where a person may ask five times and an address twelve times, and then seldom."""
    return emptied(shared_limited)


def ask(client: httpx.Client, times: int, *, address: str = "198.51.100.1", path: str = "/api/sessions") -> list[int]:
    """The statuses of so many requests from that address."""
    return [client.get(path, headers={"X-Forwarded-For": address}).status_code for _ in range(times)]


def test_a_person_is_told_to_wait_and_the_wait_is_true(limited: Web) -> None:
    """The sixth request is 429 in JSON, by whatever sign-in and from wherever; after `Retry-After` it works, once."""
    one, two = limited.sign_up("ada@example.com"), limited.sign_up("ada@example.com")
    assert ask(one, 3) + ask(two, 2, address="198.51.100.2") == [200] * 5
    refused = two.get("/api/sessions", headers={"X-Forwarded-For": "198.51.100.3"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    wait_s = int(refused.headers["Retry-After"])
    assert wait_s == 2
    limited.clock.now_s += wait_s - 0.1
    assert ask(one, 1) == [429]
    limited.clock.now_s += 0.1
    assert ask(one, 2) == [200, 429]
    assert ask(limited.sign_up("bo@example.com"), 1) == [200]


def test_an_address_is_told_to_wait_with_all_who_are_behind_it(limited: Web) -> None:
    """Strangers and people alike; others are not kept out, and who is refused for it is not charged as a person."""
    ada = limited.sign_up("ada@example.com")
    assert ask(limited.client, 8) == [401] * 8
    assert ask(ada, 5) == [200] * 4 + [429]
    refused = limited.client.get("/", headers={"X-Forwarded-For": "198.51.100.1"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "4")
    assert refused.headers["Content-Type"].startswith("text/html")
    assert ask(ada, 2, address="198.51.100.2") == [200, 429]
    limited.clock.now_s += 4
    assert ask(limited.client, 2) == [401, 429]


def test_what_refused_changed_nothing(limited: Web) -> None:
    """A change that is one too many is not carried out."""
    ada = limited.sign_up("ada@example.com")
    assert [ada.post("/api/sessions", json={}).status_code for _ in range(7)] == [201] * 5 + [429] * 2
    assert limited.do(limited.database.row("SELECT count(*) FROM sessions"))[0] == 5  # type: ignore[index]


@pytest.mark.parametrize(
    "path", ["/healthz", "/static/0123456789abcdef/studio.css", "/client/omnisonic.js", "/files/signed/bass.wav"]
)
def test_health_styles_and_signed_files_do_not_count(limited: Web, path: str) -> None:
    """However many are asked for, they are answered, and nothing is used up."""
    assert 429 not in ask(limited.client, 20, path=path)
    assert ask(limited.client, 12) == [401] * 12


def test_a_studio_page_with_twelve_stems_never_meets_the_limit(web: Web) -> None:
    """With the settings that nobody changed, a person may open it five times at once."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)["id"]
    stems = [f"/api/upload/list?sessionId={session}"] * 12
    page = [f"/sessions/{session}", f"/api/sessions/{session}/collaborators", *stems, *stems]
    assert {ada.get(path).status_code for path in page * 5} == {200}


def test_without_the_guard_there_is_a_bound_and_the_studio_works(database_url: str, valkey: ValkeyServer) -> None:
    """Each process counts by itself then; when the guard is back, it counts for all again."""
    limits = LIMITS | {"REST_RATE_PER_S": "0.001", "REST_ADDRESS_RATE_PER_S": "0"}
    with (
        running_web(limits, database_url=database_url, redis_url=valkey.url) as one,
        running_web(limits, database_url=database_url, redis_url=valkey.url) as two,
    ):
        ada = one.sign_up("ada@example.com")
        assert ask(ada, 3) == [200] * 3
        cookies = ada.cookies
        there = two.new_client()
        there.cookies = cookies
        assert ask(there, 3) == [200, 200, 429], "two processes count together"
        valkey.kill()
        for client in (ada, there):
            assert ask(client, 6) == [200] * 5 + [429]
        valkey.start()
        deadline_s = time.monotonic() + 2 * RETRY_GUARD_S
        with valkey.client as server:
            while not server.keys("omnisonic:guard:whole:*"):
                assert time.monotonic() < deadline_s
                ask(there, 1)


def test_an_ended_sign_in_counts_as_a_stranger(limited: Web) -> None:
    """By its address alone: it is nobody's."""
    ada = limited.sign_up("ada@example.com")
    limited.do(limited.database.row("DELETE FROM logins"))
    assert ask(ada, 13) == [401] * 12 + [429]
