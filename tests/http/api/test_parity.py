"""The parity service: the sessions of the API on a store in memory, without sign-in (SPEC 3)."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from omnisonic.http.parity import GUEST, GUEST_LOGIN, create_parity_app
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.studio.sessions.memory import MemorySessions
from tests.http.api.test_sessions import make
from tests.http.running import CLIENT_TIMEOUT_S, Web, serving


@asynccontextmanager
async def _nothing_to_open() -> AsyncIterator[None]:
    yield


@contextlib.contextmanager
def running_parity() -> Iterator[httpx.Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    sessions = MemorySessions({GUEST_LOGIN: GUEST}.get)
    app = create_parity_app(Settings.load({}), sessions, MemoryPresence(), MemoryBus(), port=port)
    with (
        serving(app, listener, _nothing_to_open()),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=CLIENT_TIMEOUT_S) as client,
    ):
        yield client


@pytest.fixture
def parity() -> Iterator[httpx.Client]:
    with running_parity() as client:
        yield client


def test_it_lives(parity: httpx.Client) -> None:
    """`/healthz` as the web's."""
    assert parity.get("/healthz").json() == {"ok": True}


def test_what_is_made_is_listed_newest_first(parity: httpx.Client) -> None:
    """201 with the session, then exactly the sessions."""
    assert parity.get("/v1/sessions").json() == {"sessions": []}
    made = [parity.post("/v1/sessions", json={"name": name}) for name in (" one ", "two")]
    assert [answer.status_code for answer in made] == [201, 201]
    sessions = [answer.json()["session"] for answer in made]
    assert [session["name"] for session in sessions] == ["one", "two"]
    assert parity.get("/v1/sessions").json() == {"sessions": sessions[::-1]}
    assert parity.get("/v1/sessions", params={"limit": 1}).json() == {"sessions": sessions[1:]}


def test_a_session_has_the_same_shape_as_in_the_api(parity: httpx.Client, web: Web) -> None:
    """The same keys, in the same order, with values of the same types."""
    here = parity.post("/v1/sessions", json={"name": "jam"}).json()["session"]
    there = make(web.sign_up("ada@example.com", name="Ada"), "jam")
    assert list(here) == list(there)
    assert list(here["owner"]) == list(there["owner"])
    assert {key: type(value) for key, value in here.items()} == {key: type(value) for key, value in there.items()}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"name": 7}', 400, "invalid_name"),
        (b'{"name": "' + b"n" * 121 + b'"}', 400, "invalid_name"),
        (b'{"name": "' + b"n" * 70_000 + b'"}', 413, "payload_too_large"),
    ],
    ids=["no JSON", "no text", "long", "huge"],
)
def test_it_refuses_what_the_api_refuses(parity: httpx.Client, body: bytes, status: int, code: str) -> None:
    """The same status and code, and nothing is made."""
    answer = parity.post("/v1/sessions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert parity.get("/v1/sessions").json() == {"sessions": []}


def test_it_has_the_same_door(parity: httpx.Client) -> None:
    """Foreign hosts, foreign pages and forms stay outside; every answer is locked down, and in JSON."""
    answers = [
        (421, parity.get("/v1/sessions", headers={"Host": "evil.example"})),
        (403, parity.post("/v1/sessions", json={}, headers={"Origin": "https://evil.example"})),
        (415, parity.post("/v1/sessions", content=b"{}", headers={"Content-Type": "text/plain"})),
        (404, parity.get("/")),
        (404, parity.get("/api/sessions")),
        (405, parity.delete("/v1/sessions")),
    ]
    for status, answer in answers:
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.headers["X-Request-Id"]) == 32
    assert parity.get("/v1/sessions").json() == {"sessions": []}
