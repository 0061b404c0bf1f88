"""A session's room is its members' alone, also where other rooms are open (SPEC 5.1), on a real database."""

from collections.abc import AsyncIterator

import pytest
import trio

from omnisonic.actors.admission.revocation import AccessRevocation
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import LoginEnded, encode
from tests.clients import upgrade_request
from tests.gateway.http_answers import asked
from tests.gateway.people import PAGE, People, Somebody, enter, open_ticket_stage, shown, unknown_session
from tests.rooms import Stage, eventually
from tests.studio.databases import DEAD_URL

pytestmark = pytest.mark.timing


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
    """A gateway with open access, and a database."""
    async with open_ticket_stage(database_url, room_access="open") as stage:
        yield stage


async def answer(stage: Stage, target: str, **headers: str) -> tuple[int, str]:
    """The status, and the code of the error, that such a handshake is answered with."""
    status, _, body = await asked(stage, upgrade_request(target, stage.port, **headers))
    return status, str(body.get("code", ""))


def forms(room: str) -> list[str]:
    """How else the id of a session can be written."""
    return [room, room.upper(), room.replace("-", ""), "{" + room + "}", f"urn:uuid:{room}"]


async def test_a_stranger_is_kept_out_of_a_sessions_room(stage: Stage, room: str) -> None:
    """401 under whatever form of its id, with or without a cookie of somebody else's making; nobody is in there."""
    for form in forms(room):
        target = stage.target("eve", form)
        assert await answer(stage, target) == (401, "ticket_required"), form
        assert await answer(stage, target, Origin=PAGE, Cookie="omnisonic=forged") == (401, "ticket_required")
    assert len(stage.gateway.registry) == 0


async def test_a_user_without_a_role_is_kept_out_of_a_sessions_room(stage: Stage, people: People, room: str) -> None:
    """By ticket and by cookie: 403."""
    eve = await people.sign_up("eve")
    for form in forms(room):
        assert await answer(stage, "/", Sec_WebSocket_Protocol=shown(eve.ticket(form))) == (403, "no_access")
        assert await answer(stage, stage.target("eve", form), Origin=PAGE, Cookie=eve.cookie()) == (403, "no_access")
    assert len(stage.gateway.registry) == 0


async def test_members_of_a_session_enter_its_room(stage: Stage, ada: Somebody, room: str) -> None:
    """By ticket, and by the cookie of the pages, which counts only with their origin; under its one name."""
    async with await enter(stage, ada, room):
        assert stage.roster(room) == ["ada"]
    target = stage.target("ada", room)
    assert await answer(stage, target, Origin=PAGE, Cookie=ada.cookie()) == (101, "")
    assert await answer(stage, target, Cookie=ada.cookie()) == (403, "foreign_origin")
    async with await enter(stage, ada, room.upper()) as in_capitals:
        assert in_capitals.welcome["payload"]["roomId"] == room
        assert stage.roster(room) == ["ada"]
    for form in forms(room)[2:]:
        assert await answer(stage, "/", Sec_WebSocket_Protocol=shown(ada.ticket(form))) == (403, "no_access"), form


async def test_other_rooms_are_anybodys(stage: Stage, ada: Somebody) -> None:
    """Also one that is called like a UUID that is no session's, and with a cookie, which says nothing there."""
    for room in ("jam", unknown_session(), unknown_session().upper()):
        async with stage.member("eve", room) as eve:
            (line,) = eve.welcome["payload"]["members"]
            assert line == {"memberId": "eve", "displayName": "Eve", "status": "active", "connected": True}
        assert await answer(stage, stage.target("eve", room), Origin=PAGE, Cookie=ada.cookie()) == (101, "")
        async with await enter(stage, ada, room) as known:
            assert known.welcome["payload"]["members"][0]["account"] == {"id": ada.person, "name": "Ada"}


async def test_without_the_database_only_rooms_that_cannot_be_a_sessions_are_open() -> None:
    """Whether a UUID is a session's cannot be said: 503, soon. All other rooms ask nothing."""
    async with open_ticket_stage(DEAD_URL, room_access="open") as stage:
        with trio.fail_after(5):
            assert await answer(stage, stage.target("eve", unknown_session())) == (503, "unavailable")
        async with stage.member("eve", "jam"), stage.member("bo", "jam"):
            assert stage.roster() == ["bo", "eve"]
        for room in ("jam", "x" * 36, "0" * 31, "not-a-uuid-but-as-long-as-one-is-0123"):
            assert await answer(stage, stage.target("ada", room)) == (101, "")


async def test_a_ticket_to_an_open_room_ends_with_its_sign_in(stage: Stage, people: People, ada: Somebody) -> None:
    """One that has ended opens nothing, as in a session's room."""
    ticket = ada.ticket("jam")
    await people.accounts.end_login(ada.login)
    assert await answer(stage, "/", Sec_WebSocket_Protocol=shown(ticket)) == (403, "no_access")


async def test_rights_that_end_unheard_end_all_the_same(stage: Stage, people: People, ada: Somebody) -> None:
    """Bo loses the role, Cy the sign-in, and the bus says nothing: both go. Who needs no role stays."""
    bo, cy = await people.sign_up("bo"), await people.sign_up("cy")
    room = await people.session(ada, bo)
    async with (
        await enter(stage, ada, room) as owner,
        await enter(stage, ada, "jam") as ada_in_open,
        await enter(stage, bo, room) as bo_in_session,
        await enter(stage, bo, "jam") as bo_in_open,
        await enter(stage, cy, "jam") as cy_in_open,
        stage.member("eve", "jam") as eve,
    ):
        await people.sessions.remove(ada.login, room, bo.person)
        await people.accounts.end_login(cy.login)
        stage.gateway.revocation.recheck_soon()
        assert await bo_in_session.closed() == (4003, "kicked")
        assert await cy_in_open.closed() == (4003, "kicked")
        await settled(stage.gateway.revocation)
        for stays in (owner, ada_in_open, bo_in_open):
            await stays.say("note", id=1)
            assert (await stays.next("ack"))["payload"]["id"] == 1
        await eve.say("note", id=2)
        await eve.next("ack")
        await stage.bus.publish(ROOM_EVENTS, encode(LoginEnded(bo.login)))
        assert await bo_in_open.closed() == (4003, "kicked")


async def settled(revocation: AccessRevocation) -> None:
    """Wait until it knows of nobody who has gone."""
    await eventually(lambda: len(revocation) == 4)  # Ada and Bo, each by a person and by a sign-in
