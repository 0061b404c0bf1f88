"""`/api/presence`: coming, being listed and going without a socket (SPEC 3)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from omnisonic.models import Account, Member
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import LeaseDropped, LeasePut, RoleLost
from omnisonic.stores.presence import LeaseBound
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.running import Web, running_web
from tests.valkey_server import ValkeyServer

ADA = {"roomId": "jam", "memberId": "ada", "displayName": "Ada"}


def put(web: Web, body: dict[str, Any]) -> tuple[int, Any]:
    answer = web.client.post("/api/presence", json=body)
    return answer.status_code, answer.json()


def drop(web: Web, body: dict[str, Any]) -> tuple[int, Any]:
    answer = web.client.request("DELETE", "/api/presence", json=body)
    return answer.status_code, answer.json()


def test_whoever_is_put_is_listed(web: Web) -> None:
    """A member that was put comes back with the name, the status, and when they were last seen, in UTC."""
    assert put(web, {**ADA, "status": "away"}) == (200, {"ok": True})
    answer = web.client.get("/api/presence", params={"roomId": "jam"})
    assert answer.status_code == 200
    (line,) = answer.json()["members"]
    shown = {"memberId": "ada", "displayName": "Ada", "status": "away", "connected": True}
    assert {**line, "lastSeen": ""} == {**shown, "lastSeen": ""}
    assert line["lastSeen"].endswith("Z")
    assert abs(datetime.fromisoformat(line["lastSeen"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_room_that_nobody_is_in_is_empty(web: Web) -> None:
    """Asking about a room does not need it to exist."""
    assert web.client.get("/api/presence", params={"roomId": "nowhere"}).json() == {"members": []}


def test_putting_tells_the_live_room(web: Web) -> None:
    """The event on the bus carries the member and the time to live."""
    put(web, {**ADA, "ttlSeconds": 7})
    (event,) = web.bus.published
    assert event.channel == ROOM_EVENTS
    assert web.bus.events == [LeasePut("jam", Member("ada", "Ada"), 7)]


def test_a_lease_lasts_as_long_as_the_settings_say() -> None:
    """Without `ttlSeconds` the time to live is PRESENCE_TTL."""
    with running_web({"PRESENCE_TTL": "33"}) as web:
        assert put(web, ADA)[0] == 200
        assert web.presence.rooms["jam"]["ada"].ttl_s == 33


@pytest.mark.parametrize("ttl", [1, 900, 60.0])
def test_any_whole_number_of_seconds_is_a_time_to_live(web: Web, ttl: float) -> None:
    """JSON has one kind of number: 60.0 is the integer 60."""
    assert put(web, {**ADA, "ttlSeconds": ttl}) == (200, {"ok": True})
    assert web.presence.rooms["jam"]["ada"].ttl_s == ttl


def test_leaving_twice_is_no_error(web: Web) -> None:
    """DELETE is idempotent, and the room is told each time."""
    put(web, ADA)
    gone = {"roomId": "jam", "memberId": "ada"}
    assert [drop(web, gone), drop(web, gone)] == [(200, {"ok": True})] * 2
    assert web.presence.rooms["jam"] == {}
    assert web.bus.events[1:] == [LeaseDropped("jam", "ada")] * 2


def test_properties_that_nobody_knows_are_ignored(web: Web) -> None:
    """A newer client may say more."""
    assert put(web, {**ADA, "instrument": "oud"})[0] == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"roomId": ""}, "invalid_room_id"),
        ({"roomId": " \u2003"}, "invalid_room_id"),
        ({"roomId": "r" * 129}, "invalid_room_id"),
        ({"roomId": None}, "invalid_room_id"),
        ({"roomId": ["jam"]}, "invalid_room_id"),
        ({"memberId": 7}, "invalid_member_id"),
        ({"memberId": "a\u0000"}, "invalid_member_id"),
        ({"displayName": "A" * 65}, "invalid_display_name"),
        ({"displayName": "\u202eevil"}, "invalid_display_name"),
        ({"displayName": "two\nlines"}, "invalid_display_name"),
        ({"status": "asleep"}, "invalid_status"),
        ({"status": True}, "invalid_status"),
        ({"ttlSeconds": 0}, "invalid_ttl_seconds"),
        ({"ttlSeconds": 901}, "invalid_ttl_seconds"),
        ({"ttlSeconds": 10**30}, "invalid_ttl_seconds"),
        ({"ttlSeconds": 1.5}, "invalid_ttl_seconds"),
        ({"ttlSeconds": "60"}, "invalid_ttl_seconds"),
        ({"ttlSeconds": True}, "invalid_ttl_seconds"),
    ],
)
def test_a_value_that_cannot_be_is_named(web: Web, change: dict[str, Any], code: str) -> None:
    """Each bad value is 400 with the code of its property and one sentence, and nothing is stored."""
    status, problem = put(web, ADA | change)
    assert (status, problem["code"]) == (400, code)
    assert problem["error"].endswith(".")
    assert not web.presence.rooms
    assert not web.bus.published


@pytest.mark.parametrize("name", ["roomId", "memberId", "displayName"])
def test_a_property_that_is_missing_is_named(web: Web, name: str) -> None:
    """The sentence says which one."""
    status, problem = put(web, {key: value for key, value in ADA.items() if key != name})
    assert (status, problem["error"]) == (400, f"{name} is missing.")


@pytest.mark.parametrize("query", ["", "roomId=", "roomId=a&roomId=b", "roomId=%00", "roomId=%ff", "roomid=jam"])
def test_a_roster_needs_one_room(web: Web, query: str) -> None:
    """Missing, doubled or impossible room ids are 400."""
    answer = web.client.get(f"/api/presence?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_room_id")


@pytest.mark.timing
@pytest.mark.parametrize("part", ["presence", "bus"])
@pytest.mark.parametrize("kind", ["down", "hung"])
def test_a_store_that_does_not_answer_is_503(web: Web, part: str, kind: str) -> None:
    """Whether store or bus is down or hangs: 503 within two seconds, with advice on when to come back."""
    (web.presence if part == "presence" else web.bus).trouble.kind = kind
    before_s = time.monotonic()
    answer = web.client.post("/api/presence", json=ADA)
    assert time.monotonic() - before_s < 2
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_rooms_with_tickets_are_for_those_who_have_a_role(ticket_web: Web) -> None:
    """Owner and collaborators see and join the roster; to others the room is unknown, to strangers closed."""
    ada, bob, eve = (ticket_web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "eve"))
    session = make(ada)
    share(ada, session, bob)
    ticket_web.bus.published.clear()
    here = ADA | {"roomId": session["id"]}
    for client, status in ((ticket_web.client, 401), (eve, 404), (bob, 200), (ada, 200)):
        body = here | {"memberId": f"{status} {id(client)}"}
        answers = [
            client.post("/api/presence", json=body),
            client.get("/api/presence", params={"roomId": session["id"]}),
            client.request("DELETE", "/api/presence", json=body),
        ]
        assert [answer.status_code for answer in answers] == [status] * 3
    assert len(ticket_web.bus.published) == 4
    assert ada.get("/api/presence", params={"roomId": "jam"}).status_code == 404


def test_a_lease_is_the_person_s_who_took_it(ticket_web: Web) -> None:
    """Another who asks for the same memberId is 409 `member_taken`, and cannot take it out either."""
    ada, bob = ticket_web.sign_up("ada@example.com"), ticket_web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    ticket_web.bus.published.clear()
    room, here = session["id"], ADA | {"roomId": session["id"]}
    assert ada.post("/api/presence", json=here).status_code == 200
    taken = bob.post("/api/presence", json=here | {"displayName": "Not Ada"})
    assert (taken.status_code, taken.json()["code"]) == (409, "member_taken")
    assert bob.request("DELETE", "/api/presence", json=here).status_code == 200
    (line,) = bob.get("/api/presence", params={"roomId": room}).json()["members"]
    assert line["displayName"] == "Ada"
    assert "person" not in line
    person = session["owner"]["id"]
    member = Member("ada", "Ada", account=Account(person, "ada"))
    assert ticket_web.bus.events[0] == LeasePut(room, member, 60, person)
    assert ada.request("DELETE", "/api/presence", json=here).status_code == 200
    assert ticket_web.bus.events[-1] == LeaseDropped(room, "ada", person)
    assert ticket_web.presence.rooms[room] == {}


def test_a_person_keeps_four_leases_in_a_room(valkey: ValkeyServer, database_url: str) -> None:
    """One more is 409, renewing is not; the others in the session have their own, and so has each room."""
    with running_web({"ROOM_ACCESS": "ticket"}, database_url=database_url, redis_url=valkey.url) as web:
        ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
        jam, duo = make(ada), make(ada)
        share(ada, jam, bob)

        def put(client: httpx.Client, session: dict[str, Any], number: int) -> httpx.Response:
            return client.post("/api/presence", json=ADA | {"roomId": session["id"], "memberId": f"m{number}"})

        assert [put(bob, jam, number).status_code for number in (1, 2, 3, 4, 1)] == [200] * 5
        refused = put(bob, jam, 5)
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_leases")
        assert put(ada, jam, 6).status_code == put(ada, duo, 1).status_code == 200
        assert bob.request("DELETE", "/api/presence", json=ADA | {"roomId": jam["id"], "memberId": "m1"}).is_success
        assert put(bob, jam, 5).status_code == 200


def test_leases_leave_half_of_a_room_to_those_who_come_by_a_socket() -> None:
    """Whatever the settings say a room holds; and with tickets the bound is a person's, without them an address's."""
    for most, of_room in (("0", 256), ("2000", 256), ("100", 50), ("1", 0)):
        with running_web({"MAX_MEMBERS_PER_ROOM": most, "TRUSTED_PROXIES": "127.0.0.1"}) as web:
            web.client.headers["X-Forwarded-For"] = "198.51.100.7"
            assert put(web, ADA)[0] == 200
            assert web.presence.bound == LeaseBound("address 198.51.100.7", 32, of_room)


@pytest.mark.parametrize("act", ["remove", "leave", "delete"])
def test_leases_end_with_the_role(ticket_web: Web, act: str) -> None:
    """Whoever is removed, leaves, or loses the session is gone from the roster at once, and so is nobody else."""
    ada, bob = ticket_web.sign_up("ada@example.com"), ticket_web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    room = session["id"]
    for client, name in ((ada, "ada"), (bob, "bob"), (bob, "recorder")):
        assert client.post("/api/presence", json=ADA | {"roomId": room, "memberId": name}).status_code == 200
    path = f"/api/sessions/{room}" + ("" if act == "delete" else f"/collaborators/{user_id(bob)}")
    assert (bob if act == "leave" else ada).delete(path).status_code == 200
    assert list(ticket_web.presence.rooms[room]) == ([] if act == "delete" else ["ada"])


def test_a_lease_put_while_the_role_ends_is_taken_back(ticket_web: Web) -> None:
    """The role is there when it is looked at first and gone when the lease is: 404, no lease, and the room is told."""
    ada, bob = ticket_web.sign_up("ada@example.com"), ticket_web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    room, person = session["id"], user_id(bob)
    ticket_web.bus.published.clear()

    async def role_ends() -> None:
        await ticket_web.database.row("DELETE FROM session_members WHERE user_id = $1", person)

    ticket_web.presence.once_put = role_ends
    answer = bob.post("/api/presence", json=ADA | {"roomId": room})
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert ticket_web.presence.rooms[room] == {}
    assert ticket_web.bus.events == [
        LeasePut(room, Member("ada", "Ada", account=Account(person, "bob")), 60, person),
        LeaseDropped(room, "ada", person),
    ]


@pytest.mark.parametrize("kind", ["down", "hung"])
def test_a_role_ends_whatever_becomes_of_the_leases(ticket_web: Web, kind: str) -> None:
    """A roster that does not answer delays whoever is removed by a second at most, and the rooms are told."""
    ada, bob = ticket_web.sign_up("ada@example.com"), ticket_web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    path = f"/api/sessions/{session['id']}/collaborators/{user_id(bob)}"
    ticket_web.bus.published.clear()
    ticket_web.presence.trouble.kind = kind
    assert ada.delete(path).status_code == 200
    assert ticket_web.bus.events[0] == RoleLost(session["id"], user_id(bob))


def forms(id_: str) -> list[str]:
    """How else a UUID can be written."""
    return [id_, id_.upper(), id_.replace("-", ""), "{" + id_ + "}"]


def test_a_sessions_room_is_its_members_alone_where_other_rooms_are_open(web: Web) -> None:
    """A stranger is 401 and another user 404, whatever they do and however they write the id; nothing comes of it."""
    ada, eve = web.sign_up("ada@example.com"), web.sign_up("eve@example.com")
    session = make(ada)["id"]
    for room in forms(session):
        here = ADA | {"roomId": room}
        for client, refused in ((web.client, (401, "sign_in_required")), (eve, (404, "session_not_found"))):
            reported = [
                client.get("/api/presence", params={"roomId": room}),
                client.post("/api/presence", json=here),
                client.request("DELETE", "/api/presence", json=here),
            ]
            assert [(answer.status_code, answer.json()["code"]) for answer in reported] == [refused] * 3, room
        answer = eve.post(f"/api/rooms/{room}/ticket", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
        assert web.client.post(f"/api/rooms/{room}/messages", json={"type": "cue"}).status_code == 401
    assert web.presence.rooms == {}
    assert web.bus.events == []
    assert ada.post("/api/presence", json=ADA | {"roomId": session}).status_code == 200
    (line,) = ada.get("/api/presence", params={"roomId": session}).json()["members"]
    assert line["account"]["name"] == "ada"
    assert ada.post(f"/api/rooms/{session}/ticket", json={}).status_code == 201


def test_rooms_that_are_no_sessions_are_anybodys(web: Web) -> None:
    """Also when they are called like a UUID; nobody is known there."""
    for room in ("jam", str(uuid4())):
        assert put(web, ADA | {"roomId": room}) == (200, {"ok": True})
        (line,) = web.client.get("/api/presence", params={"roomId": room}).json()["members"]
        assert "account" not in line
        assert drop(web, ADA | {"roomId": room}) == (200, {"ok": True})


def test_without_the_database_only_rooms_that_cannot_be_a_sessions_are_open() -> None:
    """Whether a UUID is a session's cannot be said: 503. All others are not asked about."""
    with running_web() as web:
        assert put(web, ADA) == (200, {"ok": True})
        status, answer = put(web, ADA | {"roomId": str(uuid4())})
        assert (status, answer["code"]) == (503, "unavailable")


@pytest.mark.parametrize("is_open", [True, False])
def test_ids_of_users_are_theirs(web: Web, ticket_web: Web, is_open: bool) -> None:
    """Neither a lease nor a ticket is to be had by another user's id; by one's own it is, and by nobody's."""
    web = web if is_open else ticket_web
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    room, ticket, own = session["id"], f"/api/rooms/{session['id']}/ticket", session["owner"]["id"]
    for form in forms(own):
        here = {"roomId": room, "memberId": form, "displayName": "Ada"}
        answers = [bob.post("/api/presence", json=here), bob.post(ticket, json={"memberId": form})]
        assert [(each.status_code, each.json()["code"]) for each in answers] == [(409, "member_reserved")] * 2, form
        assert ada.post(ticket, json={"memberId": form}).status_code == 201
    assert ada.post("/api/presence", json={"roomId": room, "memberId": own, "displayName": "A"}).status_code == 200
    for free in (str(uuid4()), "bass"):
        assert bob.post(ticket, json={"memberId": free}).status_code == 201
        here = {"roomId": room, "memberId": free, "displayName": "B"}
        assert bob.post("/api/presence", json=here).status_code == 200
