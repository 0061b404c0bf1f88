"""Ids in capitals, as Swift and others write UUIDs, are the same ids everywhere (SPEC 3, RFC 9562)."""

from collections.abc import Iterator

import httpx
import pytest

from omnisonic.models.checks import plain_id
from omnisonic.stores.bus.events import RoleLost, RoomClosed
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.api.test_tus import begin
from tests.http.api.test_uploads import send
from tests.http.running import Web, running_web
from tests.http.sounds import wav

SOUND = wav(0.1)


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


@pytest.fixture(name="session")
def adas_session(ada: httpx.Client) -> str:
    return str(make(ada)["id"])


@pytest.fixture(name="ticket_web")
def web_with_tickets(database_url: str) -> Iterator[Web]:
    with running_web({"ROOM_ACCESS": "ticket"}, database_url=database_url) as web:
        yield web


def test_what_is_written_in_capitals_is_read_in_small_letters() -> None:
    """Only what is a UUID in its usual form: a room may be called anything else."""
    assert plain_id("0A1B2C3D-4E5F-4ABC-8DEF-0123456789AB") == "0a1b2c3d-4e5f-4abc-8def-0123456789ab"
    for other in ("JAM", "0A1B2C3D4E5F4ABC8DEF0123456789AB", "{0A1B2C3D-4E5F-4ABC-8DEF-0123456789AB}", ""):
        assert plain_id(other) == other


def test_a_session_is_changed_shared_and_deleted_by_its_id_in_capitals(
    web: Web, ada: httpx.Client, session: str
) -> None:
    """And the rooms are told of it by the id that they know."""
    bob = web.sign_up("bob@example.com")
    loud = session.upper()
    assert ada.patch(f"/api/sessions/{loud}", json={"name": "Jam"}).json()["session"]["id"] == session
    assert ada.get(f"/sessions/{loud}").status_code == 200
    share(ada, {"id": session}, bob)
    assert ada.get(f"/api/sessions/{loud}/collaborators").json()["collaborators"][0]["id"] == user_id(bob)
    invite = ada.post(f"/api/sessions/{loud}/invites").json()["id"]
    assert ada.delete(f"/api/sessions/{loud}/invites/{invite.upper()}").json() == {"ok": True}
    assert ada.delete(f"/api/sessions/{loud}/collaborators/{user_id(bob).upper()}").json() == {"ok": True}
    assert RoleLost(session, user_id(bob)) in web.bus.events
    assert ada.delete(f"/api/sessions/{loud}").json() == {"ok": True}
    assert RoomClosed(session) in web.bus.events


def test_an_upload_goes_into_a_session_by_its_id_in_capitals(ada: httpx.Client, session: str) -> None:
    """By form and by tus; it is read, listed, changed, drawn, fetched and removed the same way."""
    upload = send(ada, SOUND, session=session.upper()).json()["upload"]
    assert upload["sessionId"] == session
    begun = begin(ada, len(SOUND), sessionId=session.upper())
    assert begun.status_code == 201
    place = begun.headers["Location"].rpartition("/")
    headers = {"Tus-Resumable": "1.0.0"}
    assert ada.head(f"{place[0]}/{place[2].upper()}", headers=headers).headers["Upload-Offset"] == "0"
    path = f"/api/upload/{upload['id'].upper()}"
    (listed,) = ada.get("/api/upload/list", params={"sessionId": session.upper()}).json()["uploads"]
    assert listed["upload"]["id"] == upload["id"]
    assert ada.get(path).json()["upload"] == upload
    assert ada.patch(path, json={"pan": 1}).json()["upload"]["pan"] == 1
    assert ada.get(f"{path}/peaks").json()["code"] == "peaks_pending"
    assert ada.get(f"{path}/content").content == SOUND
    assert ada.delete(path).json() == {"ok": True}


def test_an_export_is_asked_for_by_ids_in_capitals(ada: httpx.Client, session: str) -> None:
    """The session's, and then its own."""
    send(ada, SOUND, session=session)
    made = ada.post("/api/export", json={"sessionId": session.upper()}).json()
    assert made["sessionId"] == session
    assert ada.get("/api/export", params={"id": made["exportId"].upper()}).json()["exportId"] == made["exportId"]
    assert len(ada.get("/api/export", params={"sessionId": session.upper()}).json()["exports"]) == 1
    assert ada.delete(f"/api/export/{made['exportId'].upper()}").json() == {"ok": True}


def test_a_room_is_entered_by_ids_in_capitals(ticket_web: Web) -> None:
    """The session's, and one's own as a member: ticket and roster say both as everybody knows them."""
    ada = ticket_web.sign_up("ada@example.com")
    session = make(ada)
    room, own = session["id"], session["owner"]["id"]
    answer = ada.post(f"/api/rooms/{room.upper()}/ticket", json={"memberId": own.upper()})
    assert f"roomId={room}&memberId={own}&" in answer.json()["url"]
    here = {"roomId": room.upper(), "memberId": own.upper()}
    assert ada.post("/api/presence", json=here | {"displayName": "Ada"}).json() == {"ok": True}
    (line,) = ada.get("/api/presence", params={"roomId": room}).json()["members"]
    assert line["memberId"] == own
    assert ada.request("DELETE", "/api/presence", json=here).json() == {"ok": True}
    assert ada.get("/api/presence", params={"roomId": room.upper()}).json()["members"] == []
