"""What clients of the original system send, and what its pages read, where it costs nothing to understand them."""

from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from omnisonic.settings.settings import Settings
from tests.http.api.test_sessions import make
from tests.http.running import Web
from tests.http.sounds import wav

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "from-the-original.md"


@pytest.fixture
def ada(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


def user_id(client: httpx.Client) -> str:
    """Who they are, as the list of sessions says."""
    listed: dict[str, Any] = client.get("/api/sessions").json()
    return str(listed["currentUserId"])


def test_a_single_session_comes_with_the_id_of_who_asks(web: Web, ada: httpx.Client) -> None:
    """Of whoever made it just now, and of whoever looks at it: so a page knows whether it is theirs."""
    made = ada.post("/api/sessions", json={"name": "Night jam"}).json()
    assert made["currentUserId"] == user_id(ada) == made["session"]["owner"]["id"]
    invite = ada.post(f"/api/sessions/{made['session']['id']}/invites").json()["url"]
    bo = web.sign_up("bo@example.com")
    assert bo.post(f"/api{httpx.URL(invite).path}").status_code == 200
    for client in (ada, bo):
        found = client.get("/api/sessions", params={"id": made["session"]["id"]}).json()
        assert set(found) == {"session", "currentUserId"}
        assert found["currentUserId"] == user_id(client)
    assert user_id(ada) != user_id(bo)


@pytest.mark.parametrize(("sent", "taken"), [("WAV", "wav"), ("Flac", "flac"), ("mp3", "mp3")])
def test_the_format_of_a_mixdown_may_be_in_any_case(ada: httpx.Client, sent: str, taken: str) -> None:
    """It is answered in lower case."""
    asked = ada.post("/api/export", json={"sessionId": make(ada)["id"], "format": sent})
    assert (asked.status_code, asked.json()["format"]) == (202, taken)


@pytest.mark.parametrize("sent", ["ogg", "", 1, None])
def test_a_format_that_there_is_not_is_refused(ada: httpx.Client, sent: object) -> None:
    """It never becomes a WAV that nobody asked for."""
    asked = ada.post("/api/export", json={"sessionId": make(ada)["id"], "format": sent})
    assert (asked.status_code, asked.json()["code"]) == (400, "invalid_format")


def test_an_upload_is_removed_by_a_post_as_well(web: Web, ada: httpx.Client) -> None:
    """By whoever may remove it, and once."""
    upload = ada.post("/api/upload", files={"file": ("bass.wav", wav(0.1))}).json()["upload"]
    path = f"/api/upload/{upload['id']}/delete"
    assert web.sign_up("eve@example.com").post(path).status_code == 404
    assert ada.post(path, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    removed = ada.post(path)
    assert (removed.status_code, removed.json()) == (200, {"ok": True})
    assert ada.get(f"/api/upload/{upload['id']}").status_code == 404
    assert ada.post(path).status_code == 404


@pytest.mark.parametrize(("level", "meant"), [("trace", "debug"), ("warn", "warning"), ("Fatal", "error")])
def test_the_level_of_logs_may_be_called_as_in_node(level: str, meant: str) -> None:
    """So a LOG_LEVEL of the original stays as it is."""
    assert Settings.load({"LOG_LEVEL": level}).log_level == meant


def test_the_document_tells_of_all_that_is_understood() -> None:
    """Those who come look there."""
    text = DOCUMENT.read_text()
    for word in ("`currentUserId`", "`POST /api/upload/{id}/delete`", "in any case", "`warn`"):
        assert word in text
