"""Who may enter a room, and what those are told who may not (SPEC 5.1)."""

from typing import Final
from urllib.parse import quote

import msgspec
import pytest
import trio

from omnisonic.wire.transport import Transport
from tests.clients import Bare, upgrade_request
from tests.gateway.conftest import BOTH_STORES, OpenStage
from tests.gateway.http_answers import asked
from tests.rooms import Stage, becomes, eventually

pytestmark = pytest.mark.timing

ADA: Final = "memberId=ada&displayName=Ada"


async def turned_away(stage: Stage, query: str) -> str:
    """The code that a client with this query is told, before it is closed for good."""
    async with await stage.bare() as bare:
        await bare.stream.send_all(upgrade_request(f"/?{query}", stage.port))
        assert (await bare.head()).startswith(b"HTTP/1.1 101 ")
        error = await bare.hear()
        code, reason = await bare.closed()
    assert error["type"] == "error"
    assert error["payload"]["message"].endswith(".")
    assert (code, reason) == (1008, error["payload"]["code"])
    return reason


async def test_a_newcomer_is_welcomed_with_all_that_it_needs(stage: Stage) -> None:
    """The first message is `welcome`, and it names everybody who is there, the newcomer included."""
    async with stage.member("ada"), stage.member("bo", status="away") as bo:
        welcome = bo.welcome["payload"]
    members = [
        {"memberId": "ada", "displayName": "Ada", "status": "active", "connected": True},
        {"memberId": "bo", "displayName": "Bo", "status": "away", "connected": True},
    ]
    assert isinstance(welcome.pop("epoch"), str)
    assert abs(welcome.pop("serverTime") - stage.gateway.options.now_ms()) < 10_000
    assert welcome == {
        "roomId": "jam", "memberId": "bo", "ttl": 60, "members": members, "offset": 0, "recovered": False,
        "state": {}, "transport": msgspec.to_builtins(Transport()),
    }  # fmt: skip


async def test_the_others_are_told_who_joins_and_who_leaves(stage: Stage) -> None:
    """Those who are there hear of the newcomer, and of the end when they leave in order."""
    async with stage.member("ada") as ada:
        async with stage.member("bo", status="away"):
            joined = await ada.hear()
        left = await ada.hear()
    assert joined == {
        "type": "presence.join",
        "payload": {"memberId": "bo", "displayName": "Bo", "status": "away", "connected": True},
    }
    assert left == {"type": "presence.leave", "payload": {"memberId": "bo", "reason": "left"}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param(ADA, "invalid_query", id="no roomId"),
        pytest.param("roomId=jam&displayName=Ada", "invalid_query", id="no memberId"),
        pytest.param("roomId=jam&memberId=ada", "invalid_query", id="no displayName"),
        pytest.param("", "invalid_query", id="no query"),
        pytest.param(f"roomId=jam&roomId=jam&{ADA}", "invalid_query", id="roomId twice"),
        pytest.param(f"roomId=jam&{ADA}&memberId=bo", "invalid_query", id="memberId twice"),
        pytest.param(f"roomId=jam&{ADA}&displayName=Bo", "invalid_query", id="displayName twice"),
        pytest.param(f"roomId=jam&{ADA}&status=away&status=active", "invalid_query", id="status twice"),
        pytest.param(f"roomId=&{ADA}", "invalid_room_id", id="blank roomId"),
        pytest.param(f"roomId=+&{ADA}", "invalid_room_id", id="roomId of spaces"),
        pytest.param("roomId=jam&memberId=&displayName=Ada", "invalid_member_id", id="blank memberId"),
        pytest.param("roomId=jam&memberId=ada&displayName=", "invalid_display_name", id="blank displayName"),
        pytest.param(f"roomId={'r' * 129}&{ADA}", "invalid_room_id", id="roomId too long"),
        pytest.param(f"roomId=jam&memberId={'m' * 129}&displayName=A", "invalid_member_id", id="memberId too long"),
        pytest.param(
            f"roomId=jam&memberId={quote('é' * 128)}&displayName=A", "invalid_member_id", id="memberId over 255 bytes"
        ),
        pytest.param(f"roomId=jam&memberId=ada&displayName={'d' * 65}", "invalid_display_name", id="name too long"),
        pytest.param(f"roomId=a%00b&{ADA}", "invalid_room_id", id="NUL"),
        pytest.param("roomId=jam&memberId=a%0d%0ab&displayName=Ada", "invalid_member_id", id="CR LF"),
        pytest.param("roomId=jam&memberId=a%7fb&displayName=Ada", "invalid_member_id", id="DEL"),
        pytest.param(
            f"roomId=jam&memberId=ada&displayName={quote('Ada' + chr(0x202E))}", "invalid_display_name", id="bidi"
        ),
        pytest.param(
            f"roomId=jam&memberId=ada&displayName={quote(chr(0x85))}", "invalid_display_name", id="C1 control"
        ),
        pytest.param(f"roomId=%ff%fe&{ADA}", "invalid_query", id="not UTF-8"),
        pytest.param(f"roomId=jam&{ADA}&status=asleep", "invalid_status", id="unknown status"),
        pytest.param(f"roomId=jam&{ADA}" + "&x=1" * 30, "invalid_query", id="too many fields"),
    ],
)
async def test_a_bad_query_is_told_and_closed(stage: Stage, query: str, code: str) -> None:
    """Browsers cannot read a refused upgrade: it is granted, one error says what is wrong, and 1008 ends it."""
    assert await turned_away(stage, query) == code
    await eventually(lambda: not stage.gateway.connections)
    assert stage.gateway.room("jam") is None


async def test_the_longest_names_are_let_in(stage: Stage) -> None:
    """What is exactly as long as it may be is no error, and markup is a name like any other."""
    member, room, name = "<" * 128, "r" * 128, "é" * 64
    async with stage.member(member, room, displayName=name) as longest:
        payload = longest.welcome["payload"]
    assert (payload["roomId"], payload["memberId"]) == (room, member)
    assert payload["members"] == [{"memberId": member, "displayName": name, "status": "active", "connected": True}]


async def test_unknown_query_keys_are_ignored(stage: Stage) -> None:
    """A later client may say more, even twice."""
    async with await stage.bare() as bare:
        target = stage.target("ada", since="epoch:12", ticket="t") + "&x=1&x=2&flag"
        await bare.stream.send_all(upgrade_request(target, stage.port))
        await bare.head()
        assert (await bare.hear())["type"] == "welcome"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:3000.evil.example",
        "http://evil.example/http://127.0.0.1:3000",
        "http://127.0.0.1:30000",
        "http://127.0.0.1",
        "https://127.0.0.1:3000",
        "null",
        "*",
    ],
)
async def test_a_foreign_origin_is_refused_before_the_upgrade(stage: Stage, origin: str) -> None:
    """A page from elsewhere, or from something that only looks like ours, uses its visitor's browser: 403."""
    status, _, body = await asked(stage, upgrade_request(stage.target(), stage.port, Origin=origin))
    assert (status, body["code"]) == (403, "foreign_origin")
    assert stage.gateway.room("jam") is None


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "HTTP://127.0.0.1:3000", ""])
async def test_our_own_page_and_programs_may_connect(stage: Stage, origin: str) -> None:
    """The allowed origin in any case, and no Origin at all, which is no browser."""
    status, _, _ = await asked(stage, upgrade_request(stage.target(), stage.port, Origin=origin))
    assert status == 101


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "[::1]"])
async def test_a_foreign_host_is_421(stage: Stage, host: str) -> None:
    """DNS rebinding: the browser believes that we are somebody else. Nothing is answered, not even health."""
    for target in (stage.target(), "/healthz"):
        status, _, body = await asked(stage, upgrade_request(target, stage.port, Host=host))
        assert (status, body["code"]) == (421, "wrong_host")


async def test_the_same_member_again_replaces_the_old_connection(stage: Stage) -> None:
    """4001 for the old one; the others hear neither a leave nor a second join, and the seat goes on."""
    async with stage.band("ada", "bo") as (ada, bo), stage.member("bo") as again:
        assert await bo.closed() == (4001, "replaced")
        await again.say("note", "still here")
        received = await ada.hear()
        assert (received["type"], received["from"]) == ("note", "bo")
        assert len(again.welcome["payload"]["members"]) == 2
        assert stage.roster() == ["ada", "bo"]


async def test_a_replacement_that_is_shown_differently_is_an_update(stage: Stage) -> None:
    """The newest connection's name and status count."""
    async with stage.band("ada", "bo") as (ada, _bo), stage.member("bo", displayName="Bo II", status="away"):
        shown = {"memberId": "bo", "displayName": "Bo II", "status": "away", "connected": True}
        assert await ada.hear() == {"type": "presence.update", "payload": shown}


@BOTH_STORES
async def test_fifty_connections_of_one_member_at_once_leave_one(stage: Stage) -> None:
    """The newest wins, an observer sees one join, and there is one line in the roster and in its mirror."""
    async with stage.member("observer") as observer:
        band: list[Bare] = []

        async def enter() -> None:
            band.append(await stage.bare_member("ada"))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(enter)
        last = await stage.bare_member("ada")
        for bare in band:
            assert await bare.closed() == (4001, "replaced")
            await bare.aclose()
        await last.say("note", "it is me")
        received = [message["type"] for message in await observer.until("note")]
        assert received == ["presence.join"]
        assert stage.roster() == ["ada", "observer"]
        await becomes(stage.mirrored, ["ada", "observer"], deadline_s=1.0)
        async with last:
            pass
        assert (await observer.hear())["payload"] == {"memberId": "ada", "reason": "lost"}


@pytest.mark.parametrize("cap", ["max_connections", "max_connections_per_address"])
async def test_over_its_caps_a_gateway_says_to_come_back_later(stage_over: OpenStage, cap: str) -> None:
    """503 with Retry-After, and there is room again as soon as somebody leaves."""
    async with stage_over(**{cap: 2}) as stage:
        async with stage.band("ada", "bo"):
            status, headers, body = await asked(stage, upgrade_request(stage.target("cy"), stage.port))
            assert (status, body["code"]) == (503, "too_many_connections")
            assert int(headers["retry-after"]) > 0
        await eventually(lambda: not stage.gateway.connections)
        async with stage.band("cy", "di"):
            assert stage.roster() == ["cy", "di"]


async def test_a_full_room_turns_newcomers_away_but_not_those_who_are_in_it(stage_over: OpenStage) -> None:
    """`room_full` and 1008 for a stranger; a member's second connection takes the seat that the first one had."""
    async with stage_over(max_members_per_room=2) as stage, stage.band("ada", "bo") as (ada, bo):
        assert await turned_away(stage, stage.target("cy")[2:]) == "room_full"
        async with stage.member("bo"):
            assert await bo.closed() == (4001, "replaced")
            await ada.say("note", id=1)
            assert (await ada.hear())["type"] == "ack"
