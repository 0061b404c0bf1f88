"""`/api/sessions`: making, listing, changing and deleting music sessions (SPEC 3)."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import msgspec
import pytest

from omnisonic.identity.logins import LoginCookies, new_token
from omnisonic.models import PresenceMember
from omnisonic.stores.bus.events import RoomClosed, RoomSaid
from omnisonic.stores.presence import Lease
from tests.http.running import SECRET, Web, running_web

JSON: Final = {"Content-Type": "application/json"}
OF_LISTS: Final = {"lastActivityAt", "unread", "seenAt", "coverUploadId"}
"""What only lists say of a session."""
NO_SESSION: Final = "00000000-0000-4000-8000-00000000dead"


def make(client: httpx.Client, name: str | None = None) -> dict[str, Any]:
    answer = client.post("/api/sessions", json={} if name is None else {"name": name})
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()["session"]
    return session


def test_whoever_makes_a_session_owns_it(web: Web) -> None:
    """The answer is the whole session: the owner's own view, empty, at 120 in four."""
    ada = web.sign_up("ada@example.com", name="Ada")
    session = make(ada, "  Friday jam ")
    made_at = datetime.fromisoformat(session.pop("createdAt"))
    assert abs(datetime.now(UTC) - made_at) < timedelta(minutes=1)
    assert session.pop("updatedAt").endswith("Z")
    owner = session.pop("owner")
    assert owner == {"id": owner["id"], "name": "Ada", "email": "ada@example.com", "image": None}
    assert session == {
        "id": session["id"],
        "name": "Friday jam",
        "tempoBpm": 120,
        "beatsPerBar": 4,
        "role": "owner",
        "participants": 0,
    }


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": ""}, {"name": " \t\u2003"}])
def test_a_session_without_a_name_is_untitled(web: Web, body: dict[str, Any]) -> None:
    """Absent, null or blank."""
    answer = web.sign_up("ada@example.com").post("/api/sessions", json=body)
    assert (answer.status_code, answer.json()["session"]["name"]) == (201, "Untitled")


def test_a_session_is_found_by_its_id(web: Web) -> None:
    """`?id=` gives it as it was made, also in capitals; what is no UUID of ours is that of no session."""
    ada = web.sign_up("ada@example.com")
    session = make(ada, "'; DROP TABLE sessions; --")
    for written in (session["id"], session["id"].upper()):
        answer = ada.get("/api/sessions", params={"id": written})
        found = {"session": session, "currentUserId": session["owner"]["id"]}
        assert (answer.status_code, answer.json()) == (200, found)
    for written in (session["id"].replace("-", ""), f"{{{session['id']}}}", session["id"] + " ", "", "1 OR 1=1", "%00"):
        assert ada.get("/api/sessions", params={"id": written}).status_code == 404


def listed(client: httpx.Client, **query: str) -> list[dict[str, Any]]:
    """The sessions in the list, without what only the list says of them."""
    sessions: list[dict[str, Any]] = client.get("/api/sessions", params=query).json()["sessions"]
    return [{name: each[name] for name in each if name not in OF_LISTS} for each in sessions]


def test_sessions_are_listed_newest_first(web: Web) -> None:
    """The list says who is asking, what is new in each session, and that there is no more."""
    ada = web.sign_up("ada@example.com")
    assert ada.get("/api/sessions").json()["sessions"] == []
    made = [make(ada, name) for name in "abc"]
    answer = ada.get("/api/sessions").json()
    assert answer == answer | {"currentUserId": made[0]["owner"]["id"], "nextBefore": None}
    assert listed(ada) == made[::-1]
    for session in answer["sessions"]:
        assert set(session) == set(made[0]) | OF_LISTS
        assert (session["lastActivityAt"], session["unread"]) == (session["createdAt"], 0)


def test_the_list_has_an_order_can_be_searched_and_says_what_is_new(web: Web) -> None:
    """By activity, page by page; what others do is new until it is seen."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    one, two, _ = [make(ada, name)["id"] for name in ("one jam", "two jam", "three")]
    invite = ada.post(f"/api/sessions/{one}/invites", json={}).json()["url"]
    assert bob.post(f"/api{httpx.URL(invite).path}").status_code == 200
    found = {"order": "activity", "q": " JAM ", "limit": "1"}
    first = ada.get("/api/sessions", params=found).json()
    second = ada.get("/api/sessions", params=found | {"before": first["nextBefore"]}).json()
    assert [page["sessions"][0]["id"] for page in (first, second)] == [one, two]
    assert (first["sessions"][0]["unread"], second["nextBefore"]) == (1, None)
    seen = [ada.post(f"/api/sessions/{one}/seen").json() for _ in range(2)]
    assert seen[1]["previouslySeenAt"] == seen[0]["seenAt"] > first["sessions"][0]["seenAt"]
    (now, _) = ada.get("/api/sessions", params={"q": "jam", "order": "activity"}).json()["sessions"]
    assert (now["unread"], now["seenAt"]) == (0, seen[1]["seenAt"])


def test_pages_stay_right_while_sessions_are_made(web: Web) -> None:
    """Following `nextBefore` gives every session once, whatever is made or deleted meanwhile."""
    ada = web.sign_up("ada@example.com")
    made = [make(ada, str(number)) for number in range(7)]
    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = ada.get("/api/sessions", params={"limit": 2, **before}).json()
        seen += [session["name"] for session in page["sessions"]]
        make(ada, "newer")
        ada.delete(f"/api/sessions/{made[-1]['id']}")
        if page["nextBefore"] is None:
            break
        before = {"before": page["nextBefore"]}
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


def test_a_time_is_a_place_in_the_list_too(web: Web) -> None:
    """`before` a session's `createdAt` lists those made earlier; before tomorrow lists all."""
    ada = web.sign_up("ada@example.com")
    first, second = make(ada, "first"), make(ada, "second")
    assert listed(ada, before=second["createdAt"]) == [first]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len(ada.get("/api/sessions", params={"before": tomorrow}).json()["sessions"]) == 2
    assert ada.get("/api/sessions?before=2999-02-31T23:59:59.999999Z").status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_limit"),
        ("limit=101", "invalid_limit"),
        ("limit=", "invalid_limit"),
        ("limit=1.0", "invalid_limit"),
        ("limit=%2B1", "invalid_limit"),
        ("limit=%D9%A3", "invalid_limit"),
        ("limit=1&limit=2", "invalid_limit"),
        ("limit=99999999999999999999", "invalid_limit"),
        ("before=", "invalid_before"),
        ("before=yesterday", "invalid_before"),
        ("before=2026-13-01T00:00:00Z", "invalid_before"),
        ("before=2026-01-01T00:00:00", "invalid_before"),
        ("before=2026-01-01T00:00:00Z_x", "invalid_before"),
        ("before=0000-01-01T00:00:00Z", "invalid_before"),
        ("before=%ff", "invalid_id"),
        ("order=name", "invalid_order"),
        ("q=" + "x" * 121, "invalid_q"),
        ("id=a&id=b", "invalid_id"),
    ],
)
def test_a_query_that_cannot_be_is_named(web: Web, query: str, code: str) -> None:
    """400 with the code of the parameter."""
    answer = web.sign_up("ada@example.com").get(f"/api/sessions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_an_owner_changes_what_they_say_and_nothing_else(web: Web) -> None:
    """What is absent or null stays; the room gets the session as everybody sees it, and its transport follows."""
    ada = web.sign_up("ada@example.com")
    session = make(ada, "jam")
    web.bus.published.clear()
    answer = ada.patch(f"/api/sessions/{session['id']}", json={"tempoBpm": 90.5, "beatsPerBar": 3, "name": None})
    changed = answer.json()["session"]
    assert answer.status_code == 200
    assert changed == session | {"tempoBpm": 90.5, "beatsPerBar": 3, "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > session["updatedAt"]
    renamed = ada.patch(f"/api/sessions/{session['id']}", json={"name": " Slow blues "}).json()["session"]
    assert (renamed["name"], renamed["tempoBpm"]) == ("Slow blues", 90.5)
    events = web.bus.events
    types = ["session.updated", "transport.set", *["activity.added"] * 2, "session.updated", "activity.added"]
    assert [(event.room, event.type) for event in events if isinstance(event, RoomSaid)] == [
        (session["id"], type_) for type_ in types
    ]
    assert isinstance(events[0], RoomSaid)
    assert isinstance(events[1], RoomSaid)
    assert _json(events[1]) == {"tempoBpm": 90.5, "beatsPerBar": 3}
    reported = _json(events[0])
    as_everybody_sees = changed | {"owner": changed["owner"] | {"name": "ada", "email": None}}
    assert reported == {key: value for key, value in as_everybody_sees.items() if key not in ("role", "participants")}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "n" * 121}, "invalid_name"),
        ({"name": "two\nlines"}, "invalid_name"),
        ({"name": "\u202eevil"}, "invalid_name"),
        ({"name": "\ud800"}, "invalid_name"),
        ({"name": 7}, "invalid_name"),
        ({"tempoBpm": 19.99}, "invalid_tempo_bpm"),
        ({"tempoBpm": 400.01}, "invalid_tempo_bpm"),
        ({"tempoBpm": "120"}, "invalid_tempo_bpm"),
        ({"tempoBpm": True}, "invalid_tempo_bpm"),
        ({"beatsPerBar": 0}, "invalid_beats_per_bar"),
        ({"beatsPerBar": 33}, "invalid_beats_per_bar"),
        ({"beatsPerBar": 3.5}, "invalid_beats_per_bar"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(web: Web, change: dict[str, Any], code: str) -> None:
    """400 with the code of the property, and the session is as it was. A new one is held to the same names."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)
    answer = ada.patch(f"/api/sessions/{session['id']}", content=json.dumps({"beatsPerBar": 7, **change}), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert ada.get("/api/sessions", params={"id": session["id"]}).json()["session"] == session
    if "name" in change:
        assert ada.post("/api/sessions", content=json.dumps(change), headers=JSON).json()["code"] == "invalid_name"


def test_a_deleted_session_is_gone_and_its_room_closes(web: Web) -> None:
    """The room is told why first, then it is closed. Deleting once more is 404."""
    ada = web.sign_up("ada@example.com")
    room = make(ada)["id"]
    web.bus.published.clear()
    assert ada.delete(f"/api/sessions/{room}").json() == {"ok": True}
    said, closed = web.bus.events
    assert isinstance(said, RoomSaid)
    assert (said.room, said.type, _json(said)) == (room, "session.deleted", {"sessionId": room})
    assert closed == RoomClosed(room)
    for gone in (ada.delete(f"/api/sessions/{room}"), ada.get("/api/sessions", params={"id": room})):
        assert (gone.status_code, gone.json()["code"]) == (404, "session_not_found")


@pytest.mark.timing
def test_participants_are_counted_for_all_at_once(web: Web) -> None:
    """One round trip for a list; null when the roster does not answer, in good time."""
    ada = web.sign_up("ada@example.com")
    quiet, busy = make(ada), make(ada)
    for member in "xyz":
        web.presence.rooms.setdefault(busy["id"], {})[member] = Lease(PresenceMember(member, member), 60)
    rounds = web.presence.rounds
    listed = ada.get("/api/sessions").json()["sessions"]
    assert {session["id"]: session["participants"] for session in listed} == {quiet["id"]: 0, busy["id"]: 3}
    assert web.presence.rounds == rounds + 1
    assert ada.get("/api/sessions", params={"id": busy["id"]}).json()["session"]["participants"] == 3
    for kind in ("down", "hung"):
        web.presence.trouble.kind = kind
        before_s = time.monotonic()
        answers = ada.get("/api/sessions"), ada.get("/api/sessions", params={"id": busy["id"]})
        assert time.monotonic() - before_s < 2
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[1].json()["session"]["participants"] is None


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["down", "hung"])
def test_a_bus_that_does_not_answer_changes_nothing(web: Web, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is done is done: 200, a warning in the log, and the room was not told."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)
    web.bus.trouble.kind = kind
    before_s = time.monotonic()
    assert ada.patch(f"/api/sessions/{session['id']}", json={"name": "x"}).status_code == 200
    assert time.monotonic() - before_s < 3
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["room.not_notified"]


@pytest.mark.timing
def test_without_the_database_there_are_no_sessions_now() -> None:
    """503 with `Retry-After`, within two seconds, and not a wrong 401 or 404."""
    with running_web() as web:
        cookie = {"Cookie": "omnisonic=" + _cookie()}
        before_s = time.monotonic()
        answers = [
            web.client.get("/api/sessions", headers=cookie),
            web.client.get(f"/api/sessions?id={NO_SESSION}", headers=cookie),
            web.client.post("/api/sessions", json={}, headers=cookie),
        ]
        assert time.monotonic() - before_s < 2
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "unavailable")] * 3
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)


def _cookie() -> str:
    return LoginCookies(SECRET, secure=False).dump(new_token())


def _json(event: RoomSaid) -> Any:
    return msgspec.json.decode(event.payload)
