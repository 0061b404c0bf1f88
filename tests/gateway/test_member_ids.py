"""Ids of users are theirs: nobody else is in a room by one, and what a room shows says whose a member is (SPEC 5.1)."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from omnisonic.models import Account
from omnisonic.models.checks import uuid_meant
from tests.clients import upgrade_request
from tests.gateway.http_answers import asked
from tests.gateway.people import PAGE, People, Somebody, enter, open_ticket_stage, shown
from tests.rooms import Stage, becomes
from tests.studio.databases import DEAD_URL


@pytest.fixture
async def ana(people: People) -> Somebody:
    """A user."""
    return await people.sign_up("ana")


@pytest.fixture
async def ben(people: People) -> Somebody:
    """Another user."""
    return await people.sign_up("ben")


@pytest.fixture
async def room(people: People, ana: Somebody, ben: Somebody) -> str:
    """A session of Ana's that Ben shares."""
    return await people.session(ana, ben)


@pytest.fixture(params=["open", "ticket"])
async def stage(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A gateway with a database, in both ways that rooms may be entered."""
    async with open_ticket_stage(database_url, room_access=request.param) as stage:
        yield stage


async def reported(stage: Stage, target: str, **headers: str) -> str:
    """The code of what somebody is told instead of a welcome, before they are closed with 1008."""
    async with await stage.bare() as bare:
        await bare.stream.send_all(upgrade_request(target, stage.port, **headers))
        assert (await bare.head()).startswith(b"HTTP/1.1 101")
        code = (await bare.hear())["payload"]["code"]
        assert await bare.closed() == (1008, code)
    return str(code)


async def test_nobody_enters_by_another_users_id(stage: Stage, ana: Somebody, ben: Somebody, room: str) -> None:
    """By ticket or by cookie, in whatever form it is written; and Ana's own page comes in as ever."""
    own = ana.person
    for form in (own, own.upper(), own.replace("-", ""), "{" + own + "}", f"urn:uuid:{own}"):
        ticket = shown(ben.ticket(room, member_id=form, display_name="Ana"))
        assert await reported(stage, "/", Sec_WebSocket_Protocol=ticket) == "member_reserved", form
        target = stage.target(form, room)
        assert await reported(stage, target, Origin=PAGE, Cookie=ben.cookie()) == "member_reserved", form
    async with await enter(stage, ana, room, member_id=own) as first:
        ticket = shown(ben.ticket(room, member_id=own))
        assert await reported(stage, "/", Sec_WebSocket_Protocol=ticket) == "member_reserved"
        async with await enter(stage, ana, room, member_id=own):
            assert await first.closed() == (4001, "replaced")


async def test_a_user_enters_by_their_own_id_or_by_one_that_is_nobodys(
    stage: Stage, ana: Somebody, ben: Somebody, room: str
) -> None:
    """Also by a UUID that a program has drawn."""
    for member_id in (ben.person, "guitar", str(uuid4()), uuid4().hex):
        async with await enter(stage, ben, room, member_id=member_id) as inside:
            assert inside.welcome["payload"]["memberId"] == member_id


async def test_a_users_own_id_is_the_same_in_capitals(stage: Stage, ana: Somebody, room: str) -> None:
    """As some platforms write UUIDs: one seat, under the id as everybody else knows it."""
    async with (
        await enter(stage, ana, room, member_id=ana.person) as first,
        await enter(stage, ana, room.upper(), member_id=ana.person.upper()) as second,
    ):
        assert await first.closed() == (4001, "replaced")
        assert second.welcome["payload"]["memberId"] == ana.person
        assert stage.roster(room) == [ana.person]


async def test_the_room_says_whose_a_member_is(stage: Stage, ana: Somebody, ben: Somebody, room: str) -> None:
    """Under whatever name they come, and whatever they are called later: in welcome, join, update, and over REST."""
    account = {"id": ben.person, "name": "Ben"}
    async with (
        await enter(stage, ana, room) as first,
        await enter(stage, ben, room, member_id="keys", display_name="Ana") as ben_inside,
    ):
        joined = (await first.next("presence.join"))["payload"]
        assert joined == {
            "memberId": "keys",
            "displayName": "Ana",
            "status": "active",
            "connected": True,
            "account": account,
        }
        assert joined in ben_inside.welcome["payload"]["members"]
        wish = {"displayName": "Ana!", "account": {"id": ana.person, "name": "Ana"}}
        await ben_inside.say("presence.set", wish)
        updated = (await first.next("presence.update"))["payload"]
        assert updated == joined | {"displayName": "Ana!"}
        stage.room(room).reset()  # what a crash leaves is enough to say it again
        async with await enter(stage, ben, room, member_id="bass") as third:
            assert updated in third.welcome["payload"]["members"]

        async def mirrored() -> object:
            lines = await stage.presence.members(room)
            return [line.account for line in lines if line.member_id == "keys"]

        await becomes(mirrored, wanted=[Account(ben.person, "Ben")])


async def test_a_stranger_takes_no_users_id_in_an_open_room(database_url: str, ana: Somebody, ben: Somebody) -> None:
    """Nor does another user, by a cookie or by a ticket. Ana's own page and her own ticket replace each other there."""
    own = ana.person
    async with open_ticket_stage(database_url, room_access="open") as stage:
        for form in (own, own.upper(), own.replace("-", ""), "{" + own + "}", f"urn:uuid:{own}"):
            assert await reported(stage, stage.target(form)) == "member_reserved", form
            cookie = {"Origin": PAGE, "Cookie": ben.cookie()}
            assert await reported(stage, stage.target(form), **cookie) == "member_reserved", form
            ticket = shown(ben.ticket("jam", member_id=form))
            assert await reported(stage, "/", Sec_WebSocket_Protocol=ticket) == "member_reserved", form
        async with await enter(stage, ana, "jam", member_id=own) as first, await stage.bare() as page:
            target = stage.target(own)
            await page.stream.send_all(upgrade_request(target, stage.port, Origin=PAGE, Cookie=ana.cookie()))
            assert (await page.head()).startswith(b"HTTP/1.1 101")
            (line,) = (await page.next("welcome"))["payload"]["members"]
            assert line["account"] == {"id": own, "name": "Ana"}
            assert await first.closed() == (4001, "replaced")
            async with await enter(stage, ana, "jam", member_id=own):
                assert await page.closed() == (4001, "replaced")
        async with stage.member(str(uuid4())) as stranger:
            assert "account" not in stranger.welcome["payload"]["members"][0]


async def test_without_the_database_nobody_enters_by_what_may_be_a_users_id() -> None:
    """503, as for a room that may be a session's; any other member id asks nothing."""
    async with open_ticket_stage(DEAD_URL, room_access="open") as stage:
        status, _, body = await asked(stage, upgrade_request(stage.target(str(uuid4())), stage.port))
        assert (status, body["code"]) == (503, "unavailable")
        async with stage.member("ada"):
            assert stage.roster() == ["ada"]


@pytest.mark.parametrize(
    "text",
    ["", "jam", "0" * 31, "0" * 33, "g" * 32, "00000000-0000-0000-0000-00000000000g", "x" * 128, "\ud800" * 36],
)
def test_what_is_no_uuid_means_none(text: str) -> None:
    """Nobody has to be asked about it."""
    assert uuid_meant(text) is None


def test_every_form_of_a_uuid_means_the_same() -> None:
    """As Python, and Postgres, read them."""
    plain = str(uuid4())
    for form in (plain, plain.upper(), plain.replace("-", ""), "{" + plain + "}", f"urn:uuid:{plain}"):
        assert uuid_meant(form) == plain
