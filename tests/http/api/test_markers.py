"""Markers over REST: set, renamed, moved, removed, undone, and told to the room (SPEC 3)."""

from typing import Any, Final

import httpx
import pytest

from tests.http.api.test_activity import newest, said
from tests.http.api.test_sessions import make
from tests.http.route_table import UNKNOWN
from tests.http.running import Web

HOWS: Final = ("added", "changed", "removed")


@pytest.fixture
def ada(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com", name="Ada")


@pytest.fixture
def path(ada: httpx.Client) -> str:
    return f"/api/sessions/{make(ada)['id']}/markers"


def listed(ada: httpx.Client, path: str) -> list[dict[str, Any]]:
    markers: list[dict[str, Any]] = ada.get(path).json()["markers"]
    return markers


def test_markers_are_set_changed_and_removed(web: Web, ada: httpx.Client, path: str) -> None:
    """In the order of their beats. The room is told of each change: the marker as it is then."""
    session = path.split("/")[3]
    chorus = ada.post(path, json={"name": " Chorus ", "atBeat": 64, "endBeat": 96}).json()["marker"]
    verse = ada.post(path, json={"name": "Verse", "atBeat": 16.5}).json()["marker"]
    assert set(chorus) == {"id", "sessionId", "name", "atBeat", "endBeat", "createdAt", "updatedAt"}
    assert chorus == chorus | {"sessionId": session, "name": "Chorus", "atBeat": 64, "endBeat": 96}
    assert (verse["atBeat"], verse["endBeat"]) == (16.5, None)
    assert listed(ada, path) == [verse, chorus]
    place = f"{path}/{chorus['id']}"
    moved = ada.patch(place, json={"atBeat": 0, "endBeat": 32}).json()["marker"]
    pointed = ada.patch(place, json={"name": "Intro", "endBeat": None}).json()["marker"]
    assert (moved["name"], moved["atBeat"], moved["endBeat"]) == ("Chorus", 0, 32)
    assert (pointed["name"], pointed["atBeat"], pointed["endBeat"]) == ("Intro", 0, None)
    for same in ({}, {"name": "Intro", "atBeat": 0, "endBeat": None}):
        assert ada.patch(place, json=same).json()["marker"] == pointed
    assert listed(ada, path) == [pointed, verse]
    assert ada.delete(place).json() == {"ok": True}
    assert listed(ada, path) == [verse]
    told = said(web, *(f"marker.{how}" for how in HOWS))
    assert [payload for _, _, payload in told] == [
        chorus, verse, moved, pointed, {"markerId": chorus["id"], "sessionId": session},
    ]  # fmt: skip


def test_what_is_done_to_a_marker_is_undone(web: Web, ada: httpx.Client, path: str) -> None:
    """Its name, its place as a whole, its removal, and the undo of that; the room is told of the change that it is."""
    session = path.split("/")[3]
    first = ada.post(path, json={"name": "Chorus", "atBeat": 64, "endBeat": 96}).json()["marker"]
    place = f"{path}/{first['id']}"
    ada.patch(place, json={"name": "Bridge"})
    renamed = newest(ada, session)
    for beat in (16, 24, 32):
        ada.patch(place, json={"atBeat": beat, "endBeat": None})
    moved = newest(ada, session)
    assert (renamed["field"], renamed["before"], renamed["after"]) == ("name", "Chorus", "Bridge")
    assert (moved["kind"], moved["field"], moved["before"], moved["after"]) == (
        "marker.changed", "place", [64, 96], [32],
    )  # fmt: skip
    ada.delete(place)
    removed = newest(ada, session)
    assert (removed["kind"], removed["field"], moved["subjectName"]) == ("marker.removed", "removed", "Bridge")
    refused = ada.post(moved["undo"]["url"])
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_undo")
    web.bus.published.clear()
    for event in (removed, moved, renamed):
        answer = ada.post(event["undo"]["url"])
        assert answer.status_code == 200, answer.text
    (now,) = listed(ada, path)
    assert {**now, "updatedAt": None} == {**first, "updatedAt": None}
    kinds = [kind for _, kind, _ in said(web, *(f"marker.{how}" for how in HOWS))]
    assert kinds == ["marker.added", "marker.changed", "marker.changed"]
    again = ada.get(f"/api/sessions/{session}/activity").json()["events"][2]
    assert (again["kind"], again["undoes"]) == ("marker.restored", removed["id"])
    assert ada.post(again["undo"]["url"]).json()["event"]["kind"] == "marker.removed"
    assert listed(ada, path) == []
    assert said(web, "marker.removed")[-1][2] == {"markerId": first["id"], "sessionId": session}


def test_what_no_marker_can_be_is_refused(web: Web, ada: httpx.Client, path: str) -> None:
    """Each with its code. A session has at most 200, those that come back by an undo included."""
    made = ada.post(path, json={"name": "Chorus", "atBeat": 64, "endBeat": 96}).json()["marker"]
    for wrong, code in (
        ({"atBeat": 1}, "invalid_name"),
        ({"name": "", "atBeat": 1}, "invalid_name"),
        ({"name": "x" * 65, "atBeat": 1}, "invalid_name"),
        ({"name": "x\ny", "atBeat": 1}, "invalid_name"),
        ({"name": "x"}, "invalid_at_beat"),
        ({"name": "x", "atBeat": -0.5}, "invalid_at_beat"),
        ({"name": "x", "atBeat": 1_000_001}, "invalid_at_beat"),
        ({"name": "x", "atBeat": 8, "endBeat": 8.2}, "invalid_end_beat"),
        ({"name": "x", "atBeat": 8, "endBeat": 4}, "invalid_end_beat"),
    ):
        answer = ada.post(path, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, code), wrong
    answer = ada.patch(f"{path}/{made['id']}", json={"atBeat": 96})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_end_beat")
    for unknown in (UNKNOWN, "none"):
        answer = ada.patch(f"{path}/{unknown}", json={"atBeat": 1})
        assert (answer.status_code, answer.json()["code"]) == (404, "marker_not_found")
    ada.delete(f"{path}/{made['id']}")
    session = path.split("/")[3]
    insert = "INSERT INTO markers (session_id, name, at_beat) SELECT $1, n::text, n FROM generate_series(1, 200) n"
    web.do(web.database.row(insert, session))
    full = [ada.post(path, json={"name": "x", "atBeat": 1}), ada.post(newest(ada, session)["undo"]["url"])]
    assert [(each.status_code, each.json()["code"]) for each in full] == [(409, "too_many_markers")] * 2
    assert len(listed(ada, path)) == 200
