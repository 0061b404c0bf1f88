"""What happened in a session, over REST: listed page by page, told to the room, and undone (SPEC 3)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import msgspec
import pytest

from omnisonic.stores.bus.events import RoomSaid
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.api.test_uploads import brought
from tests.http.route_table import UNKNOWN
from tests.http.running import Web

FIELDS: Final = {
    "id", "sessionId", "at", "actor", "kind", "field", "subjectId", "subjectName", "before", "after", "undoes",
    "undoneBy", "undo",
}  # fmt: skip
AT_ONCE: Final = 20


@pytest.fixture
def ada(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com", name="Ada")


@pytest.fixture
def bob(web: Web) -> httpx.Client:
    return web.sign_up("bob@example.com", name="Bob")


@pytest.fixture
def session(ada: httpx.Client, bob: httpx.Client) -> str:
    """Ada's, shared with Bob."""
    made = make(ada)
    share(ada, made, bob)
    return str(made["id"])


def happened(client: httpx.Client, session: str, **query: str) -> dict[str, Any]:
    """A page of what happened."""
    answer = client.get(f"/api/sessions/{session}/activity", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def newest(client: httpx.Client, session: str) -> dict[str, Any]:
    event: dict[str, Any] = happened(client, session, limit="1")["events"][0]
    return event


def said(web: Web, *kinds: str) -> list[tuple[str, str, Any]]:
    """What rooms were told of these kinds: room, type and payload."""
    events = [event for event in web.bus.events if isinstance(event, RoomSaid) and event.type in kinds]
    return [(event.room, event.type, msgspec.json.decode(event.payload)) for event in events]


def test_what_happens_is_described_and_told(web: Web, ada: httpx.Client, bob: httpx.Client, session: str) -> None:
    """Every property; the room is told of the same event."""
    upload = brought(ada, session=session)
    bob.patch(f"/api/upload/{upload['id']}", json={"gainDb": -6.5})
    moved = newest(ada, session)
    assert set(moved) == FIELDS
    assert moved == moved | {
        "sessionId": session,
        "actor": {"id": user_id(bob), "name": "Bob"},
        "kind": "upload.changed",
        "field": "gainDb",
        "subjectId": upload["id"],
        "subjectName": "bass",
        "before": 0,
        "after": -6.5,
        "undoes": None,
        "undoneBy": None,
        "undo": {"url": f"/api/sessions/{session}/activity/{moved['id']}/undo", "allowedTo": None},
    }
    assert said(web, "activity.added")[-1] == (session, "activity.added", moved)
    kinds = [event["kind"] for event in happened(ada, session)["events"]]
    assert kinds == ["upload.changed", "upload.added", "member.joined"]
    assert [event["kind"] for _, _, event in said(web, "activity.added")] == kinds[::-1]


def test_pages_follow_one_another(ada: httpx.Client, session: str) -> None:
    """All events once; the last page is full and has no cursor; a time is a cursor, too."""
    for bpm in range(121, 124):
        ada.patch(f"/api/sessions/{session}", json={"tempoBpm": bpm, "beatsPerBar": bpm - 118})
        ada.patch(f"/api/sessions/{session}", json={"name": f"Jam {bpm}"})
    everything = happened(ada, session)
    assert everything["nextBefore"] is None
    seen, query = [], {"limit": "2"}
    while True:
        page = happened(ada, session, **query)
        assert len(page["events"]) == 2
        seen += page["events"]
        if page["nextBefore"] is None:
            break
        query["before"] = page["nextBefore"]
    assert seen == everything["events"]
    assert happened(ada, session, before=everything["events"][0]["at"])["events"] == everything["events"][1:]


@pytest.mark.parametrize(
    ("query", "code"),
    [({"limit": "0"}, "invalid_limit"), ({"limit": "101"}, "invalid_limit"), ({"limit": "x"}, "invalid_limit"),
     ({"before": "yesterday"}, "invalid_before"), ({"before": "2026-13-01T00:00:00Z"}, "invalid_before")],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(
    ada: httpx.Client, session: str, query: dict[str, str], code: str
) -> None:
    """400, naming the parameter."""
    answer = ada.get(f"/api/sessions/{session}/activity", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("path", "change", "kind"),
    [("/api/upload/{upload}", {"gainDb": -6}, "upload.changed"),
     ("/api/sessions/{session}", {"tempoBpm": 97.5}, "session.updated")],
)  # fmt: skip
def test_an_undo_is_told_as_the_change_that_it_is(
    web: Web, ada: httpx.Client, bob: httpx.Client, session: str, path: str, change: dict[str, Any], kind: str
) -> None:
    """The room hears of the value, and of who has undone what."""
    upload = brought(bob, session=session)
    place = path.format(upload=upload["id"], session=session)
    before = said(web, kind)
    (field,) = change
    first = ada.patch(place, json=change).json()
    moved = newest(ada, session)
    answer = ada.post(moved["undo"]["url"])
    assert answer.status_code == 200
    event = answer.json()["event"]
    assert (event["undoes"], event["before"], event["after"]) == (moved["id"], change[field], moved["before"])
    (now,) = [payload for _, _, payload in said(web, kind)[len(before) + 1 :]]
    assert now[field] == moved["before"]
    assert {name: now[name] for name in now if name not in (field, "updatedAt", "owner")} == {
        name: next(iter(first.values()))[name] for name in now if name not in (field, "updatedAt", "owner")
    }
    if kind == "session.updated":
        # The room's own tempo follows, as it did to the change.
        assert said(web, "transport.set")[-1][2] == {"tempoBpm": 120, "beatsPerBar": 4}
    assert said(web, "activity.added")[-1] == (session, "activity.added", event)
    assert happened(ada, session)["events"][1]["undoneBy"] == {"id": user_id(ada), "name": "Ada"}


def test_a_removal_and_its_undo_are_told(web: Web, ada: httpx.Client, bob: httpx.Client, session: str) -> None:
    """As files that go and come; and undone again, it goes."""
    upload = brought(bob, session=session)
    ada.delete(f"/api/upload/{upload['id']}")
    for _ in range(2):
        assert ada.post(newest(ada, session)["undo"]["url"]).status_code == 200
    told = [(kind, payload.get("id", payload.get("uploadId"))) for _, kind, payload in said(
        web, "upload.added", "upload.removed"
    )]  # fmt: skip
    assert told == [(kind, upload["id"]) for kind in ("upload.added", "upload.removed") * 2]
    assert ada.get(f"/api/upload/{upload['id']}").status_code == 404


def test_who_may_not_make_a_change_may_not_undo_it(
    web: Web, ada: httpx.Client, bob: httpx.Client, session: str
) -> None:
    """Bob neither the owner's doings nor what is Ada's; a stranger and another user find nothing at all."""
    upload, eve = brought(ada, session=session), web.sign_up("eve@example.com")
    ada.patch(f"/api/sessions/{session}", json={"name": "Late jam"})
    ada.delete(f"/api/upload/{upload['id']}")
    removed, renamed, added = happened(bob, session)["events"][:3]
    for event, code in ((removed, "uploader_only"), (renamed, "owner_only")):
        refused = bob.post(event["undo"]["url"])
        assert (refused.status_code, refused.json()["code"]) == (403, code)
        assert event["undo"]["allowedTo"] == [user_id(ada)]
    place = f"/api/sessions/{session}/activity"
    cannot = bob.post(f"{place}/{added['id']}/undo")
    assert (cannot.status_code, cannot.json()["code"], added["undo"]) == (409, "cannot_undo", None)
    unknown = bob.post(f"{place}/{UNKNOWN}/undo")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "activity_not_found")
    for client, status in ((eve, 404), (web.client, 401)):
        assert client.get(place).status_code == status
        assert client.post(removed["undo"]["url"]).status_code == status
    assert happened(ada, session)["events"][0] == removed


def test_the_same_undo_many_times_at_once_is_done_once(ada: httpx.Client, bob: httpx.Client, session: str) -> None:
    """The others are told who has done it."""
    upload = brought(ada, session=session)
    bob.patch(f"/api/upload/{upload['id']}", json={"pan": 1})
    url = newest(ada, session)["undo"]["url"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: ada.post(url), range(AT_ONCE)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (AT_ONCE - 1)
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert refused == [{"error": "Ada has undone that already.", "code": "already_undone"}] * (AT_ONCE - 1)
    assert len([event for event in happened(ada, session)["events"] if event["undoes"]]) == 1


def test_what_was_changed_since_is_not_undone(ada: httpx.Client, bob: httpx.Client, session: str) -> None:
    """409, and the sentence says by whom."""
    upload = brought(ada, session=session)
    ada.patch(f"/api/upload/{upload['id']}", json={"gainDb": -6})
    url = newest(ada, session)["undo"]["url"]
    bob.patch(f"/api/upload/{upload['id']}", json={"gainDb": -3})
    answer = ada.post(url)
    assert (answer.status_code, answer.json()) == (
        409,
        {"error": "Bob has changed it since.", "code": "changed_since"},
    )
    assert ada.get(f"/api/upload/{upload['id']}").json()["upload"]["gainDb"] == -3


@pytest.mark.parametrize("trouble", ["down", "hung"])
def test_a_bus_that_does_not_answer_fails_nothing(web: Web, ada: httpx.Client, session: str, trouble: str) -> None:
    """The change and its event are there; only the room does not hear of it."""
    upload = brought(ada, session=session)
    web.bus.trouble.kind = trouble
    assert ada.patch(f"/api/upload/{upload['id']}", json={"gainDb": -6}).status_code == 200
    assert newest(ada, session)["after"] == -6
    assert ada.post(newest(ada, session)["undo"]["url"]).status_code == 200
    assert newest(ada, session)["after"] == 0
