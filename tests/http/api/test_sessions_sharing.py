"""Sharing a session: invites, collaborators, and what each may do (SPEC 3)."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from omnisonic.stores.bus.events import RoleLost, RoomSaid
from tests.http.api.test_sessions import listed, make
from tests.http.route_table import UNKNOWN
from tests.http.running import Web, running_web
from tests.postgres_server import PostgresServer, fresh_database


def invited(owner: httpx.Client, session: dict[str, Any]) -> str:
    """The path of a fresh invite's link."""
    answer = owner.post(f"/api/sessions/{session['id']}/invites", json={})
    assert answer.status_code == 201
    return httpx.URL(answer.json()["url"]).path


def accept(client: httpx.Client, link: str) -> httpx.Response:
    """Accept the invite with this path, as a program does."""
    return client.post(f"/api{link}")


def share(owner: httpx.Client, session: dict[str, Any], *others: httpx.Client) -> None:
    path = invited(owner, session)
    for other in others:
        answer = accept(other, path)
        assert (answer.status_code, answer.json()["session"]["id"]) == (200, session["id"])


def user_id(client: httpx.Client) -> str:
    return str(client.get("/api/sessions").json()["currentUserId"])


def test_an_invite_is_a_link_for_a_week(web: Web) -> None:
    """The link leads to this studio and holds a secret of at least 128 bits; the next one is another."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)
    links = [ada.post(f"/api/sessions/{session['id']}/invites", json={}).json() for _ in range(2)]
    for link in links:
        assert re.fullmatch(re.escape(web.url) + r"/invites/[\w-]{22,}", link["url"])
        ends_at = datetime.fromisoformat(link["expiresAt"])
        assert timedelta(days=6) < ends_at - datetime.now(UTC) <= timedelta(days=7)
    assert links[0]["url"] != links[1]["url"]


def test_an_invite_leads_to_the_public_address(postgres_process: PostgresServer) -> None:
    """With a NEXTAUTH_URL the link is that one's, whatever name this request came by."""
    environment = {"NEXTAUTH_URL": "http://studio.example:8443"}
    with fresh_database(postgres_process) as url, running_web(environment, database_url=url) as web:
        ada = web.sign_up("ada@example.com")
        link = ada.post(f"/api/sessions/{make(ada)['id']}/invites", json={}).json()["url"]
    assert link.startswith("http://studio.example:8443/invites/")


def test_whoever_accepts_the_invite_shares_the_session(web: Web) -> None:
    """They see it in their list, as an editor; the owner sees who they are, and stays the owner."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com", name="Bob")
    session = make(ada, "jam")
    assert bob.get("/api/sessions", params={"id": session["id"]}).status_code == 404
    share(ada, session, bob, bob, ada)
    ada_seen = {"id": user_id(ada), "name": "ada", "email": None, "image": None}
    assert listed(bob) == [session | {"role": "editor", "owner": ada_seen}]
    bob_seen = {"id": user_id(bob), "name": "Bob", "email": "bob@example.com", "image": None}
    for client, owner in ((ada, session["owner"]), (bob, ada_seen)):
        sharing = client.get(f"/api/sessions/{session['id']}/collaborators").json()
        assert sharing == {"owner": owner, "collaborators": [bob_seen | {"role": "editor"}]}
    assert ada.get("/api/sessions", params={"id": session["id"]}).json()["session"]["role"] == "owner"


def test_a_collaborator_may_not_do_what_the_owner_may(web: Web) -> None:
    """403 `owner_only` on every owner's act, and nothing is changed."""
    ada, bob, cy = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "cy"))
    session = make(ada)
    share(ada, session, bob, cy)
    path = f"/api/sessions/{session['id']}"
    web.bus.published.clear()
    refused = [
        bob.patch(path, json={"name": "mine"}),
        bob.delete(path),
        bob.post(f"{path}/invites", json={}),
        bob.get(f"{path}/invites"),
        bob.delete(f"{path}/invites"),
        bob.delete(f"{path}/invites/{UNKNOWN}"),
        bob.delete(f"{path}/collaborators/{user_id(cy)}"),
        bob.patch(f"{path}/collaborators/{user_id(cy)}", json={"role": "listener"}),
        bob.post(f"{path}/ownership", json={"userId": user_id(bob)}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "owner_only")] * 9
    assert ada.get("/api/sessions", params={"id": session["id"]}).json()["session"] == session
    assert not web.bus.published


def test_a_removed_collaborator_is_out_and_cannot_come_back_by_the_link(web: Web) -> None:
    """The session is 404 to them, their sockets are told to close, and the invite is taken back."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    session = make(ada)
    link = invited(ada, session)
    assert accept(bob, link).status_code == 200
    web.bus.published.clear()
    path = f"/api/sessions/{session['id']}/collaborators/{user_id(bob)}"
    assert ada.delete(path).json() == {"ok": True}
    lost, told = web.bus.events
    assert lost == RoleLost(session["id"], user_id(bob))
    assert isinstance(told, RoomSaid)
    assert (told.room, told.type) == (session["id"], "activity.added")
    assert bob.get("/api/sessions", params={"id": session["id"]}).status_code == 404
    assert accept(bob, link).status_code == 404
    again = ada.delete(path)
    assert (again.status_code, again.json()["code"]) == (404, "collaborator_not_found")


def test_a_collaborator_may_leave(web: Web) -> None:
    """Removing oneself needs nobody's leave, and the owner cannot remove themselves."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    path = f"/api/sessions/{session['id']}/collaborators"
    assert bob.delete(f"{path}/{user_id(bob)}").json() == {"ok": True}
    assert bob.get("/api/sessions").json()["sessions"] == []
    alone = ada.delete(f"{path}/{user_id(ada)}")
    assert (alone.status_code, alone.json()["code"]) == (404, "collaborator_not_found")


@pytest.mark.parametrize("act", ["delete", "remove"])
def test_of_fifty_who_do_it_at_once_one_succeeds(web: Web, act: str) -> None:
    """One 200, the others 404, and the rooms are told once, with who did it (RELIABILITY, fault 25)."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    path = f"/api/sessions/{session['id']}" + (f"/collaborators/{user_id(bob)}" if act == "remove" else "")
    web.bus.published.clear()
    with ThreadPoolExecutor(50) as pool:
        statuses = sorted(pool.map(lambda _: ada.delete(path).status_code, range(50)))
    assert statuses == [200] + [404] * 49
    assert len(web.bus.events) == 2
