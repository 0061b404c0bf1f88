"""What strangers and other users get, on every route: generated from the table (RELIABILITY, attacks on REST)."""

import functools
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.route_table import ROUTES, UNKNOWN, Route, documented, path_of, variables_of
from tests.http.running import Web

CLOSED: Final = [route for route, decision in ROUTES.items() if decision.stranger == 401]

FORGED: Final = (b"", b"x", b"a.b.c", b"InRva2VuIg.aSQ.c2lnbmF0dXJl", b'"\\342"', b"\xff", b"x" * 4000)


@functools.cache
def document_of(url: str) -> Any:
    """The OpenAPI document of the web at `url`."""
    return httpx.get(f"{url}/api/openapi.json").json()


@dataclass
class Scene:
    """Ada shares a session with Bob, in a studio with tickets; Eve has an account, and no part in it."""

    web: Web
    ada: httpx.Client
    eve: httpx.Client
    values: dict[str, str]

    def ask(self, client: httpx.Client, method: str, rule: str, values: dict[str, str]) -> httpx.Response:
        decision = ROUTES[method, rule]
        path = path_of(rule, values)
        asked = decision.asked(values)
        is_read = method == "GET"
        if decision.file is not None:
            answer = client.post(path, data=asked, files={"file": ("bass.wav", decision.file)})
        elif decision.headers:
            answer = client.request(method, path, headers=decision.headers)
        else:
            answer = client.request(method, path, params=asked if is_read else None, json=None if is_read else asked)
        self._check_declared(method, rule, answer)
        return answer

    def _check_declared(self, method: str, rule: str, answer: httpx.Response) -> None:
        """What the API answers is in its document."""
        operations = document_of(self.web.url)["paths"].get(documented(rule))
        if method in ("HEAD", "OPTIONS"):
            return  # OpenAPI describes what has a body
        if operations is not None:
            assert str(answer.status_code) in operations[method.lower()]["responses"]
        else:
            assert not rule.startswith("/api/")

    def everything(self) -> list[object]:
        """All that there is of Ada's, as she sees it."""
        session = {"id": self.values["session_id"]}
        answers = [
            self.ada.get("/api/sessions", params=session),
            self.ada.get(f"/api/sessions/{session['id']}/collaborators"),
            self.ada.get("/api/presence", params={"roomId": session["id"]}),
        ]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json() for answer in answers]


@pytest.fixture(name="scene")
def open_scene(ticket_web: Web) -> Scene:
    ada, bob, eve = (ticket_web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "eve"))
    session = make(ada)
    share(ada, session, bob)
    here = {"roomId": session["id"], "memberId": "ada", "displayName": "Ada"}
    assert ada.post("/api/presence", json=here).status_code == 200
    ids = {"session_id": session["id"], "room_id": session["id"], "user_id": user_id(bob)}
    ticket_web.bus.published.clear()
    return Scene(ticket_web, ada, eve, ids)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_stranger_gets_what_is_decided(scene: Scene, route: Route) -> None:
    """401 in JSON or the way to the sign-in, and nothing of Ada's is shown or changed, nor any room told."""
    before = scene.everything()
    answer, decision = scene.ask(scene.web.client, *route, scene.values), ROUTES[route]
    assert answer.status_code == decision.stranger, answer.text
    if decision.stranger == 401 and route[0] != "HEAD":
        assert answer.json() == {"error": "Sign in first.", "code": "sign_in_required"}
    if decision.stranger == 302 and not route[1].startswith(("/api/", "/signout")):
        assert answer.headers["Location"].startswith("/signin?callbackUrl=%2F")
    _nothing_happened(scene, before, answer)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_another_user_gets_what_is_decided(scene: Scene, route: Route) -> None:
    """404, the very same as for what is not there, and nothing of Ada's is shown or changed, nor any room told."""
    before = scene.everything()
    answer, decision = scene.ask(scene.eve, *route, scene.values), ROUTES[route]
    assert answer.status_code == decision.other, answer.text
    _nothing_happened(scene, before, answer)
    asked = variables_of(route[1]) | set(decision.ask)
    if asked & {"session_id", "room_id", "roomId", "id"}:
        unknown = scene.ask(scene.eve, *route, dict.fromkeys(scene.values, UNKNOWN))
        assert (unknown.status_code, unknown.content) == (answer.status_code, answer.content)


@pytest.mark.parametrize("route", CLOSED, ids=" ".join)
def test_a_cookie_that_is_not_ours_is_none(scene: Scene, route: Route) -> None:
    """Forged, damaged or empty: a stranger's."""
    client = scene.web.new_client()
    for cookie in FORGED:
        client.headers = httpx.Headers([(b"Cookie", b"omnisonic=" + cookie)])
        answer = scene.ask(client, *route, scene.values)
        assert is_refused(answer), cookie


@pytest.mark.parametrize("route", CLOSED, ids=" ".join)
def test_a_sign_in_that_has_ended_is_none(scene: Scene, route: Route) -> None:
    """A copied cookie is dead once its sign-in is."""
    scene.web.do(scene.web.database.row("DELETE FROM logins"))
    answer = scene.ask(scene.ada, *route, scene.values)
    assert is_refused(answer)


def is_refused(answer: httpx.Response) -> bool:
    """As a stranger is. An answer to HEAD has no body."""
    is_told = answer.request.method == "HEAD" or answer.json()["code"] == "sign_in_required"
    return answer.status_code == 401 and is_told


def _nothing_happened(scene: Scene, before: list[object], answer: httpx.Response) -> None:
    assert scene.everything() == before
    assert scene.values["user_id"] not in answer.text
    assert "ada@example.com" not in answer.text
    assert [event for event in scene.web.bus.events if getattr(event, "room", None) is not None] == []
