"""`POST /api/rooms/{roomId}/messages`: saying something into a room from outside of it (SPEC 3)."""

import hashlib
import time
from typing import Any, Final

import pytest

from omnisonic.stores.bus.events import Reply, RoomSaid
from tests.http.api.test_sessions import JSON, make
from tests.http.api.test_sessions_sharing import share
from tests.http.running import ADMIN_TOKEN, Web, running_web

OPERATOR: Final = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
NOTE: Final = {"type": "note", "payload": {"text": "Break in five"}}


def listening(web: Web, reply: Reply) -> list[RoomSaid]:
    """What is said from now on into rooms that all reply this."""
    received: list[RoomSaid] = []

    def hear(said: RoomSaid) -> Reply:
        received.append(said)
        return reply

    web.bus.gateway = hear
    return received


def test_an_owner_is_heard_in_their_session(web: Web) -> None:
    """202 with the place in the room's order; the payload goes on as it came."""
    ada = web.sign_up("ada@example.com")
    room = make(ada)["id"]
    received = listening(web, Reply(offset=42))
    payload = b'{"b": 1,  "a": [1e2, "\\u00e9\xc3\xa9"]}'
    body = b'{"payload": ' + payload + b', "type": "note", "id": "ignored"}'
    answer = ada.post(f"/api/rooms/{room}/messages", content=body, headers=JSON)
    assert (answer.status_code, answer.json()) == (202, {"offset": 42})
    (said,) = received
    assert (said.room, said.type, bytes(said.payload), said.to) == (room, "note", payload, None)


def test_the_operator_is_heard_in_every_room(web: Web) -> None:
    """With the token, without a cookie, to one member; each with a channel of its own for the reply."""
    received = listening(web, Reply(offset=7))
    for room in ("jam", "a%2Fb"):
        answer = web.client.post(f"/api/rooms/{room}/messages", json={**NOTE, "to": "ada"}, headers=OPERATOR)
        assert (answer.status_code, answer.json()) == (202, {"offset": 7})
    assert [(said.room, said.to) for said in received] == [("jam", "ada"), ("a/b", "ada")]
    assert len({said.reply_to for said in received}) == 2


def test_only_the_owner_speaks_from_outside(web: Web) -> None:
    """A collaborator is 403, another user 404, as is a room that is nobody's session; nothing is said."""
    ada, bob, eve = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "eve"))
    session = make(ada)
    share(ada, session, bob)
    web.bus.published.clear()
    path = f"/api/rooms/{session['id']}/messages"
    refused = [bob.post(path, json=NOTE), eve.post(path, json=NOTE), ada.post("/api/rooms/jam/messages", json=NOTE)]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [
        (403, "owner_only"),
        (404, "session_not_found"),
        (404, "session_not_found"),
    ]
    assert not web.bus.published


@pytest.mark.parametrize(
    "shown",
    ["Bearer", "Bearer wrong", f"Basic {ADMIN_TOKEN}", ADMIN_TOKEN, f"Bearer {ADMIN_TOKEN}x", "\xe9"],
)
def test_a_wrong_token_opens_nothing(web: Web, shown: str) -> None:
    """401 `invalid_token`, also with an owner's cookie beside it: what is shown must be right."""
    ada = web.sign_up("ada@example.com")
    room = make(ada)["id"]
    headers = [(b"Authorization", shown.encode("latin-1"))]
    answer = ada.post(f"/api/rooms/{room}/messages", json=NOTE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


def test_tokens_cannot_be_tried_out(web: Web) -> None:
    """Ten wrong ones a minute; then even the right one has to wait. Right ones do not count."""
    web.bus.gateway = lambda said: Reply(offset=1)
    path = "/api/rooms/jam/messages"
    assert {web.client.post(path, json=NOTE, headers=OPERATOR).status_code for _ in range(15)} == {202}
    wrong = {"Authorization": "Bearer wrong"}
    assert [web.client.post(path, json=NOTE, headers=wrong).status_code for _ in range(11)] == [401] * 10 + [429]
    late = web.client.post(path, json=NOTE, headers=OPERATOR)
    assert (late.status_code, late.json()["code"]) == (429, "too_many_tries")
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    web.clock.now_s += 61
    assert web.client.post(path, json=NOTE, headers=OPERATOR).status_code == 202


def test_without_an_operators_token_there_is_no_operator() -> None:
    """No token at all is not the empty one."""
    with running_web(admin_token=None) as web:
        for shown in ("Bearer", "Bearer None", f"Bearer {ADMIN_TOKEN}"):
            answer = web.client.post("/api/rooms/jam/messages", json=NOTE, headers={"Authorization": shown})
            assert answer.status_code == 401


def bearer(key: str) -> dict[str, str]:
    """How a program shows a server key."""
    return {"Authorization": f"Bearer {key}"}


def test_a_server_key_speaks_in_its_rooms(web: Web) -> None:
    """One for every room, also a session's, and one for a single room; each use is noted."""
    received = listening(web, Reply(offset=3))
    keys = web.stores.keys
    for_all, for_jam = web.do(keys.create("site")), web.do(keys.create("jukebox", "jam"))
    room = make(web.sign_up("ada@example.com"))["id"]
    web.bus.published.clear()
    for path_room in ("jam", "a%2Fb", room):
        answer = web.client.post(f"/api/rooms/{path_room}/messages", json=NOTE, headers=bearer(for_all))
        assert (answer.status_code, answer.json()) == (202, {"offset": 3})
    assert web.client.post("/api/rooms/jam/messages", json=NOTE, headers=bearer(for_jam)).status_code == 202
    assert [said.room for said in received] == ["jam", "a/b", room, "jam"]
    other = web.client.post("/api/rooms/jam2/messages", json=NOTE, headers=bearer(for_jam))
    assert (other.status_code, other.json()["code"]) == (403, "other_room")
    assert len(received) == 4
    assert all(key.last_used_at is not None for key in web.do(keys.all()))


def test_a_server_key_that_is_revoked_or_unknown_is_refused(web: Web) -> None:
    """At once, and however often; the operator's token and other keys are not kept waiting by that."""
    web.bus.gateway = lambda said: Reply(offset=1)
    keys = web.stores.keys
    revoked, other = web.do(keys.create("site")), web.do(keys.create("jukebox"))
    web.do(keys.revoke("site"))
    path = "/api/rooms/jam/messages"
    for shown in [revoked, revoked + "x", "osk_", "osk_" + "x" * 43, *[revoked] * 10]:
        answer = web.client.post(path, json=NOTE, headers=bearer(shown))
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert web.client.post(path, json=NOTE, headers=bearer(other)).status_code == 202
    assert web.client.post(path, json=NOTE, headers=OPERATOR).status_code == 202


def test_of_a_server_key_only_the_digest_is_stored(web: Web) -> None:
    """Whoever reads the database cannot use the keys."""
    key = web.do(web.stores.keys.create("site"))
    row = web.do(web.database.row("SELECT server_keys::text AS line, digest FROM server_keys"))
    assert row is not None
    assert key not in row["line"]
    assert row["digest"] == hashlib.sha256(key.encode()).digest()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"type": "note", "payload": NaN}', "invalid_json"),
        (b'{"type": "note", "payload": "\xff"}', "invalid_json"),
        (b"[]", "invalid_message"),
        (b"{}", "invalid_message"),
        (b'{"type": 1}', "invalid_message"),
        (b'{"type": ""}', "invalid_message"),
        (b'{"type": "' + b"t" * 129 + b'"}', "invalid_message"),
        (b'{"type": "note", "to": 1}', "invalid_message"),
        (b'{"type": "signal.offer"}', "invalid_message"),
        (b'{"type": "note", "payload": ' + b"[" * 64 + b"]" * 64 + b"}", "too_deep"),
        (b'{"type": "note", "payload": ' + b"[" * 60_000, "too_deep"),
        (b'{"type": "note", "payload": 1e999}', "invalid_number"),
        (b'{"type": "note", "payload": [' + b"9" * 50_000 + b"]}", "invalid_number"),
        (b'{"type": "welcome"}', "reserved_type"),
        (b'{"type": "session.deleted"}', "reserved_type"),
        (b'{"type": "presence.set"}', "reserved_type"),
        (b'{"type": "heartbeat"}', "reserved_type"),
    ],
    ids=lambda value: repr(value)[:32],
)
def test_what_cannot_be_said_is_refused(web: Web, body: bytes, code: str) -> None:
    """400, as on the wire, and nothing is said."""
    answer = web.client.post("/api/rooms/jam/messages", content=body, headers=JSON | OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not web.bus.published


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(code="unknown_member", message="They are not here."), 404),
        (Reply(code="too_large", message="It is too large."), 400),
        (Reply(code="state_conflict", message="It has version 3."), 409),
        (Reply(code="invalid_transport", message="It is too fast."), 400),
        (Reply(code="room_crashed", message="The room could not take it."), 503),
    ],
)
def test_what_the_room_says_is_passed_on(web: Web, reply: Reply, status: int) -> None:
    """Its code and its sentence."""
    web.bus.gateway = lambda said: reply
    answer = web.client.post("/api/rooms/jam/messages", json=NOTE, headers=OPERATOR)
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["error"]) == (status, reply.message)
    assert body["code"] == ("unavailable" if status == 503 else reply.code)


@pytest.mark.timing
def test_a_room_that_nobody_is_in_hears_nothing(web: Web) -> None:
    """409 `room_empty`: at once when there is no gateway, after a second when none has the room."""
    nobody = web.client.post("/api/rooms/jam/messages", json=NOTE, headers=OPERATOR)
    web.bus.gateway = lambda said: None
    before_s = time.monotonic()
    silence = web.client.post("/api/rooms/jam/messages", json=NOTE, headers=OPERATOR)
    assert 0.9 < time.monotonic() - before_s < 2
    assert [(answer.status_code, answer.json()["code"]) for answer in (nobody, silence)] == [(409, "room_empty")] * 2


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["down", "hung"])
def test_without_the_bus_nobody_can_be_told(web: Web, kind: str) -> None:
    """503 within two seconds, never a 202."""
    web.bus.trouble.kind = kind
    before_s = time.monotonic()
    answer = web.client.post("/api/rooms/jam/messages", json=NOTE, headers=OPERATOR)
    assert time.monotonic() - before_s < 2
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
