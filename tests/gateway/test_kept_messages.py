"""Kept messages through a real gateway and a real Postgres: nothing that was acknowledged is lost (SPEC 5.2)."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import trio

from omnisonic.operations.gateway_records import open_records
from omnisonic.stores.database.migrations import migrate
from tests.clients import Bare
from tests.gateway.people import People, Somebody, enter, open_people, open_ticket_stage, unknown_session
from tests.postgres_server import blocking, running_postgres
from tests.rooms import PoisonedRoom, Stage, becomes, eventually

pytestmark = pytest.mark.timing

EVERY_S: Final = 0.02
"""Fifty messages a second."""
OUTAGE_S: Final = 1.0


@asynccontextmanager
async def keeping_stage(database_url: str, **options: Any) -> AsyncIterator[Stage]:
    """A gateway that writes kept messages into the database."""
    async with (
        open_records(database_url) as records,
        open_ticket_stage(
            database_url, room_access="open", messages=records.messages, room_events=records.room_events, **options
        ) as stage,
    ):
        yield stage


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with keeping_stage(database_url) as stage:
        yield stage


async def kept(people: People, room: str) -> Sequence[Any]:
    """The rows of the room, in their order."""
    rows: Sequence[Any] = await people.execute(
        "SELECT * FROM kept_messages WHERE session_id::text = $1 ORDER BY number", room
    )
    return rows


async def acknowledged(member: Bare, message_id: object) -> dict[str, Any]:
    """The ack of this message; what comes before it is passed over."""
    while (message := await member.next("ack"))["payload"]["id"] != message_id:
        pass
    payload: dict[str, Any] = message["payload"]
    return payload


async def test_a_kept_message_is_in_the_database_when_it_is_acknowledged(
    stage: Stage, people: People, database_url: str
) -> None:
    """Relayed at once; the row has its place, who said it, and what they were called."""
    ada, bo = await people.sign_up("ada"), await people.sign_up("bo")
    room = await people.session(ada, bo)
    async with await enter(stage, ada, room) as speaker, await enter(stage, bo, room) as listener:
        await speaker.say("chat", {"text": "Hello"}, id="m1", keep=True)
        heard = await listener.next("chat")
        assert heard == {"type": "chat", "payload": {"text": "Hello"}, "id": "m1", "from": "ada", "offset": 1}
        assert await acknowledged(speaker, "m1") == {"id": "m1", "offset": 1, "kept": True}
        (row,) = await kept(people, room)
        assert (row["epoch"], row["message_offset"]) == (speaker.welcome["payload"]["epoch"], 1)
        assert (row["member_id"], str(row["user_id"]), row["display_name"]) == ("ada", ada.person, "Ada")
        assert (row["client_id"], row["type"], row["payload"]) == ('"m1"', "chat", '{"text": "Hello"}')
        await speaker.say("chat", {"text": "Hello"}, id="m1", keep=True)
        assert await acknowledged(speaker, "m1") == {"id": "m1", "offset": 1, "kept": True}
        assert len(await kept(people, room)) == 1
        assert stage.gateway.measure()["kept_messages"] == 2
        assert stage.gateway.measure()["keep_lag_s"] == 0


async def test_in_rooms_of_no_session_nothing_is_kept(stage: Stage) -> None:
    """By its name a room cannot be one, or the database says so: the sender is told either way."""
    for room in ("jam", unknown_session()):
        async with await stage.bare_member("ada", room) as ada:
            await ada.say("chat", id="m1", keep=True)
            error = (await ada.next("error"))["payload"]
            assert (error["code"], error["id"]) == ("keep_unavailable", "m1")


async def test_without_a_database_nothing_is_kept(database_url: str, people: People) -> None:
    """A gateway that was given none refuses, and says nothing to the others."""
    async with open_ticket_stage(database_url, room_access="open") as stage:
        ada = await people.sign_up("ada")
        async with await enter(stage, ada, await people.session(ada)) as member:
            await member.say("chat", id="m1", keep=True)
            assert (await member.next("error"))["payload"]["code"] == "keep_unavailable"


async def test_a_session_deleted_while_its_message_waits_is_told(stage: Stage, people: People) -> None:
    """The row goes with the session; the next message cannot be kept."""
    ada = await people.sign_up("ada")
    room = await people.session(ada)
    async with await enter(stage, ada, room) as member:
        await member.say("chat", id="m1", keep=True)
        await acknowledged(member, "m1")
        await people.sessions.delete(ada.login, room)
        await member.say("chat", id="m2", keep=True)
        assert (await member.next("error"))["payload"]["code"] == "keep_unavailable"
        assert await kept(people, room) == []


async def test_a_crash_of_the_room_keeps_what_was_said_before_it(database_url: str, people: People) -> None:
    """The message before the poison is written down and acknowledged, on the same connection."""
    async with keeping_stage(database_url, room_class=PoisonedRoom) as stage:
        ada = await people.sign_up("ada")
        room = await people.session(ada)
        async with await enter(stage, ada, room) as member:
            await member.say("chat", id="m1", keep=True)
            await member.say("poison", id="m2", keep=True)
            await member.say("chat", id="m3", keep=True)
            assert (await acknowledged(member, "m1"))["offset"] == 1
            assert (await acknowledged(member, "m3"))["offset"] == 2
            assert [row["client_id"] for row in await kept(people, room)] == ['"m1"', '"m3"']


async def test_who_lost_their_ack_gets_it_on_the_next_connection(stage: Stage, people: People) -> None:
    """The connection is gone before the commit: sent again with the same id, it names the first place."""
    ada = await people.sign_up("ada")
    room = await people.session(ada)
    async with await enter(stage, ada, room) as first:
        await first.say("chat", id="m1", keep=True)
    await eventually(lambda: stage.gateway.measure()["kept_messages"] == 1)
    async with await enter(stage, ada, room) as second:
        await second.say("note")
        await second.say("chat", id="m1", keep=True)
        assert (await acknowledged(second, "m1"))["offset"] == 1
        assert len(await kept(people, room)) == 1


async def test_at_a_shutdown_what_waits_is_written_and_acknowledged(database_url: str, people: People) -> None:
    """A thousand messages at once, and then the end: the acks come before the close."""
    ada = await people.sign_up("ada")
    room = await people.session(ada)
    async with await _leaving(database_url, ada, room) as member:
        places = []
        while (message := await member.hear())["type"] == "ack":
            places.append(message["payload"]["offset"])
            if len(places) == 1000:
                break
        assert places == list(range(1, 1001))
    assert len(await kept(people, room)) == 1000


async def _leaving(database_url: str, ada: Somebody, room: str) -> Bare:
    """A member of a gateway that has shut down after they had said a thousand things."""
    async with keeping_stage(database_url) as stage:
        member = await enter(stage, ada, room)
        for number in range(1000):
            await member.say("chat", number, id=number, keep=True)
        await eventually(lambda: stage.room(room).offset == 1000)
    return member


async def test_postgres_may_restart_while_messages_are_kept() -> None:
    """Fifty a second: acks stop while it is away, none is wrong, and afterwards all are there, once and in order."""
    with running_postgres() as server:
        await trio.to_thread.run_sync(blocking, migrate(server.url))
        async with open_people(server.url) as people, keeping_stage(server.url) as stage:
            ada = await people.sign_up("ada")
            room = await people.session(ada)
            async with await enter(stage, ada, room) as member, trio.open_nursery() as nursery:
                places: dict[int, int] = {}
                said: list[int] = []
                talk = nursery.start_soon
                until = trio.CancelScope()
                talk(_say_regularly, member, said, until)
                talk(_collect_acks, member, places)
                await eventually(lambda: len(places) > 25)
                await trio.to_thread.run_sync(server.stop)
                at_stop = len(places)
                await trio.sleep(OUTAGE_S)
                assert len(places) - at_stop <= 1, "an ack came without a database"
                assert len(said) > at_stop + 0.5 * OUTAGE_S / EVERY_S, "the room did not go on"
                await trio.to_thread.run_sync(server.start)
                back_at = len(said)
                await eventually(lambda: len(places) > back_at + 25)
                until.cancel()
                await eventually(lambda: len(places) == len(said))
                nursery.cancel_scope.cancel()
            rows = await kept(people, room)
            assert [int(row["client_id"]) for row in rows] == said
            assert {int(row["client_id"]): row["message_offset"] for row in rows} == places
            assert list(places.values()) == sorted(places.values()), "acks came in order"


async def _say_regularly(member: Bare, said: list[int], until: trio.CancelScope) -> None:
    """Say something fifty times a second."""
    with until:
        for number in range(10_000):
            with trio.CancelScope(shield=True):
                await member.say("chat", number, id=number, keep=True)
            said.append(number)
            await trio.sleep(EVERY_S)


async def _collect_acks(member: Bare, places: dict[int, int]) -> None:
    """The offset in each ack, by the message's id."""
    member.deadline_s = math.inf
    while True:
        payload = (await member.next("ack"))["payload"]
        assert payload["kept"] is True
        assert payload["id"] not in places, "acknowledged twice"
        places[payload["id"]] = payload["offset"]


async def test_a_database_that_hangs_stops_acks_and_nothing_else() -> None:
    """The room goes on, others are heard at once; when it goes on, all are acknowledged."""
    with running_postgres() as server:
        await trio.to_thread.run_sync(blocking, migrate(server.url))
        async with open_people(server.url) as people, keeping_stage(server.url) as stage:
            ada, bo = await people.sign_up("ada"), await people.sign_up("bo")
            room = await people.session(ada, bo)
            async with await enter(stage, ada, room) as speaker, await enter(stage, bo, room) as listener:
                await speaker.say("chat", 0, id=0, keep=True)
                await acknowledged(speaker, 0)
                await trio.to_thread.run_sync(server.pause)
                for number in range(1, 101):
                    await speaker.say("chat", number, id=number, keep=True)
                await speaker.say("note", id="plain")
                while (await listener.hear()).get("offset") != 102:
                    pass
                assert (await speaker.next("ack"))["payload"] == {"id": "plain", "offset": 102}
                await trio.to_thread.run_sync(server.resume)
                for number in range(1, 101):
                    assert await acknowledged(speaker, number) == {"id": number, "offset": number + 1, "kept": True}
            await becomes(lambda: _count(people, room), wanted=101)


async def _count(people: People, room: str) -> int:
    return len(await kept(people, room))
