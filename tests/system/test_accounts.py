"""People, their sessions and the rooms of these, through the studio's processes: who gets in, who stays, who must go.

Each test runs on `omnisonic serve` and on its parts started apart, with rooms open and by ticket.
"""

from collections.abc import Iterator
from functools import partial

import pytest
import trio
from trio_websocket import ConnectionRejected

from tests.clients import Client
from tests.rooms import becomes
from tests.system.musicians import Musician, musician
from tests.system.studio import Studio, running_studio
from tests.system.visitors import rejected_status

pytestmark = pytest.mark.timing

TRUE_WITHIN_S = 1.0
"""Whoever must go is gone, and the roster is true, within this time."""
KICKED = 4003
CLOSED = 4004
WAYS = [("serve", "ticket"), ("apart", "open")]
"""Each way to start it, and each way into rooms: how it was started says nothing about who may enter."""


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio that all tests of the module share: each has people of its own."""
    way, access = request.param
    with running_studio(way, tmp_path_factory.mktemp(f"{way}-{access}"), ROOM_ACCESS=access) as studio:
        yield studio


async def test_two_people_meet_in_a_session_that_one_shares(studio: Studio) -> None:
    """Sign up, create, invite, follow the link, enter by ticket, talk, be seen and counted over REST, leave."""
    async with musician(studio.visitors, "ada-meets") as ada, musician(studio.visitors, "bo-meets") as bo:
        session = await ada.create("Night jam")
        await ada.share(session, bo)
        assert (await bo.session(session))["role"] == "editor"
        async with ada.in_room(session) as first, bo.in_room(session, displayName="Bo") as second:
            joined = await first.next("presence.join")
            account = {"id": bo.id, "name": "bo-meets"}
            shown = {"memberId": bo.id, "displayName": "Bo", "status": "active", "connected": True, "account": account}
            assert joined["payload"] == shown
            await first.say("chat", {"text": "From the bridge?"})
            received = await second.next("chat")
            assert (received["from"], received["payload"]) == (ada.id, {"text": "From the bridge?"})
            for person in (ada, bo):
                await becomes(partial(person.roster, session), sorted([ada.id, bo.id]), TRUE_WITHIN_S)
                assert (await person.session(session))["participants"] == 2
        await becomes(lambda: ada.roster(session), [], TRUE_WITHIN_S)
        await becomes(lambda: _head_count(ada, session), 0, TRUE_WITHIN_S)


async def test_nobody_else_gets_at_a_session(studio: Studio) -> None:
    """A stranger is asked to sign in; for another user there is no such session, and no ticket to its room."""
    async with musician(studio.visitors, "ada-alone") as ada, musician(studio.visitors, "eve") as eve:
        session = await ada.create("Mine")
        await eve.reported("GET", f"/api/sessions?id={session}", status=404)
        await eve.reported("DELETE", f"/api/sessions/{session}", status=404)
        await eve.reported("POST", f"/api/rooms/{session}/ticket", {}, status=404)
        await eve.reported("GET", f"/api/presence?roomId={session}", status=404)
        here = {"roomId": session, "memberId": "eve", "displayName": "Eve"}
        await eve.reported("POST", "/api/presence", here, status=404)
        await eve.sign_out()
        await eve.reported("GET", f"/api/sessions?id={session}", status=401)
        await eve.reported("POST", f"/api/rooms/{session}/ticket", {}, status=401)
        assert (await ada.session(session))["name"] == "Mine"


async def test_a_ticket_lets_one_in_once(studio: Studio) -> None:
    """The second time it is refused before the upgrade."""
    async with musician(studio.visitors, "ada-once") as ada:
        ticket = await ada.ticket(await ada.create("Once"))
        async with ada.with_ticket(ticket):
            pass
        assert await _refused(ada, ticket) == 403


async def test_a_damaged_ticket_lets_nobody_in(studio: Studio) -> None:
    """Whoever may enter the room: a ticket that is shown is looked at."""
    async with musician(studio.visitors, "ada-damaged") as ada:
        ticket = await ada.ticket(await ada.create("Damaged"))
        assert await _refused(ada, {**ticket, "ticket": ticket["ticket"][:-1] + "_"}) == 403


async def test_nobody_enters_a_sessions_room_without_a_ticket(studio: Studio) -> None:
    """A page of the web's has the cookie instead; it is so where other rooms are open, too."""
    async with musician(studio.visitors, "ada-cookie") as ada:
        session = await ada.create("Cookie")
        target = f"/?roomId={session}&memberId=ada&displayName=Ada"
        async with ada.with_cookie(target) as client:
            assert client.welcome["payload"]["memberId"] == "ada"
        with trio.fail_after(5), pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as caught:
            async with studio.visitors.entered(target):
                pass
        assert rejected_status(caught.value) == 401


async def test_signing_out_ends_what_the_sign_in_had_opened(studio: Studio) -> None:
    """The room says goodbye, also to who is there by an event stream; the cookie is dead, and the others stay."""
    async with musician(studio.visitors, "ada-out") as ada, musician(studio.visitors, "bo-out") as bo:
        session = await ada.create("Goodbye")
        await ada.share(session, bo)
        async with ada.in_room(session) as stays, bo.in_room(session) as goes, bo.events(session, "phone") as events:
            assert (await stays.next("presence.join"))["payload"]["memberId"] == bo.id
            joined = (await stays.next("presence.join"))["payload"]
            assert (joined["memberId"], joined["account"]["id"]) == ("phone", bo.id)
            await bo.sign_out()
            await _must_go(goes, KICKED)
            with trio.fail_after(TRUE_WITHIN_S):
                assert (await events.aread()).endswith(b'data: {"code":4003,"reason":"kicked","reconnect":false}\n\n')
            left = {(await stays.next("presence.leave"))["payload"]["memberId"] for _ in range(2)}
            assert left == {bo.id, "phone"}
            assert (await bo.ask("GET", "/api/sessions")).status_code == 401
            await stays.say("chat", None, id=1)
            assert (await stays.next("ack"))["payload"]["id"] == 1


async def test_losing_the_role_ends_what_it_had_opened(studio: Studio) -> None:
    """The owner removes a collaborator, who is out of the room and cannot come back; nobody else is."""
    async with musician(studio.visitors, "ada-removes") as ada, musician(studio.visitors, "bo-removed") as bo:
        session = await ada.create("Without Bo")
        await ada.share(session, bo)
        async with ada.in_room(session) as stays, bo.in_room(session) as goes:
            await ada.reported("DELETE", f"/api/sessions/{session}/collaborators/{bo.id}")
            await _must_go(goes, KICKED)
            assert (await stays.next("presence.leave"))["payload"]["memberId"] == bo.id
            await bo.reported("GET", f"/api/sessions?id={session}", status=404)
            await becomes(lambda: ada.roster(session), [ada.id], TRUE_WITHIN_S)


async def test_deleting_a_session_closes_its_room(studio: Studio) -> None:
    """Everybody is told why, and nobody is counted any more."""
    async with musician(studio.visitors, "ada-deletes") as ada, musician(studio.visitors, "bo-deleted") as bo:
        session = await ada.create("Over")
        await ada.share(session, bo)
        async with ada.in_room(session) as first, bo.in_room(session) as second:
            await ada.reported("DELETE", f"/api/sessions/{session}")
            for client in (first, second):
                assert (await client.next("session.deleted"))["payload"] == {"sessionId": session}
                await _must_go(client, CLOSED)
        await ada.reported("GET", f"/api/sessions?id={session}", status=404)


async def test_what_is_changed_and_said_over_rest_is_heard_in_the_room(studio: Studio) -> None:
    """The session's new name, and a message from nobody in the room."""
    async with musician(studio.visitors, "ada-outside") as ada:
        session = await ada.create("Old name")
        async with ada.in_room(session) as client:
            await ada.reported("PATCH", f"/api/sessions/{session}", {"name": "New name"})
            assert (await client.next("session.updated"))["payload"]["name"] == "New name"
            said = await ada.reported(
                "POST", f"/api/rooms/{session}/messages", {"type": "cue", "payload": {"bar": 4}}, status=202
            )
            received = await client.next("cue")
            assert (received["from"], received["payload"], received["offset"]) == (None, {"bar": 4}, said["offset"])


async def _must_go(client: Client, code: int) -> None:
    """See that the server closes, with this code, in time."""
    with trio.fail_after(TRUE_WITHIN_S):
        assert (await client.closed())[0] == code


async def _refused(person: Musician, ticket: dict[str, object]) -> int:
    """The status that the gateway answers this ticket with, instead of the upgrade."""
    with trio.fail_after(5), pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as caught:
        async with person.with_ticket(ticket):
            pass
    return rejected_status(caught.value)


async def _head_count(person: Musician, session: str) -> object:
    return (await person.session(session))["participants"]
