"""Entering by ticket or cookie, and every attack on it, over real sockets and on a real database (SPEC 5.1)."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.identity.tickets import LIFE_MS, SKEW_MS
from tests.clients import upgrade_request
from tests.gateway.http_answers import asked
from tests.gateway.people import (
    PAGE,
    People,
    Somebody,
    enter,
    open_ticket_stage,
    shown,
    unknown_session,
)
from tests.rooms import Stage, eventually
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

DAY_MS: Final = 86_400_000


@pytest.fixture
async def ada(people: People) -> Somebody:
    """A user."""
    return await people.sign_up("ada")


@pytest.fixture
async def room(people: People, ada: Somebody) -> str:
    """A session of Ada's."""
    return await people.session(ada)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    """A gateway that asks for tickets."""
    async with open_ticket_stage(database_url) as stage:
        yield stage


async def answer(stage: Stage, target: str = "/", **headers: str) -> tuple[int, str]:
    """The status, and the code of the error, that such a handshake is answered with."""
    status, _, body = await asked(stage, upgrade_request(target, stage.port, **headers))
    return status, str(body.get("code", ""))


async def by_ticket(stage: Stage, ticket: str, target: str = "/") -> tuple[int, str]:
    """What becomes of somebody who shows this ticket."""
    return await answer(stage, target, Sec_WebSocket_Protocol=shown(ticket))


async def test_a_ticket_lets_its_person_in(stage: Stage, ada: Somebody, room: str) -> None:
    """It says all that the query may leave out, and the others see its member."""
    async with await enter(stage, ada, room) as bare:
        welcome = bare.welcome["payload"]
    assert (welcome["roomId"], welcome["memberId"]) == (room, "ada")
    account = {"id": ada.person, "name": "Ada"}
    assert welcome["members"] == [
        {"memberId": "ada", "displayName": "Ada", "status": "active", "connected": True, "account": account}
    ]


async def test_the_subprotocol_is_spoken_and_the_ticket_is_not_repeated(stage: Stage, ada: Somebody, room: str) -> None:
    """The browser gets `omnisonic` of the two that it offered."""
    request = upgrade_request("/", stage.port, Sec_WebSocket_Protocol=shown(ada.ticket(room)))
    _, headers, _ = await asked(stage, request)
    assert headers["sec-websocket-protocol"] == "omnisonic"


async def test_a_ticket_in_the_query_does_as_well(stage: Stage, ada: Somebody, room: str) -> None:
    """Also when it is shown in both places, and the query says the same as the ticket, and a status beside it."""
    assert await answer(stage, f"/?ticket={ada.ticket(room)}") == (101, "")
    ticket = ada.ticket(room)
    assert await by_ticket(stage, ticket, stage.target("ada", room, ticket=ticket, status="away")) == (101, "")


@pytest.mark.parametrize("origin", [PAGE, ""])
async def test_a_ticket_counts_with_our_origin_and_without_one(
    stage: Stage, ada: Somebody, room: str, origin: str
) -> None:
    """A browser says where its page is from, a program does not."""
    protocols = shown(ada.ticket(room))
    assert await answer(stage, Origin=origin, Sec_WebSocket_Protocol=protocols) == (101, "")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:3000.evil.example"])
async def test_a_foreign_origin_is_refused_whatever_it_shows(
    stage: Stage, ada: Somebody, room: str, origin: str
) -> None:
    """403 before the upgrade, with a good ticket as with a good cookie; and the ticket is not used up by it."""
    ticket = ada.ticket(room)
    assert await answer(stage, Origin=origin, Sec_WebSocket_Protocol=shown(ticket)) == (403, "foreign_origin")
    target = stage.target("ada", room)
    assert await answer(stage, target, Origin=origin, Cookie=ada.cookie()) == (403, "foreign_origin")
    assert await by_ticket(stage, ticket) == (101, "")


async def test_a_stranger_is_asked_for_a_ticket(stage: Stage, room: str) -> None:
    """401 for whoever shows nothing, or a cookie of somebody else's making, whatever their query says."""
    for target in (stage.target("ada", room), "/", "/?roomId=a&roomId=b", "/?ticket=", "/?status=gone"):
        for cookie in ("", "omnisonic=", "omnisonic=forged", "omnisonic=a.b.c; x", "\xff=\xff", "omnisonic=\xff.x.y"):
            request = upgrade_request(target, stage.port, Origin=PAGE).replace(
                b"\r\n\r\n", b"\r\nCookie: " + cookie.encode("latin-1") + b"\r\n\r\n"
            )
            status, _, body = await asked(stage, request)
            assert (status, body["code"]) == (401, "ticket_required"), (target, cookie)
    assert len(stage.gateway.registry) == 0


async def test_a_ticket_is_good_once(stage: Stage, ada: Somebody, room: str) -> None:
    """A second use is 403, while the first is in as after it has left."""
    ticket = ada.ticket(room)
    async with await stage.bare() as bare:
        await bare.stream.send_all(upgrade_request("/", stage.port, Sec_WebSocket_Protocol=shown(ticket)))
        await bare.head()
        await bare.next("welcome")
        assert await by_ticket(stage, ticket) == (403, "invalid_ticket")
        assert stage.roster(room) == ["ada"]
    assert await by_ticket(stage, ticket) == (403, "invalid_ticket")


def tampered(ticket: str) -> list[str]:
    """Tickets that are nearly this one."""
    payload, _, signature = ticket.partition(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    content["memberId"] = "eve"
    other = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    turned = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    signatures = (turned, "", f"{signature}x", signature[:-1], f"{signature}.{signature}")
    texts = [f"{payload}.{each}" for each in signatures]
    return [*texts, f"{other}.{signature}", f".{signature}", payload, f"{payload}=.{signature}", "x", "a.b", ".."]


async def test_a_ticket_that_was_tampered_with_is_refused(stage: Stage, ada: Somebody, room: str) -> None:
    """Whichever part of it, and one signed with another secret; the true one is still good after all that."""
    ticket = ada.ticket(room)
    for text in [*tampered(ticket), ada.ticket(room, secret="x" * 40)]:
        assert await by_ticket(stage, text) == (403, "invalid_ticket"), text
        assert await answer(stage, f"/?ticket={text}") == (403, "invalid_ticket"), text
    assert await by_ticket(stage, ticket) == (101, "")


async def test_a_ticket_is_good_for_its_time_only(stage: Stage, ada: Somebody, room: str) -> None:
    """Expired, from a clock that is ahead, or a day off either way: refused."""
    now_ms = stage.gateway.options.now_ms()
    for issued_ms in (now_ms - LIFE_MS, now_ms - DAY_MS, now_ms + DAY_MS, now_ms + 2 * SKEW_MS):
        ticket = ada.ticket(room, issued_ms=issued_ms, expires_ms=issued_ms + LIFE_MS)
        assert await by_ticket(stage, ticket) == (403, "invalid_ticket")
    ticket = ada.ticket(room, issued_ms=now_ms + SKEW_MS // 2, expires_ms=now_ms + LIFE_MS)
    assert await by_ticket(stage, ticket) == (101, "")


async def test_the_query_must_agree_with_the_ticket(stage: Stage, people: People, ada: Somebody, room: str) -> None:
    """Another room, though Ada has a role there, another member, another name: 403, and the ticket is not used up."""
    other = await people.session(ada)
    ticket = ada.ticket(room)
    for query in (f"roomId={other}", "memberId=eve", "displayName=Eve", "memberId=", f"roomId={{{room}}}"):
        assert await by_ticket(stage, ticket, f"/?{query}") == (403, "invalid_ticket"), query
    assert await by_ticket(stage, ticket, f"/?roomId={room.upper()}&memberId=ada&displayName=Ada") == (101, "")


async def test_two_tickets_at_once_are_none(stage: Stage, ada: Somebody, room: str) -> None:
    """Two different ones, in two places or in one; the same one twice in the query is told after the upgrade."""
    one, two = ada.ticket(room), ada.ticket(room)
    assert await by_ticket(stage, one, f"/?ticket={two}") == (403, "invalid_ticket")
    assert await answer(stage, Sec_WebSocket_Protocol=f"ticket.{one}, ticket.{two}") == (403, "invalid_ticket")
    assert await answer(stage, f"/?ticket={one}&ticket={one}") == (401, "ticket_required")


async def test_what_is_wrong_with_the_query_beside_a_good_ticket_is_told(
    stage: Stage, ada: Somebody, room: str
) -> None:
    """After the upgrade, as ever; and the ticket is not used up."""
    ticket = ada.ticket(room)
    for query, code in (("status=gone", "invalid_status"), ("x=%ff", "invalid_query")):
        async with await stage.bare() as bare:
            request = upgrade_request(f"/?{query}", stage.port, Sec_WebSocket_Protocol=shown(ticket))
            await bare.stream.send_all(request)
            await bare.head()
            assert (await bare.hear())["payload"]["code"] == code
            assert await bare.closed() == (1008, code)
    assert await by_ticket(stage, ticket) == (101, "")


async def test_the_cookie_of_the_pages_lets_its_user_in(stage: Stage, ada: Somebody, room: str) -> None:
    """From the studio's own origin, with a query that says all; an incomplete one is told after the upgrade."""
    target = stage.target("m1", room)
    assert await answer(stage, target, Origin=PAGE, Cookie=ada.cookie()) == (101, "")
    async with await stage.bare() as bare:
        await bare.stream.send_all(upgrade_request("/?roomId=x", stage.port, Origin=PAGE, Cookie=ada.cookie()))
        await bare.head()
        assert (await bare.hear())["payload"]["code"] == "invalid_query"


async def test_a_cookie_counts_only_with_our_origin(stage: Stage, ada: Somebody, room: str) -> None:
    """No header at all is no page of ours: 403, where a ticket would do."""
    target = stage.target("ada", room)
    assert await answer(stage, target, Cookie=ada.cookie()) == (403, "foreign_origin")


async def test_a_cookie_signed_with_another_secret_is_none(stage: Stage, ada: Somebody, room: str) -> None:
    """It is as if there were none."""
    cookie = ada.cookie(secret="another secret, just as long as ours is")
    assert await answer(stage, stage.target("ada", room), Origin=PAGE, Cookie=cookie) == (401, "ticket_required")


async def test_without_a_role_a_session_looks_like_none(stage: Stage, people: People, ada: Somebody, room: str) -> None:
    """The same answer, byte for byte, for another's session, for no session, and for what cannot be one."""
    eve = await people.sign_up("eve")
    answers = set()
    for target in (room, unknown_session(), "jam", room.upper(), "{" + room + "}", room.replace("-", "")):
        ticket = eve.ticket(target)
        for headers in ({"Sec_WebSocket_Protocol": shown(ticket)}, {"Cookie": eve.cookie(), "Origin": PAGE}):
            async with await stage.bare() as bare:
                await bare.stream.send_all(upgrade_request(stage.target("eve", target), stage.port, **headers))
                answers.add(await bare.rest())
    (only,) = answers
    assert b"403 Forbidden" in only
    assert b'"code":"no_access"' in only
    assert await by_ticket(stage, ada.ticket("{" + room + "}")) == (403, "no_access")
    assert len(stage.gateway.registry) == 0


async def test_a_ticket_ends_with_its_sign_in_and_with_the_role(
    stage: Stage, people: People, ada: Somebody, room: str
) -> None:
    """One issued a moment before opens nothing any more; nor does the ticket of one sign-in with another's person."""
    bo, eve = await people.sign_up("bo"), await people.sign_up("eve")
    shared = await people.session(ada, bo)
    ticket = bo.ticket(shared)
    await people.sessions.remove(ada.login, shared, bo.person)
    assert await by_ticket(stage, ticket) == (403, "no_access")
    assert await by_ticket(stage, ada.ticket(room, person=eve.person)) == (403, "no_access")
    ticket = ada.ticket(room)
    await people.accounts.end_login(ada.login)
    assert await by_ticket(stage, ticket) == (403, "no_access")
    target = stage.target("ada", room)
    assert await answer(stage, target, Origin=PAGE, Cookie=ada.cookie()) == (403, "no_access")


async def test_fifty_uses_of_one_ticket_at_two_gateways_let_one_in(
    people: People, ada: Somebody, room: str, database_url: str, valkey: ValkeyServer
) -> None:
    """They meet in Valkey, so at once and at both doors: once in total."""
    async with (
        open_ticket_stage(database_url, valkey.url) as one,
        open_ticket_stage(database_url, valkey.url) as two,
    ):
        for ticket in (ada.ticket(room), ada.ticket(room)):
            answers: list[tuple[int, str]] = []

            async def use(stage: Stage, ticket: str, answers: list[tuple[int, str]]) -> None:
                answers.append(await by_ticket(stage, ticket))

            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(use, (one, two)[number % 2], ticket, answers)
            assert sorted(answers) == [(101, ""), *[(403, "invalid_ticket")] * 49]


async def test_somebody_else_does_not_get_a_members_seat(stage: Stage, people: People, ada: Somebody) -> None:
    """`member_taken` and 1008 for another person, 4001 for one's own older connection; the seat's owner stays."""
    bo = await people.sign_up("bo")
    room = await people.session(ada, bo)
    async with await enter(stage, ada, room, member_id="guitar") as first:
        async with await stage.bare() as thief:
            protocols = shown(bo.ticket(room, member_id="guitar"))
            await thief.stream.send_all(upgrade_request("/", stage.port, Sec_WebSocket_Protocol=protocols))
            await thief.head()
            assert (await thief.next("error"))["payload"]["code"] == "member_taken"
            assert await thief.closed() == (1008, "member_taken")
        again = await people.sign_in_again(ada)
        async with await enter(stage, again, room, member_id="guitar"):
            assert await first.closed() == (4001, "replaced")
            assert stage.roster(room) == ["guitar"]


async def test_nothing_is_left_of_those_who_were_refused(stage: Stage, ada: Somebody, room: str) -> None:
    """No connection, no room, no pending admission, nothing to revoke."""
    for ticket in (ada.ticket(unknown_session()), ada.ticket(room, secret="x" * 40)):
        await by_ticket(stage, ticket)
    assert await by_ticket(stage, ada.ticket(room)) == (101, "")
    await eventually(lambda: not stage.gateway.connections)
    assert len(stage.gateway.pending) == len(stage.gateway.revocation) == 0
