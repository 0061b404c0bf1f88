"""Mixdowns are asked for, followed, fetched and removed, and their rooms are told (SPEC 3, 5.2)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

import httpx
import msgspec
import pytest

from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.storage import attachment
from tests.http import making
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.api.test_uploads import is_clean
from tests.http.making import SOUND
from tests.http.route_table import UNKNOWN
from tests.http.running import Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

AT_ONCE: Final = 50


@pytest.fixture(name="ada")
def signed_up(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com")


@pytest.fixture(name="session")
def create_session(ada: httpx.Client) -> str:
    return str(make(ada, "Night jam")["id"])


@pytest.fixture(name="hasty_web", scope="module")
def serve_without_waiting(postgres_process: PostgresServer) -> Iterator[Web]:
    """A web whose downloads wait for nothing."""
    with fresh_database(postgres_process) as url, running_web(database_url=url, config={"EXPORT_WAIT": 0.0}) as web:
        yield web


def ask(client: httpx.Client, session: str, **more: Any) -> httpx.Response:
    """Ask for an export of the session."""
    return client.post("/api/export", json={"sessionId": session} | more)


def request_export(client: httpx.Client, session: str, **more: Any) -> dict[str, Any]:
    """The export that `ask` asks for."""
    answer = ask(client, session, **more)
    assert answer.status_code == 202, answer.text
    export: dict[str, Any] = answer.json()
    return export


def published_events(web: Web) -> list[tuple[str, str, Any]]:
    """What rooms were told about exports: room, type and payload."""
    said = [event for event in web.bus.events if isinstance(event, RoomSaid) and event.type.startswith("export.")]
    return [(event.room, event.type, msgspec.json.decode(event.payload)) for event in said]


def test_a_question_about_nothing_is_told_what_it_lacks(web: Web, ada: httpx.Client) -> None:
    """Neither `id` nor `sessionId`: 400, and to strangers 401; not a 404 about a session that nobody named."""
    for path in ("/api/export", "/api/export?sessionId="):
        answer = ada.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_session_id")
        assert "sessionId" in answer.json()["error"]
        assert web.client.get(path).status_code == 401


def test_an_export_is_asked_for_and_where_it_will_be_is_said_at_once(web: Web, ada: httpx.Client, session: str) -> None:
    """Every property of the contract; the room hears of it, and nobody has made it yet."""
    export = request_export(ada, session)
    place = f"/api/export/{export['exportId']}/download"
    assert datetime.fromisoformat(export.pop("createdAt")).tzinfo is not None
    assert export == {
        "url": web.url + place, "exportId": export["exportId"], "sessionId": session, "userId": user_id(ada),
        "format": "wav", "status": "pending", "progress": 0, "errorMessage": None, "fileName": "Night jam.wav",
        "fileSize": None, "durationSeconds": None, "loudnessLufs": None, "peakDbfs": None, "completedAt": None,
        "warning": None,
    }  # fmt: skip
    said = {
        "exportId": export["exportId"], "sessionId": session, "status": "pending", "progress": 0, "format": "wav"
    }  # fmt: skip
    assert published_events(web) == [(session, "export.progress", said)]


def test_a_client_of_the_original_contract_needs_to_know_nothing_else(
    web: Web, ada: httpx.Client, session: str
) -> None:
    """POST gives `url`; fetching that waits until it is made and is the file; `?id=` tells whose it is."""
    first = ask(ada, session).json()
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(ada.get, first["url"], timeout=20.0)
        job = making.taken(web)
        assert not fetched.done()
        making.make(web, job=job)
        answer = fetched.result()
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "audio/wav", SOUND)
    about = ada.get("/api/export", params={"id": first["exportId"]}).json()
    assert (about["url"], about["sessionId"]) == (first["url"], session)
    assert datetime.fromisoformat(about["createdAt"]) < datetime.fromisoformat(about["completedAt"])


@pytest.mark.parametrize(
    ("format_", "media_type"), [("wav", "audio/wav"), ("flac", "audio/flac"), ("mp3", "audio/mpeg")]
)
def test_a_finished_export_is_an_attachment_with_its_name_and_type(
    web: Web, ada: httpx.Client, session: str, format_: str, media_type: str
) -> None:
    """In parts, too; what was measured is told."""
    url = request_export(ada, session, format=format_)["url"]
    making.make(web)
    answer = ada.get(url)
    assert (answer.headers["Content-Type"], answer.content) == (media_type, SOUND)
    assert answer.headers["Content-Disposition"] == attachment(f"Night jam.{format_}")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    part = ada.get(url, headers={"Range": "bytes=5-7"})
    assert (part.status_code, part.content) == (206, SOUND[5:8])
    assert ada.head(url).headers["Content-Length"] == str(len(SOUND))
    about = ada.get("/api/export", params={"sessionId": session}).json()["exports"][0]
    assert (about["status"], about["progress"], about["fileSize"]) == ("completed", 100, len(SOUND))
    measured = about["durationSeconds"], about["loudnessLufs"], about["peakDbfs"]
    assert measured == (making.LENGTH_S, making.LOUDNESS_LUFS, making.PEAK_DBFS)


def test_what_takes_long_is_to_be_asked_for_again(hasty_web: Web) -> None:
    """202 with the time to wait, and how far it is."""
    ada = hasty_web.sign_up("ada@example.com")
    export = request_export(ada, make(ada)["id"])
    making.taken(hasty_web)
    answer = ada.get(export["url"])
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    assert int(answer.headers["Retry-After"]) >= 1


def test_why_an_export_has_failed_is_told_to_who_waits(web: Web, ada: httpx.Client, session: str) -> None:
    """409 with the sentence, and no file."""
    export = request_export(ada, session)
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(ada.get, export["url"], timeout=20.0)
        making.fail(web, "There is no sound in 'notes.txt'.")
        answer = fetched.result()
    assert answer.status_code == 409
    assert answer.json() == {"error": "There is no sound in 'notes.txt'.", "code": "export_failed"}
    about = ada.get("/api/export", params={"id": export["exportId"]}).json()
    assert (about["status"], about["errorMessage"]) == ("failed", "There is no sound in 'notes.txt'.")
    assert is_clean(web)


def test_all_who_share_the_session_see_all_its_exports_newest_first(web: Web, ada: httpx.Client) -> None:
    """Who does not share it sees nothing, and who shares it no more sees nothing more."""
    bob = web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    ids = [request_export(client, session["id"])["exportId"] for client in (ada, bob)]
    for _ in ids:
        making.make(web)
    for client in (ada, bob):
        exports = client.get("/api/export", params={"sessionId": session["id"]}).json()["exports"]
        assert [export["exportId"] for export in exports] == ids[::-1]
        assert client.get(exports[0]["url"]).content == SOUND
    assert ada.delete(f"/api/sessions/{session['id']}/collaborators/{user_id(bob)}").status_code == 200
    gone = [
        bob.get("/api/export", params={"sessionId": session["id"]}),
        bob.get("/api/export", params={"id": ids[1]}),
        bob.get(f"/api/export/{ids[1]}/download"),
        ask(bob, session["id"]),
    ]
    assert [answer.status_code for answer in gone] == [404] * 4


def test_only_so_many_are_made_at_the_same_time(web: Web, ada: httpx.Client, session: str) -> None:
    """429 with the time to wait, for twenty that are asked for at once, too; what is made counts no more."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(ada, session), range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] * 2 + [429] * 18
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "too_many_exports"
    assert int(refused.headers["Retry-After"]) >= 1
    assert ask(ada, make(ada)["id"]).status_code == 202
    making.make(web)
    assert ask(ada, session).status_code == 202
    assert ask(ada, session).status_code == 429


def test_mixdowns_over_the_limit_of_a_user_are_told_to_wait(database_url: str) -> None:
    """429 with a code of its own and a time to come back after, in whichever session; nobody else is held up."""
    with running_web({"EXPORT_MAX_ACTIVE_PER_USER": "1"}, database_url=database_url) as web:
        ada, bo = web.sign_up("ada@example.com"), web.sign_up("bo@example.com")
        request_export(ada, make(ada, "One")["id"])
        refused = ask(ada, make(ada, "Two")["id"])
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_exports_of_user")
        assert int(refused.headers["Retry-After"]) > 0
        request_export(bo, make(bo, "Three")["id"])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({}, "session_id"), ({"sessionId": 7}, "session_id"), ({"sessionId": None}, "session_id"),
     ({"sessionId": "x", "format": "ogg"}, "format"), ({"sessionId": "x", "format": None}, "format")],
)  # fmt: skip
def test_what_is_asked_for_wrongly_is_refused(ada: httpx.Client, wrong: dict[str, Any], code: str) -> None:
    """400, naming the property."""
    answer = ada.post("/api/export", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, f"invalid_{code}")


def test_what_is_not_there_is_not_found(ada: httpx.Client) -> None:
    """A session, an export, and an id that is no id."""
    assert ask(ada, "").json()["code"] == "session_not_found"
    for session in (UNKNOWN, "jam"):
        assert ask(ada, session).json()["code"] == "session_not_found"
        assert ada.get("/api/export", params={"sessionId": session}).json()["code"] == "session_not_found"
    for export in (UNKNOWN, "x" * 36):
        answers = ada.get(f"/api/export/{export}/download"), ada.delete(f"/api/export/{export}")
        assert [answer.json()["code"] for answer in answers] == ["export_not_found"] * 2
    assert ada.get("/api/export", params={"id": "jam"}).json()["code"] == "export_not_found"


def test_who_asked_for_it_and_the_owner_may_remove_it_and_no_other(web: Web, ada: httpx.Client) -> None:
    """Another collaborator is told why not; whoever has no part in it is told that there is nothing."""
    bob, cy, eve = (web.sign_up(f"{name}@example.com") for name in ("bob", "cy", "eve"))
    session = make(ada)
    for guest in (bob, cy):
        share(ada, session, guest)
    exports = [request_export(bob, session["id"])["exportId"] for _ in range(2)]
    for _ in exports:
        making.make(web)
    refused = cy.delete(f"/api/export/{exports[0]}")
    assert (refused.status_code, refused.json()["code"]) == (403, "requester_only")
    assert eve.delete(f"/api/export/{exports[0]}").status_code == 404
    for client, export in zip((bob, ada), exports, strict=True):
        assert client.delete(f"/api/export/{export}").json() == {"ok": True}
        gone = {"exportId": export, "sessionId": session["id"]}
        assert published_events(web)[-1] == (session["id"], "export.removed", gone)
    assert web.stored() == set()
    assert is_clean(web)


def test_one_that_is_being_made_can_be_given_up(web: Web, ada: httpx.Client, session: str) -> None:
    """What its worker makes of it is nothing, and nothing of it is kept."""
    export = request_export(ada, session)
    job = making.taken(web)
    assert ada.delete(f"/api/export/{export['exportId']}").status_code == 200
    assert making.make(web, job=job) is None
    assert is_clean(web)
    assert ada.get(export["url"]).status_code == 404
    assert ada.get("/api/export", params={"sessionId": session}).json() == {"exports": []}


def test_the_same_removal_many_times_at_once_succeeds_once(web: Web, ada: httpx.Client, session: str) -> None:
    """The others are 404, and the file is gone once (RELIABILITY 25)."""
    export = request_export(ada, session)["exportId"]
    making.make(web)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(lambda _: ada.delete(f"/api/export/{export}").status_code, range(AT_ONCE)))
    assert sorted(statuses) == [200] + [404] * (AT_ONCE - 1)
    assert is_clean(web)


def test_a_deleted_session_takes_its_exports_with_it(web: Web, ada: httpx.Client, session: str) -> None:
    """Who waited for one is told that there is none, and housekeeping finds the file of the other."""
    first, second = (request_export(ada, session) for _ in range(2))
    making.make(web)
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(ada.get, second["url"], timeout=20.0)
        ada.delete(f"/api/sessions/{session}")
        assert fetched.result().status_code == 404
    assert ada.get(first["url"]).status_code == 404
    unreferenced = web.do(web.database.rows("SELECT object_key FROM loose_objects WHERE doomed"))
    assert {row["object_key"] for row in unreferenced} == web.stored()


def test_a_file_that_the_storage_has_lost_is_not_found(web: Web, ada: httpx.Client, session: str) -> None:
    """404 in words, not half an answer."""
    url = request_export(ada, session)["url"]
    making.make(web)
    for path in web.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    answer = ada.get(url)
    assert (answer.status_code, answer.json()["code"]) == (404, "file_not_found")
