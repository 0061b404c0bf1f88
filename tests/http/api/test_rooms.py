"""`POST /api/rooms/{roomId}/ticket`: what lets somebody into a room once (SPEC 3, 5.1)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from omnisonic.identity.logins import LoginCookies, login_id
from omnisonic.identity.tickets import LIFE_MS, Ticket, TicketPrinter
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.running import SECRET, Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

LIVEKIT_SECRET: Final = "a secret for the tokens, of 32 bytes"


def read(ticket: str) -> Ticket:
    return TicketPrinter(SECRET).read(ticket, now_ms=time.time_ns() // 1_000_000)


def test_a_ticket_says_who_may_enter_which_room(ticket_web: Web) -> None:
    """It is the caller's, bound to their sign-in, theirs by default in name and id, and good for seconds."""
    ada = ticket_web.sign_up("ada@example.com", name="Ada Lovelace")
    room = make(ada)["id"]
    answer = ada.post(f"/api/rooms/{room}/ticket", json={})
    assert answer.status_code == 201
    body = answer.json()
    ticket = read(body["ticket"])
    cookies = LoginCookies(SECRET, secure=False)
    token = cookies.load(ada.cookies[cookies.name])
    assert token is not None
    assert (ticket.room_id, ticket.member_id, ticket.display_name) == (room, user_id(ada), "Ada Lovelace")
    assert (ticket.person, ticket.login) == (user_id(ada), login_id(token))
    assert ticket.expires_ms - ticket.issued_ms == LIFE_MS <= 30_000
    ends_at = datetime.fromisoformat(body["expiresAt"])
    assert timedelta(seconds=25) < ends_at - datetime.now(UTC) <= timedelta(seconds=30)
    assert body["eventsUrl"] == f"{ticket_web.url}/api/rooms/{room}/events"
    assert set(body) == {"ticket", "url", "eventsUrl", "expiresAt"}


def test_the_url_says_all_but_the_ticket(ticket_web: Web) -> None:
    """Beside the web unless the settings say otherwise, with the query that the handshake wants."""
    ada = ticket_web.sign_up("ada@example.com")
    room = make(ada)["id"]
    wanted = {"memberId": "ada & co", "displayName": "Ådå #1"}
    body = ada.post(f"/api/rooms/{room}/ticket", json=wanted).json()
    url = urlsplit(body["url"])
    assert (url.scheme, url.netloc, url.path) == ("ws", "127.0.0.1:9", "/")
    assert parse_qs(url.query) == {"roomId": [room], **{name: [value] for name, value in wanted.items()}}
    assert body["ticket"] not in body["url"]
    ticket = read(body["ticket"])
    assert {"memberId": ticket.member_id, "displayName": ticket.display_name} == wanted


def test_tickets_are_never_the_same(ticket_web: Web) -> None:
    """Each has an id of its own, so each is good once."""
    ada = ticket_web.sign_up("ada@example.com")
    room = make(ada)["id"]
    tickets = [read(ada.post(f"/api/rooms/{room}/ticket", json={}).json()["ticket"]) for _ in range(20)]
    assert len({ticket.id for ticket in tickets}) == 20


@pytest.mark.parametrize(
    ("email", "name", "shown"),
    [
        ("grace.hopper@example.com", None, "grace.hopper"),
        ("g@example.com", " \t", "g"),
        ("g@example.com", "x" * 90, "x" * 64),
        ("g@example.com", "A\u202eda\n", "Ada"),
        ("g@example.com", "\u200f\u200f", "Somebody"),
    ],
)
def test_a_default_name_is_always_a_possible_one(ticket_web: Web, email: str, name: str | None, shown: str) -> None:
    """The name, or what the address begins with; cut, and freed of what could fake a name on a screen."""
    ada = ticket_web.sign_up(email, name=name)
    room = make(ada)["id"]
    assert read(ada.post(f"/api/rooms/{room}/ticket", json={}).json()["ticket"]).display_name == shown


def test_a_ticket_needs_a_role(ticket_web: Web) -> None:
    """Collaborators get one; to all others the room is as unknown as one that is not there, in the same words."""
    ada, bob, eve = (ticket_web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "eve"))
    session = make(ada)
    share(ada, session, bob)
    assert bob.post(f"/api/rooms/{session['id']}/ticket", json={}).status_code == 201
    foreign, unknown, named = (
        eve.post(f"/api/rooms/{room}/ticket", json={})
        for room in (session["id"], "00000000-0000-4000-8000-00000000dead", "jam")
    )
    assert (foreign.status_code, foreign.json()["code"]) == (404, "session_not_found")
    assert foreign.content == unknown.content == named.content


def test_in_open_rooms_whoever_is_signed_in_gets_one(web: Web) -> None:
    """Any room at all, its name with slashes, too."""
    ada = web.sign_up("ada@example.com")
    for room in ("jam", "a/b/ticket", "Größe 1 & 2?"):
        answer = ada.post("/api/rooms/" + _quoted(room) + "/ticket", json={})
        assert answer.status_code == 201, room
        assert read(answer.json()["ticket"]).room_id == room


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"memberId": ""}, "invalid_member_id"),
        ({"memberId": "m" * 129}, "invalid_member_id"),
        ({"memberId": "\u00e9" * 128}, "invalid_member_id"),
        ({"memberId": 1}, "invalid_member_id"),
        ({"displayName": "n" * 65}, "invalid_display_name"),
        ({"displayName": "a\u0000"}, "invalid_display_name"),
        ({"displayName": " "}, "invalid_display_name"),
    ],
)
def test_a_name_that_cannot_be_gets_no_ticket(web: Web, body: dict[str, Any], code: str) -> None:
    """400 with the code of the property."""
    answer = web.sign_up("ada@example.com").post("/api/rooms/jam/ticket", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize("room", ["r" * 129, "%20", "a%01b", "%E2%80%AE"])
def test_a_room_that_cannot_be_has_no_tickets(web: Web, room: str) -> None:
    """400 `invalid_room_id`."""
    answer = web.sign_up("ada@example.com").post(f"/api/rooms/{room}/ticket", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_room_id")


def test_a_sign_in_that_has_ended_gets_no_ticket(web: Web) -> None:
    """The copied cookie is dead: 401, in open rooms, too."""
    ada = web.sign_up("ada@example.com")
    web.forget_everybody()
    answer = ada.post("/api/rooms/jam/ticket", json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")


def test_with_livekit_a_ticket_carries_a_token_for_it(postgres_process: PostgresServer) -> None:
    """Signed with its secret: the same room, the same member, for about a minute."""
    environment = {
        "LIVEKIT_URL": "wss://sound.example",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": LIVEKIT_SECRET,
        "GATEWAY_PUBLIC_URL": "wss://live.example/rooms",
        "ROOM_ACCESS": "open",
    }
    with fresh_database(postgres_process) as url, running_web(environment, database_url=url) as web:
        ada = web.sign_up("ada@example.com")
        body = ada.post("/api/rooms/jam/ticket", json={"memberId": "ada", "displayName": "Ada"}).json()
    assert body["url"] == "wss://live.example/rooms?roomId=jam&memberId=ada&displayName=Ada"
    assert body["livekit"]["url"] == "wss://sound.example"
    token = jwt.decode(body["livekit"]["token"], OctKey.import_key(LIVEKIT_SECRET), algorithms=["HS256"])
    claims = token.claims
    assert (claims["iss"], claims["sub"], claims["name"]) == ("key", "ada", "Ada")
    assert claims["video"] == {"roomJoin": True, "room": "jam"}
    assert time.time() < claims["exp"] <= time.time() + 60
    assert claims["nbf"] <= time.time()


def test_no_ticket_is_ever_logged(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Nor the cookie that it was asked for with."""
    caplog.set_level(0)
    ada = web.sign_up("ada@example.com")
    ticket = ada.post("/api/rooms/jam/ticket", json={}).json()["ticket"]
    reported = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("omnisonic"))
    assert ticket not in reported
    assert not any(value in reported for value in ada.cookies.values())


def _quoted(room: str) -> str:
    return "".join(f"%{byte:02X}" for byte in room.encode())
