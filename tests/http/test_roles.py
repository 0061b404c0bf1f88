"""What each role may do, on every route. A new route fails here until it is in `RIGHTS`.

Strangers, and users without a role, are in `tests.http.test_strangers`.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import httpx

from omnisonic.stores.bus.events import RoleChanged, RoomSaid
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.making import fail
from tests.http.route_table import COMMENT, EXPORT, LISTEN, MARKER, ROUTES, TUS, UPLOAD, Route, documented, path_of
from tests.http.running import Web
from tests.http.sounds import wav

Right: TypeAlias = Literal["all", "editors", "maker", "author", "owner", "no session's"]
"""Who may: everybody with a role, owner and editors, the owner and whoever made it if an editor, the owner and whoever
wrote it, the owner.
"""

RIGHTS: Final[dict[Route, Right]] = {
    # In the order in which they are asked: what is removed is removed at the end.
    ("GET", "/api/sessions"): "all",
    ("GET", "/api/sessions/<id:session_id>/collaborators"): "all",
    ("POST", "/api/sessions/<id:session_id>/seen"): "all",
    ("GET", "/api/sessions/<id:session_id>/activity"): "all",
    ("GET", "/api/sessions/<id:session_id>/comments"): "all",
    ("POST", "/api/sessions/<id:session_id>/comments"): "all",
    ("PATCH", COMMENT): "all",
    ("GET", "/api/sessions/<id:session_id>/markers"): "all",
    ("GET", "/api/sessions/<id:session_id>/stems.zip"): "all",
    ("GET", "/sessions/<id:session_id>"): "all",
    ("GET", "/api/upload/list"): "all",
    ("GET", UPLOAD): "all",
    ("GET", f"{UPLOAD}/peaks"): "all",
    ("GET", f"{UPLOAD}/cover"): "all",
    ("GET", f"{UPLOAD}/content"): "all",
    ("GET", f"{UPLOAD}/segments"): "all",
    ("GET", f"{UPLOAD}/segments/<number>"): "all",
    ("GET", "/api/export"): "all",
    ("GET", f"{EXPORT}/download"): "all",
    ("GET", "/api/presence"): "all",
    ("POST", "/api/presence"): "all",
    ("DELETE", "/api/presence"): "all",
    ("POST", "/api/rooms/<path:room_id>/ticket"): "all",
    ("GET", "/api/rooms/<path:room_id>/events"): "all",
    ("GET", "/api/rooms/<path:room_id>/messages"): "all",
    ("POST", "/api/rooms/<path:room_id>/messages"): "owner",
    ("PATCH", "/api/sessions/<id:session_id>"): "owner",
    ("POST", "/api/sessions/<id:session_id>/invites"): "owner",
    ("GET", "/api/sessions/<id:session_id>/invites"): "owner",
    ("PATCH", "/api/sessions/<id:session_id>/collaborators/<id:user_id>"): "owner",
    ("POST", "/api/upload"): "editors",
    ("POST", "/api/upload/tus"): "editors",
    ("PATCH", UPLOAD): "editors",
    ("POST", "/api/sessions/<id:session_id>/activity/<id:event_id>/undo"): "editors",
    ("POST", "/api/sessions/<id:session_id>/markers"): "editors",
    ("PATCH", MARKER): "editors",
    ("DELETE", MARKER): "editors",
    ("DELETE", COMMENT): "author",
    ("GET", f"{EXPORT}/shares"): "all",
    ("POST", "/api/export"): "editors",
    ("POST", f"{EXPORT}/shares"): "editors",
    ("PATCH", f"{EXPORT}/shares/<id:share_id>"): "editors",
    ("DELETE", f"{EXPORT}/shares/<id:share_id>"): "editors",
    ("DELETE", EXPORT): "maker",
    ("DELETE", UPLOAD): "maker",
    ("POST", f"{UPLOAD}/restore"): "maker",
    ("POST", f"{UPLOAD}/delete"): "maker",
    ("DELETE", "/api/sessions/<id:session_id>/invites/<id:invite_id>"): "owner",
    ("DELETE", "/api/sessions/<id:session_id>/invites"): "owner",
    ("POST", "/api/sessions/<id:session_id>/ownership"): "owner",
    ("DELETE", "/api/sessions/<id:session_id>/collaborators/<id:user_id>"): "owner",
    ("DELETE", "/api/sessions/<id:session_id>"): "owner",
    # Until it is finished, an upload in pieces is nobody's but its sender's.
    ("HEAD", "/api/upload/tus/<id(length=36):upload_id>"): "no session's",
    ("PATCH", "/api/upload/tus/<id(length=36):upload_id>"): "no session's",
    ("DELETE", "/api/upload/tus/<id(length=36):upload_id>"): "no session's",
    **dict.fromkeys(
        [
            *(("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/", "/about", "/signin", "/signout")),
            *(("GET", f"/api/{name}.json") for name in ("openapi", "asyncapi")),
            *(route for route in ROUTES if route[1].startswith("/api/auth/")),
            ("POST", "/api/sessions"),
            ("GET", "/sessions"),
            ("POST", "/sessions"),
            *((method, f"{at}/<token>") for method in ("GET", "POST") for at in ("/invites", "/api/invites")),
            *(("GET", path) for path in (LISTEN, f"{LISTEN}/audio", f"{LISTEN}/download", "/listen/<token>")),
            *((method, f"{LISTEN}/comments") for method in ("GET", "POST")),
            ("GET", "/files/<signed>/<name>"),
            ("GET", "/static/<digest>/<path:name>"),
            ("GET", "/client/<name>"),
            ("OPTIONS", "/api/upload/tus"),
            ("DELETE", "/api/rooms/<path:room_id>/events"),  # by the id of a stream
        ],
        "no session's",
    ),
}
ROLES: Final = ("listener", "editor", "owner")
MISSING: Final = ("session_not_found", "upload_not_found", "export_not_found", "activity_not_found", "invite_not_found")


@dataclass
class Scene:
    """Ada's session, which Ed edits. Lee brought a stem and asked for a mixdown before they became a listener."""

    web: Web
    clients: dict[str, httpx.Client]
    values: dict[str, str]

    def ask(self, role: str, method: str, rule: str) -> httpx.Response:
        """Ask as somebody with this role."""
        client, path, asked = self.clients[role], path_of(rule, self.values), ROUTES[method, rule].asked(self.values)
        if rule == "/api/upload/tus":
            session = b64encode(self.values["session_id"].encode()).decode()
            metadata = f"{TUS['Upload-Metadata']},sessionId {session}"
            return client.post(path, headers=TUS | {"Upload-Length": "9", "Upload-Metadata": metadata})
        if rule == "/api/upload":
            return client.post(path, data=asked, files={"file": ("bass.wav", wav(0.1))})
        if rule == "/api/presence":
            asked["memberId"] = role  # everybody's leases are their own
        is_read = method == "GET"
        return client.request(method, path, params=asked if is_read else None, json=None if is_read else asked)


def open_scene(web: Web) -> Scene:
    ada, ed, lee, cy = (web.sign_up(f"{name}@example.com") for name in ("ada", "ed", "lee", "cy"))
    session = make(ada)
    share(ada, session, ed, lee, cy)
    path = f"/api/sessions/{session['id']}"
    form: dict[str, Any] = {"data": {"sessionId": session["id"]}, "files": {"file": ("lead.wav", wav(0.1))}}
    upload = lee.post("/api/upload", **form).json()["upload"]
    assert lee.patch(f"/api/upload/{upload['id']}", json={"pan": 0.5}).status_code == 200
    export = lee.post("/api/export", json={"sessionId": session["id"]}).json()
    fail(web, "It is a test.")
    comment = cy.post(f"{path}/comments", json={"text": "Louder."}).json()["comment"]
    marker = ed.post(f"{path}/markers", json={"name": "Chorus", "atBeat": 64}).json()["marker"]
    invite = ada.post(f"{path}/invites", json={"role": "listener"}).json()
    (event, *_) = [each for each in ada.get(f"{path}/activity").json()["events"] if each["kind"] == "upload.changed"]
    answer = ada.patch(f"{path}/collaborators/{user_id(lee)}", json={"role": "listener"})
    assert answer.json()["collaborator"]["role"] == "listener"
    values = {
        "session_id": session["id"],
        "room_id": session["id"],
        "user_id": user_id(cy),
        "upload_id": upload["id"],
        "export_id": export["exportId"],
        "comment_id": comment["id"],
        "marker_id": marker["id"],
        "invite_id": invite["id"],
        "event_id": event["id"],
    }
    return Scene(web, {"owner": ada, "editor": ed, "listener": lee}, values)


def expected_refusal(right: Right, role: str, rule: str) -> str | None:
    """The code that somebody with this role gets; None when they may."""
    if right == "all" or role == "owner" or (right == "editors" and role == "editor"):
        return None
    if right == "owner":
        return "owner_only"
    if right == "author":
        return "author_only"
    if role == "listener":
        return "listeners_change_nothing"
    return "uploader_only" if rule.startswith(UPLOAD) else "requester_only"


def test_every_route_is_decided_for_every_role() -> None:
    """A route without a row here has been decided for nobody."""
    assert set(RIGHTS) == set(ROUTES)


def test_each_role_may_what_is_decided(ticket_web: Web) -> None:
    """Whoever may not is told why in 403, as what is refused is there for them to see; and nothing happens."""
    scene = open_scene(ticket_web)
    document = ticket_web.client.get("/api/openapi.json").json()["paths"]
    wrong = []
    for (method, rule), right in RIGHTS.items():
        for role in ROLES if right != "no session's" else ():
            if (method, rule, role) == ("POST", "/api/sessions/<id:session_id>/ownership", "owner"):
                continue  # it would be another's session from here on: `test_a_session_is_passed_on`
            answer = scene.ask(role, method, rule)
            is_json = answer.headers.get("Content-Type") == "application/json"
            code = answer.json().get("code") if is_json and answer.status_code >= 400 else None
            refusal = expected_refusal(right, role, rule)
            is_right = (
                (answer.status_code, code) == (403, refusal)
                if refusal
                else answer.status_code not in (401, 403) and code not in MISSING
            )
            if not is_right:
                wrong.append((role, method, rule, refusal, answer.status_code, code))
            if (operations := document.get(documented(rule))) is not None:
                assert str(answer.status_code) in operations[method.lower()]["responses"], (method, rule)
    assert wrong == []


def test_who_has_lost_their_role_changes_nothing_in_the_session(ticket_web: Web) -> None:
    """Not even what they have made: it is 404, and no room hears of it. They put their uploads into the bin, once."""
    scene = open_scene(ticket_web)
    ada, lee, path = scene.clients["owner"], scene.clients["listener"], f"/api/sessions/{scene.values['session_id']}"
    scene.values["comment_id"] = lee.post(f"{path}/comments", json={"text": "Mine."}).json()["comment"]["id"]
    assert ada.delete(f"{path}/collaborators/{user_id(lee)}").status_code == 200
    activity = ada.get(f"{path}/activity").json()["events"]
    ticket_web.bus.published.clear()
    changes = [route for route, right in RIGHTS.items() if right != "no session's" and route[0] != "GET"]
    done = [route for route in changes * 2 if scene.ask("listener", *route).status_code != 404]
    assert done == [("DELETE", UPLOAD)]
    assert [event.type for event in ticket_web.bus.events if isinstance(event, RoomSaid)] == [
        "upload.removed", "activity.added",
    ]  # fmt: skip
    event, *before = ada.get(f"{path}/activity").json()["events"]
    assert event["kind"] == "upload.removed"
    assert [each["id"] for each in before] == [each["id"] for each in activity]


def test_a_session_is_passed_on(ticket_web: Web) -> None:
    """The new owner may what only the owner may, the old one may not; the room and its activity say so."""
    scene = open_scene(ticket_web)
    web, ada, lee, session = ticket_web, scene.clients["owner"], scene.clients["listener"], scene.values["session_id"]
    web.bus.published.clear()
    answer = ada.post(f"/api/sessions/{session}/ownership", json={"userId": user_id(lee).upper()})
    assert (answer.status_code, answer.json()["session"]["role"]) == (200, "editor")
    changed, *said = web.bus.events
    assert changed == RoleChanged(session, user_id(lee), "owner")
    assert [each.type for each in said if isinstance(each, RoomSaid)] == ["activity.added", "session.updated"]
    assert lee.patch(f"/api/sessions/{session}", json={"name": "Mine"}).status_code == 200
    refused = ada.patch(f"/api/sessions/{session}", json={"name": "Mine still"})
    assert (refused.status_code, refused.json()["code"]) == (403, "owner_only")
    event = lee.get(f"/api/sessions/{session}/activity").json()["events"][1]
    assert (event["kind"], event["field"], event["before"], event["after"], event["undo"]) == (
        "member.changed",
        "role",
        "listener",
        "owner",
        None,
    )
