"""`/healthz` says that the process lives, `/readyz` that it can work (SPEC 3)."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omnisonic.stores.storage.local import LocalStorage
from tests.http.running import Web, running_web


def test_a_live_process_says_so_whatever_else_is_broken(web: Web) -> None:
    """Liveness does not depend on the store."""
    web.presence.trouble.kind = web.bus.trouble.kind = "hung"
    answer = web.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})


def test_a_ready_process_has_sent_itself_a_message(web: Web) -> None:
    """Readiness goes through the bus, on a channel of its own each time."""
    answers = [web.client.get("/readyz") for _ in range(2)]
    assert [answer.json() for answer in answers] == [
        {"ok": True, "checks": {"database": "ok", "presence": "ok", "bus": "ok", "storage": "ok"}}
    ] * 2
    assert len({event.channel for event in web.bus.published}) == 2


@pytest.mark.parametrize("part", ["presence", "bus"])
@pytest.mark.parametrize(("kind", "why"), [("down", "Nobody is home."), ("hung", "No answer within 1 s.")])
def test_a_process_that_cannot_work_is_not_ready(web: Web, part: str, kind: str, why: str) -> None:
    """503 with the broken check named, and the others still told."""
    (web.presence if part == "presence" else web.bus).trouble.kind = kind
    answer = web.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False,
        "error": f"Not ready: {part} cannot be reached.",
        "code": "unavailable",
        "checks": {"database": "ok", "presence": "ok", "bus": "ok", "storage": "ok", part: why},
    }
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_process_without_its_database_is_not_ready() -> None:
    """503, and the others are still told."""
    with running_web() as web:
        answer = web.client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]) == (503, "Not ready: database cannot be reached.")
    assert answer.json()["checks"] == {
        "database": "The database does not answer now. Try again in a moment.",
        "presence": "ok",
        "bus": "ok",
        "storage": "ok",
    }


def test_a_process_without_its_storage_is_not_ready(tmp_path: Path, database_url: str) -> None:
    """503: a file is where the folder should be."""
    (tmp_path / "uploads").write_text("")
    storage = LocalStorage(tmp_path / "uploads")
    with running_web(database_url=database_url, storage=storage) as web:
        answer = web.client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]) == (503, "Not ready: storage cannot be reached.")
    assert answer.json()["checks"]["storage"] == "The studio's storage does not work now. Ask whoever runs it."
    assert str(tmp_path) not in answer.text


def test_many_who_ask_at_once_share_one_probe(web: Web) -> None:
    """Twenty requests while the store hangs all end with the one probe, in about its second."""
    web.presence.trouble.kind = "hung"
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: web.client.get("/readyz"), range(20)))
    assert {answer.status_code for answer in answers} == {503}
    assert len(web.bus.published) < 20


@pytest.mark.timing
def test_a_process_whose_gateway_stands_still_is_not_ready(database_url: str) -> None:
    """503 that names it, within the time that its callers have."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        gateway = {"GATEWAY_PORT": str(mute.getsockname()[1])}
        with running_web(gateway, database_url=database_url) as web:
            began_s = time.monotonic()
            answer = web.client.get("/readyz")
            assert time.monotonic() - began_s < 3
    assert (answer.status_code, answer.json()["error"]) == (503, "Not ready: gateway cannot be reached.")
    assert answer.json()["checks"]["gateway"] == "No answer within 1.5 s."
