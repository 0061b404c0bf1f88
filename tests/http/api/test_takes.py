"""Takes over REST: a file arrives as another take by form or tus, is chosen, and the room hears of all that changes."""

from typing import Any

import httpx
import pytest

from tests.http.api.test_activity import newest
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share
from tests.http.api.test_tus import TUS, begin, begun, piece
from tests.http.api.test_uploads import SOUND, brought, published_events
from tests.http.route_table import UNKNOWN
from tests.http.running import Web


def take(client: httpx.Client, session: str, take_of: str, name: str = "bass 2.wav") -> httpx.Response:
    """Upload a file as another take."""
    fields = {"sessionId": session, "takeOf": take_of}
    return client.post("/api/upload", files={"file": (name, SOUND)}, data=fields)


def changes(web: Web, since: int) -> list[tuple[str, Any]]:
    """What the room was told of uploads: type and payload."""
    return [(kind, payload) for _, kind, payload in published_events(web)[since:]]


def test_takes_arrive_for_a_track_whose_first_upload_is_not_finished(web: Web) -> None:
    """As the passes of a loop do. Nobody else's unfinished upload will do, nor one of another session."""
    ada, bob = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob"))
    session = make(ada)
    share(ada, session, bob)
    here = {"size": len(SOUND), "sessionId": session["id"]}
    first = begun(ada, filename="bass.wav", **here)
    track = first.rpartition("/")[2]
    second = begun(ada, filename="bass take 2.wav", takeOf=track, **here)
    third = begun(ada, filename="bass take 3.wav", takeOf=second.rpartition("/")[2], **here)
    for other in (begin(bob, takeOf=track, **here), begin(ada, sessionId=make(ada)["id"], takeOf=track)):
        assert (other.status_code, other.json()["code"]) == (404, "track_not_found")
    for place in (first, second, third):
        assert piece(ada, place, 0, SOUND).status_code == 204
        upload = ada.get(f"/api/upload/{place.rpartition('/')[2]}").json()["upload"]
        assert (upload["takeOf"], upload["name"], upload["chosen"]) == (track, "bass", place == first)


def test_a_file_begins_where_its_uploader_says(web: Web) -> None:
    """From its first moment on, whichever way it comes; its list of what happened has no move."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)["id"]
    by_form = ada.post(
        "/api/upload",
        files={"file": ("bass.wav", SOUND)},
        data={"offsetSeconds": "2.5", "sessionId": session},
    ).json()["upload"]
    place = begun(ada, size=len(SOUND), sessionId=session, offsetSeconds="16.000001")
    about = ada.head(place, headers=TUS).headers["Upload-Metadata"]
    assert piece(ada, place, 0, SOUND).status_code == 204
    assert ada.head(place, headers=TUS).headers["Upload-Metadata"] == about
    by_tus = ada.get(f"/api/upload/{place.rpartition('/')[2]}").json()["upload"]
    assert [by_form["offsetSeconds"], by_tus["offsetSeconds"]] == [2.5, 16.000001]
    assert [(kind, payload["offsetSeconds"]) for kind, payload in changes(web, 0) if kind.startswith("upload.")] == [
        ("upload.added", 2.5),
        ("upload.added", 16.000001),
    ]
    assert newest(ada, session)["kind"] == "upload.added"


@pytest.mark.parametrize("wrong", [" ", "-1", "3600.1", "1e-9999", "nan", "inf", "1_0", "bar 3", "2,5", "9" * 400])
def test_a_place_that_is_none_is_refused_and_nothing_is_kept(web: Web, wrong: str) -> None:
    """By form and by tus, with the sentence that changing an upload has."""
    ada = web.sign_up("ada@example.com")
    by_form = ada.post("/api/upload", files={"file": ("bass.wav", SOUND)}, data={"offsetSeconds": wrong})
    by_tus = begin(ada, offsetSeconds=wrong)
    for answer in (by_form, by_tus):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_offset_seconds")
    assert by_form.json()["error"] == by_tus.json()["error"]
    assert ada.get("/api/upload/list").json()["uploads"] == []
    assert web.stored() == set()


def test_a_band_records_takes_and_chooses_one(web: Web) -> None:
    """From the first take to the bin; each upload that changes is told whole, and a choice is undone."""
    ada, bob = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob"))
    session = make(ada)
    room = session["id"]
    share(ada, session, bob)
    first = brought(ada, session=room)
    second = take(bob, room, first["id"].upper()).json()["upload"]
    assert (second["takeOf"], second["chosen"], second["name"]) == (first["id"], False, "bass")

    place = begun(bob, size=len(SOUND), filename="bass 3.wav", sessionId=room, takeOf=second["id"])
    about = bob.head(place, headers=TUS).headers["Upload-Metadata"]
    assert piece(bob, place, 0, SOUND).status_code == 204
    assert bob.head(place, headers=TUS).headers["Upload-Metadata"] == about
    third = bob.get(f"/api/upload/{place.rpartition('/')[2]}").json()["upload"]
    assert (third["takeOf"], third["chosen"]) == (first["id"], False)

    told = len(published_events(web))
    change = {"chosen": True, "offsetSeconds": 2.5, "fadeInSeconds": 0.01, "name": " Low end "}
    chosen = ada.patch(f"/api/upload/{third['id']}", json=change).json()["upload"]
    assert chosen == third | change | {"name": "Low end"}
    (_, itself), *others = changes(web, told)
    assert {kind for kind, _ in changes(web, told)} == {"upload.changed"}
    assert itself == chosen
    assert sorted(other["id"] for _, other in others) == sorted([first["id"], second["id"]])
    assert all(other in [u | {"name": "Low end", "chosen": False} for u in (first, second)] for _, other in others)

    fields = {event["field"]: event for event in ada.get(f"/api/sessions/{room}/activity").json()["events"]}
    choice = fields["chosen"]
    assert (choice["subjectId"], choice["before"], choice["after"]) == (first["id"], first["id"], third["id"])
    told = len(published_events(web))
    assert bob.post(choice["undo"]["url"]).status_code == 200
    assert [(payload["id"], payload["chosen"]) for _, payload in changes(web, told)] == [
        (first["id"], True), (third["id"], False),
    ]  # fmt: skip
    told = len(published_events(web))
    assert ada.delete(f"/api/upload/{first['id']}").status_code == 200
    assert ada.post(newest(ada, room)["undo"]["url"]).status_code == 200
    assert [(kind, payload.get("id")) for kind, payload in changes(web, told)] == [
        ("upload.removed", None), ("upload.changed", third["id"]),
        ("upload.added", first["id"]), ("upload.changed", third["id"]),
    ]  # fmt: skip
    alone = bob.patch(f"/api/upload/{second['id']}", json={"takeOf": None}).json()["upload"]
    assert (alone["takeOf"], alone["chosen"], alone["name"]) == (second["id"], True, "bass 2")


def test_while_the_bus_is_down_a_change_of_many_takes_asks_it_once(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever changes them: the track's name, a removal, and the undo of that. A bus that hangs costs time once."""
    ada = web.sign_up("ada@example.com")
    room = make(ada)["id"]
    first = brought(ada, session=room)
    second, _ = [take(ada, room, first["id"]).json()["upload"] for _ in range(2)]
    web.bus.trouble.kind = "down"
    assert ada.patch(f"/api/upload/{second['id']}", json={"name": "Low end", "chosen": True}).status_code == 200
    assert ada.delete(f"/api/upload/{second['id']}").status_code == 200
    assert ada.post(newest(ada, room)["undo"]["url"]).status_code == 200
    missed = [len(record.__dict__["events"]) for record in caplog.records if record.message == "room.not_notified"]
    # The uploads that have changed, and the activity.
    assert missed == [3 + 2, 2 + 1, 2 + 1]


def test_what_is_no_track_of_the_session_is_refused(web: Web) -> None:
    """By form, by tus, and for what is there; nothing is left of a file. So is a trim that leaves nothing."""
    ada = web.sign_up("ada@example.com")
    session, elsewhere = make(ada)["id"], brought(ada, session=make(ada)["id"])
    upload = brought(ada, session=session)
    for unknown in (UNKNOWN, "bass", elsewhere["id"]):
        for answer in (
            take(ada, session, unknown),
            begin(ada, sessionId=session, takeOf=unknown),
            ada.patch(f"/api/upload/{upload['id']}", json={"takeOf": unknown, "gainDb": -6}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "track_not_found")
    web.do(web.database.rows("UPDATE uploads SET duration_seconds = 0.2"))
    trims = {"trimStartSeconds": 0.1, "trimEndSeconds": 0.0901, "pan": 1}
    answer = ada.patch(f"/api/upload/{upload['id']}", json=trims)
    assert (answer.status_code, answer.json()["code"]) == (400, "trims_leave_nothing")
    now = ada.get(f"/api/upload/{upload['id']}").json()["upload"]
    assert now == upload | {"durationSeconds": 0.2}
    assert [
        line["upload"] for line in ada.get("/api/upload/list", params={"sessionId": session}).json()["uploads"]
    ] == [now]
