"""Comments over REST: written, answered, changed, resolved and removed, and told to the room (SPEC 3)."""

from typing import Any, Final

import httpx
import pytest

from omnisonic.models.comments import COMMENT_LENGTH
from tests.http.api.test_activity import happened, said
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.api.test_uploads import brought
from tests.http.making import fail
from tests.http.route_table import UNKNOWN
from tests.http.running import Web

FIELDS: Final = {
    "id", "sessionId", "parentId", "author", "text", "atBeat", "atSeconds", "uploadId", "exportId", "pinnedName",
    "resolved", "resolvedBy", "resolvedAt", "createdAt", "editedAt", "guest",
}  # fmt: skip


@pytest.fixture
def ada(web: Web) -> httpx.Client:
    return web.sign_up("ada@example.com", name="Ada")


@pytest.fixture
def bob(web: Web) -> httpx.Client:
    return web.sign_up("bob@example.com", name="Bob")


@pytest.fixture
def session(ada: httpx.Client, bob: httpx.Client) -> str:
    """Ada's, where Bob listens."""
    made = make(ada)
    share(ada, made, bob)
    ada.patch(f"/api/sessions/{made['id']}/collaborators/{user_id(bob)}", json={"role": "listener"})
    return str(made["id"])


def write(client: httpx.Client, session: str, text: str = "Louder.", **more: Any) -> dict[str, Any]:
    answer = client.post(f"/api/sessions/{session}/comments", json={"text": text, **more})
    assert answer.status_code == 201, answer.text
    comment: dict[str, Any] = answer.json()["comment"]
    return comment


def listed(client: httpx.Client, session: str, **query: str) -> dict[str, Any]:
    answer = client.get(f"/api/sessions/{session}/comments", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_thread_is_written_resolved_and_removed(web: Web, ada: httpx.Client, bob: httpx.Client, session: str) -> None:
    """By a listener, too. The room is told of each change, and what has replies stays without its text."""
    upload = brought(ada, session=session)
    first = write(bob, session, " Too loud,\r\nhere. ", atBeat=64, uploadId=upload["id"])
    assert set(first) == FIELDS
    assert first == first | {
        "sessionId": session, "parentId": None, "author": {"id": user_id(bob), "name": "Bob"},
        "text": "Too loud,\nhere.", "atBeat": 64, "atSeconds": None, "uploadId": upload["id"], "exportId": None,
        "pinnedName": "bass", "resolved": False, "resolvedBy": None, "resolvedAt": None, "editedAt": None,
        "guest": False,
    }  # fmt: skip
    reply = write(ada, session, "Better?", parentId=first["id"])
    path = f"/api/comments/{first['id']}"
    assert refused(ada.patch(path, json={"text": "Fine here."})) == (403, "author_only")
    edited = bob.patch(path, json={"text": "Too loud."}).json()["comment"]
    assert (edited["text"], edited["editedAt"] is None) == ("Too loud.", False)
    resolved = ada.patch(path, json={"resolved": True}).json()["comment"]
    assert (resolved["resolved"], resolved["resolvedBy"]) == (True, {"id": user_id(ada), "name": "Ada"})
    again = bob.patch(path, json={"resolved": True, "text": edited["text"]}).json()["comment"]
    reopened = bob.patch(path, json={"resolved": False}).json()["comment"]
    assert (again, reopened) == (resolved, edited)
    assert listed(bob, session) == {"comments": [reply, reopened], "nextBefore": None}

    assert bob.delete(path).json() == {"ok": True}
    emptied = reopened | {"text": None, "editedAt": listed(ada, session)["comments"][1]["editedAt"]}
    assert listed(ada, session)["comments"] == [reply, emptied]
    assert refused(bob.patch(path, json={"text": "Still."})) == refused(bob.delete(path)) == (404, "comment_not_found")
    assert refused(bob.delete(f"/api/comments/{reply['id']}")) == (403, "author_only")
    assert ada.delete(f"/api/comments/{reply['id']}").status_code == 200
    assert listed(ada, session)["comments"] == []
    told = [(kind[8:], payload) for _, kind, payload in said(web, *(f"comment.{how}" for how in HOWS))]
    assert [comment for kind, comment in told if kind != "removed"] == [
        first, reply, edited, resolved, edited, emptied,
    ]  # fmt: skip
    assert [gone for kind, gone in told if kind == "removed"] == [
        {"commentId": reply["id"], "sessionId": session, "parentId": first["id"]},
        {"commentId": first["id"], "sessionId": session, "parentId": None},
    ]


HOWS: Final = ("added", "changed", "removed")


def test_the_owner_removes_what_others_wrote_and_the_activity_says_so(
    web: Web, ada: httpx.Client, bob: httpx.Client, session: str
) -> None:
    """Their own they remove without a word. Nobody but the owner sees to others'."""
    hers, his = write(ada, session), write(bob, session)
    web.bus.published.clear()
    for comment in (hers, his):
        assert ada.delete(f"/api/comments/{comment['id']}").status_code == 200
    assert [kind for _, kind, _ in said(web, "comment.removed", "activity.added")] == [
        "comment.removed", "comment.removed", "activity.added",
    ]  # fmt: skip
    (event, *_) = happened(ada, session)["events"]
    assert (event["kind"], event["subjectId"], event["subjectName"], event["undo"]) == (
        "comment.removed", his["id"], "Bob", None,
    )  # fmt: skip


def test_what_a_comment_is_about_may_go(web: Web, ada: httpx.Client, session: str) -> None:
    """A mixdown that is deleted and a stem that is gone for good leave their names, an account leaves its name."""
    upload = brought(ada, session=session)
    export = ada.post("/api/export", json={"sessionId": session}).json()
    fail(web, "It is a test.")
    eve = web.sign_up("eve@example.com", name="Eve")
    share(ada, {"id": session}, eve)
    on_stem = write(eve, session, uploadId=upload["id"].upper())
    on_mix = write(eve, session, exportId=export["exportId"], atBeat=64)
    assert (on_mix["atSeconds"], on_mix["pinnedName"]) == (32, export["fileName"])
    ada.patch(f"/api/sessions/{session}", json={"tempoBpm": 60})
    eve.patch(f"/api/comments/{on_mix['id']}", json={"resolved": True})
    ada.delete(f"/api/upload/{upload['id']}")
    assert ada.delete(f"/api/export/{export['exportId']}").status_code == 200
    mix, stem = listed(ada, session)["comments"]
    assert (mix["exportId"], mix["atSeconds"], mix["pinnedName"]) == (None, 32, export["fileName"])
    assert (stem["uploadId"], stem["pinnedName"]) == (upload["id"], "bass")
    web.do(web.database.row("DELETE FROM uploads"))
    web.do(web.database.row("DELETE FROM users WHERE email = 'eve@example.com'"))
    mix, stem = listed(ada, session)["comments"]
    assert (stem["uploadId"], stem["pinnedName"]) == (None, "bass")
    assert mix["author"] == mix["resolvedBy"] == {"id": None, "name": "Eve"}
    assert stem["text"] == on_stem["text"]


def test_what_no_comment_can_be_is_refused(ada: httpx.Client, bob: httpx.Client, session: str) -> None:
    """Each with its code; nothing is written."""
    other = make(ada)["id"]
    elsewhere, upload = write(ada, other), brought(ada, session=session)
    first = write(bob, session, "x" * COMMENT_LENGTH)
    reply = write(ada, session, parentId=first["id"])
    for wrong, expected in (
        ({}, (400, "invalid_text")),
        ({"text": " \n "}, (400, "invalid_text")),
        ({"text": "x" * (COMMENT_LENGTH + 1)}, (400, "invalid_text")),
        ({"text": "gpj.\u202eexe"}, (400, "invalid_text")),
        ({"text": "x", "atBeat": -1}, (400, "invalid_at_beat")),
        ({"text": "x", "atBeat": 1_000_001}, (400, "invalid_at_beat")),
        ({"text": "x", "uploadId": UNKNOWN}, (404, "upload_not_found")),
        ({"text": "x", "uploadId": brought(ada, session=other)["id"]}, (404, "upload_not_found")),
        ({"text": "x", "exportId": UNKNOWN}, (404, "export_not_found")),
        ({"text": "x", "uploadId": upload["id"], "exportId": UNKNOWN}, (400, "invalid_upload_id")),
        ({"text": "x", "parentId": elsewhere["id"]}, (404, "comment_not_found")),
        ({"text": "x", "parentId": "none"}, (404, "comment_not_found")),
        ({"text": "x", "parentId": reply["id"]}, (400, "invalid_parent_id")),
        ({"text": "x", "parentId": first["id"], "atBeat": 1}, (400, "invalid_parent_id")),
    ):
        assert refused(bob.post(f"/api/sessions/{session}/comments", json=wrong)) == expected, wrong
    assert refused(bob.patch(f"/api/comments/{reply['id']}", json={"resolved": True})) == (400, "invalid_resolved")
    assert refused(bob.delete(f"/api/comments/{elsewhere['id']}")) == (404, "comment_not_found")
    assert listed(ada, session)["comments"] == [reply, first]


def test_a_session_has_so_many_comments_in_pages(web: Web, ada: httpx.Client, session: str) -> None:
    """Every one once; one more than 2,000 is refused, until one is removed."""
    rows = "FROM generate_series(1, 1999) AS n"
    insert = f"INSERT INTO comments (session_id, author_name, text) SELECT $1, 'Guest', n::text {rows}"
    web.do(web.database.row(insert, session))
    last = write(ada, session)
    answer = ada.post(f"/api/sessions/{session}/comments", json={"text": "x"})
    assert refused(answer) == (409, "too_many_comments")
    ids, query = [], {"limit": "200"}
    while True:
        page = listed(ada, session, **query)
        ids += [comment["id"] for comment in page["comments"]]
        if page["nextBefore"] is None:
            break
        query["before"] = page["nextBefore"]
    assert (len(ids), len(set(ids)), ids[0]) == (2000, 2000, last["id"])
    assert ada.delete(f"/api/comments/{ids[-1]}").status_code == 200
    write(ada, session)
