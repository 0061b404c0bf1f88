"""Sign-out, removal and deletion close the sockets that are open, within a second, and no others (SPEC 5.1)."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import pytest
import trio

from omnisonic.models import Member, PresenceMember
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import (
    LeasePut,
    LoginEnded,
    RoleChanged,
    RoleLost,
    RoomClosed,
    RoomEvent,
    RoomSaid,
    encode,
)
from omnisonic.stores.bus.memory import QUEUE_LENGTH
from tests.clients import Bare, upgrade_request
from tests.gateway.http_answers import asked
from tests.gateway.people import People, Somebody, enter, open_ticket_stage, shown
from tests.rooms import Stage, becomes, eventually
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

KICKED: Final = (4003, "kicked")
SOON_S: Final = 1.0


@pytest.fixture
async def ada(people: People) -> Somebody:
    """The owner of sessions."""
    return await people.sign_up("ada")


@pytest.fixture
async def bo(people: People) -> Somebody:
    """A collaborator."""
    return await people.sign_up("bo")


@pytest.fixture(params=["memory", "valkey"])
async def stage(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A gateway that asks for tickets, over each kind of bus."""
    url = None
    if request.param == "valkey":
        server: ValkeyServer = request.getfixturevalue("valkey")
        url = server.url
    async with open_ticket_stage(database_url, url) as stage:
        yield stage


async def publish(stage: Stage, *events: RoomEvent) -> None:
    """Say it as the web does."""
    for event in events:
        await stage.bus.publish(ROOM_EVENTS, encode(event))


async def is_closed_soon(bare: Bare) -> tuple[int, str]:
    """With what the server closes, which it must within a second."""
    with trio.fail_after(SOON_S):
        return await bare.closed()


async def is_received(speaker: Bare, listener: Bare) -> bool:
    """Whether both are in still."""
    await speaker.say("still here?")
    return bool((await listener.next("still here?"))["from"] == speaker.welcome["payload"]["memberId"])


async def test_a_sign_out_closes_all_that_was_entered_by_it(
    stage: Stage, people: People, ada: Somebody, bo: Somebody
) -> None:
    """In every room; the same user's other sign-in, and other users, stay. The others see a leave, `kicked`."""
    jam, duo = await people.session(ada, bo), await people.session(bo)
    elsewhere = await people.sign_in_again(bo)
    async with (
        await enter(stage, ada, jam) as listener,
        await enter(stage, bo, jam) as one,
        await enter(stage, bo, duo) as two,
        await enter(stage, elsewhere, jam, member_id="phone") as phone,
    ):
        await people.accounts.end_login(bo.login)
        await publish(stage, LoginEnded(bo.login))
        assert [await is_closed_soon(each) for each in (one, two)] == [KICKED] * 2
        assert (await listener.next("presence.leave"))["payload"] == {"memberId": "bo", "reason": "kicked"}
        assert await is_received(phone, listener)
        assert stage.roster(jam) == ["ada", "phone"]


async def test_a_lost_role_closes_that_persons_connections_in_that_room(
    stage: Stage, people: People, ada: Somebody, bo: Somebody
) -> None:
    """By whichever sign-in; what they have open elsewhere stays, and their leases in the room are gone."""
    jam, duo = await people.session(ada, bo), await people.session(ada, bo)
    elsewhere = await people.sign_in_again(bo)
    await stage.presence.put_lease(jam, PresenceMember("recorder", "Recorder"), ttl_s=60, person=bo.person)
    async with (
        await enter(stage, ada, jam),
        await enter(stage, bo, jam) as one,
        await enter(stage, elsewhere, jam, member_id="phone") as two,
        await enter(stage, ada, duo) as speaker,
        await enter(stage, bo, duo) as other_room,
    ):
        await eventually(lambda: "recorder" in stage.roster(jam))
        await people.sessions.remove(ada.login, jam, bo.person)
        await publish(stage, RoleLost(jam, bo.person))
        assert [await is_closed_soon(each) for each in (one, two)] == [KICKED] * 2
        assert await is_received(speaker, other_room)
        await eventually(lambda: stage.roster(jam) == ["ada"])
        assert stage.roster(duo) == ["ada", "bo"]


async def test_a_deleted_session_closes_its_room(stage: Stage, people: People, ada: Somebody, bo: Somebody) -> None:
    """Everybody hears `session.deleted`, then 4004; no lease stays behind, and nobody comes in again."""
    jam = await people.session(ada, bo)
    await stage.presence.put_lease(jam, PresenceMember("recorder", "Recorder"), ttl_s=60, person=bo.person)
    async with await enter(stage, ada, jam) as one, await enter(stage, bo, jam) as two:
        await eventually(lambda: "recorder" in stage.roster(jam))
        await people.sessions.delete(ada.login, jam)
        await publish(stage, RoomSaid(jam, "session.deleted"), RoomClosed(jam))
        for bare in (one, two):
            goodbye = await bare.next("session.deleted")
            assert (goodbye["from"], goodbye["offset"]) == (None, 1)
            assert await is_closed_soon(bare) == (4004, "room_closed")
    assert stage.gateway.room(jam) is None
    request = upgrade_request("/", stage.port, Sec_WebSocket_Protocol=shown(ada.ticket(jam)))
    status, _, body = await asked(stage, request)
    assert (status, body["code"]) == (403, "no_access")


async def test_events_about_others_touch_nobody(stage: Stage, people: People, ada: Somebody, bo: Somebody) -> None:
    """Other sign-ins, other people, other rooms, and rooms that are not there."""
    jam = await people.session(ada, bo)
    elsewhere = await people.sign_in_again(bo)
    async with await enter(stage, ada, jam) as one, await enter(stage, bo, jam) as two:
        other = await people.session(ada)
        await publish(stage, LoginEnded(elsewhere.login), RoleLost(other, bo.person), RoleLost(jam, elsewhere.token))
        await publish(stage, RoomClosed(other), RoomSaid(other, "note"), LoginEnded("nobody"))
        assert await is_received(one, two)
        assert len(stage.gateway.registry) == 1


async def test_lost_events_are_made_up_for_after_a_gap(
    database_url: str, people: People, ada: Somebody, bo: Somebody
) -> None:
    """Rights ended unheard while the bus was away: as soon as it is back, all are asked about, and only those go."""
    jam, duo = await people.session(ada, bo), await people.session(ada, bo)
    other = await people.sign_in_again(bo)
    async with open_ticket_stage(database_url) as stage, AsyncExitStack() as stack:
        listener = await stack.enter_async_context(await enter(stage, ada, jam))
        removed = await stack.enter_async_context(await enter(stage, other, jam))
        stays = await stack.enter_async_context(await enter(stage, other, duo))
        signed_out = await stack.enter_async_context(await enter(stage, bo, duo, member_id="phone"))
        await people.sessions.remove(ada.login, jam, bo.person)
        await people.accounts.end_login(bo.login)
        for _ in range(QUEUE_LENGTH + 1):
            await stage.bus.publish(ROOM_EVENTS, b"{}")
        assert [await is_closed_soon(each) for each in (removed, signed_out)] == [KICKED] * 2
        assert (await listener.next("presence.leave"))["payload"]["reason"] == "kicked"
        await stays.say("note", id=1)
        assert (await stays.next("ack"))["payload"]["id"] == 1
        assert stage.roster(duo) == ["bo"]


async def test_lost_events_are_made_up_for_in_time_without_a_gap(
    database_url: str, people: People, ada: Somebody
) -> None:
    """All rights are asked about again and again, whatever the bus says; those that hold count as used."""
    jam = await people.session(ada)
    idle = await people.sign_in_again(ada)
    async with (
        open_ticket_stage(database_url, recheck_s=0.1) as stage,
        await enter(stage, ada, jam) as bare,
        await enter(stage, idle, jam, member_id="idle") as other,
    ):
        await people.execute("UPDATE logins SET seen_at = now() - interval '11 hours' WHERE id = $1", ada.login)
        await people.execute("UPDATE logins SET seen_at = now() - interval '13 hours' WHERE id = $1", idle.login)
        assert await is_closed_soon(other) == KICKED

        async def is_used() -> Any:
            rows = await people.execute(
                "SELECT now() - seen_at < interval '1 minute' FROM logins WHERE id = $1", ada.login
            )
            return rows[0][0]

        with trio.fail_after(SOON_S):
            while not await is_used():
                await trio.lowlevel.checkpoint()
        await bare.say("note", id=1)
        assert (await bare.next("ack"))["payload"]["id"] == 1


async def test_a_lease_of_another_person_never_shows_for_a_seat_that_is_held(
    stage: Stage, people: People, ada: Somebody, bo: Somebody
) -> None:
    """The store refuses it, and the room passes over it should it hear of it all the same."""
    jam = await people.session(ada, bo)
    async with await enter(stage, ada, jam) as one, await enter(stage, bo, jam) as two:
        await becomes(partial(stage.mirrored, jam), ["ada", "bo"])
        mallory = PresenceMember("ada", "Mallory")
        assert not await stage.presence.put_lease(jam, mallory, ttl_s=60, person=bo.person)
        await publish(stage, LeasePut(jam, Member("ada", "Mallory"), 60, bo.person))
        assert await is_received(one, two)
        assert [line.display_name for line in await stage.presence.members(jam)] == ["Ada", "Bo"]
        assert await stage.presence.put_lease(jam, mallory, ttl_s=60, person=ada.person)


async def test_a_role_that_changes_is_followed_without_a_reconnection(
    stage: Stage, people: People, ada: Somebody, bo: Somebody
) -> None:
    """An editor becomes a listener while connected, and comes back as one; another session is none of that."""
    jam, duo = await people.session(ada, bo), await people.session(ada, bo)
    async with await enter(stage, bo, jam) as here, await enter(stage, bo, duo) as there:
        assert await code_of(here, "transport.set", {"playing": True}) is None
        await people.sessions.change_role(ada.login, jam, bo.person, "listener")
        await publish(stage, RoleChanged(jam, bo.person, "listener"))
        with trio.fail_after(SOON_S):
            while await code_of(here, "transport.set", {"playing": False}) is None:
                await trio.lowlevel.checkpoint()
        assert await code_of(here, "transport.set", {"playing": False}) == "listeners_change_nothing"
        assert await code_of(there, "transport.set", {"playing": True}) is None
    async with await enter(stage, bo, jam) as again:
        assert await code_of(again, "state.set", {"key": "take", "value": 1}) == "listeners_change_nothing"
        await people.sessions.change_role(ada.login, jam, bo.person, "editor")
        stage.gateway.revocation.recheck_soon()  # as after events that were lost
        with trio.fail_after(SOON_S):
            while await code_of(again, "state.set", {"key": "take", "value": 1}) is not None:
                await trio.lowlevel.checkpoint()


async def code_of(bare: Bare, type_: str, payload: object) -> str | None:
    """Say it, and return the code of the error that it is answered with; None when it is accepted."""
    await bare.say(type_, payload, id=secrets.token_urlsafe())
    while (answer := await bare.hear())["type"] not in ("ack", "error"):
        pass
    code: str | None = answer["payload"].get("code")
    return code
