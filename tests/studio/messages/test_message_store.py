"""Kept messages on a real database: written once, in their order, and read in pages by those who may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec
import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.identity.logins import login_id, new_token
from omnisonic.models import KeptMessage, LoginId, Person, SessionId
from omnisonic.stores.database.migrations import migrate
from omnisonic.stores.database.pool import Database, Deadlines
from omnisonic.studio.messages import Kept, MessageToKeep, Outcome
from omnisonic.studio.messages.message_store import LONGEST_PAGE, MessageStore, PostgresMessages
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn
from omnisonic.studio.webhooks import PAYLOAD_BYTES
from tests.postgres_server import PostgresServer, blocking, running_postgres
from tests.stores.conftest import DEADLINE_S
from tests.studio.databases import DEAD_URL, Base, base_at
from tests.studio.people import PostgresPeople

NOON: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
IMPATIENT: Final = Deadlines(acquire_s=5.0, query_s=1.0, release_s=0.2)


class Room(NamedTuple):
    """A session of Ada's, and who writes and reads its messages."""

    base: Base
    people: PostgresPeople
    ada: LoginId
    person: Person
    session: SessionId
    writer: PostgresMessages
    store: MessageStore

    def message(self, number: int, **changes: object) -> MessageToKeep:
        """The message of this number, as Ada said it."""
        said = MessageToKeep(
            room=self.session,
            epoch="first",
            offset=number,
            member_id=self.person.id,
            client_id=f'"{number}"',
            person=self.person.id,
            display_name="Ada",
            type="chat",
            payload=f'{{"text":"number {number}"}}',
            said_at=NOON + timedelta(seconds=number),
        )
        return said._replace(**changes)  # type: ignore[arg-type]

    async def read(self, *, limit: int = 100) -> list[KeptMessage]:
        """All messages, newest first, read page by page."""
        messages: list[KeptMessage] = []
        before: int | None = None
        while True:
            page = await self.store.read(self.ada, self.session, limit=limit, before=before)
            messages += page.messages
            if (before := page.next_before) is None:
                return messages

    async def offsets(self) -> list[int]:
        return [message.offset for message in await self.read()]


@asynccontextmanager
async def room_at(server: PostgresServer, thread: AsyncioThread) -> AsyncIterator[Room]:
    """A room on a server of one's own, whose database has no tables yet."""
    await trio.to_thread.run_sync(blocking, migrate(server.url))
    async with base_at(server.url, thread) as base:
        yield await room_on(base)


@pytest.fixture
async def room(base: Base) -> Room:
    """Nothing was said in it yet."""
    return await room_on(base)


async def room_on(base: Base) -> Room:
    """A room that nothing was said in."""
    people = PostgresPeople(base)
    ada, person = await people.arrives("ada")
    session = await people.store.create(ada, "Night jam")
    writer, store = base.of(PostgresMessages(base.database)), base.of(MessageStore(base.database))
    return Room(base, people, ada, person, session.id, writer, store)


async def test_a_message_is_read_as_it_was_kept(room: Room) -> None:
    """With its place, its sender, the name of that time, and a payload that is the same text."""
    payload = '{"text": "caf\u00e9 \\u0000 \U0001f3b8", "n": 1.50, "n": 2}'
    assert await room.writer.keep([room.message(7, payload=payload, client_id="12")]) == [Kept("first", 7)]
    assert await room.read() == [
        KeptMessage(
            epoch="first",
            offset=7,
            id=12,
            sender=room.person.id,
            user_id=room.person.id,
            display_name="Ada",
            type="chat",
            payload=msgspec.Raw(payload.encode()),
            at=NOON + timedelta(seconds=7),
        )
    ]


async def test_a_batch_keeps_its_order_and_is_read_in_pages_newest_first(room: Room) -> None:
    """Whatever the size of a page, each message is in one of them, once."""
    assert await room.store.read(room.ada, room.session, limit=10) == await room.store.read(
        room.ada, room.session, limit=10, before=1
    )
    for first in range(1, 1000, 250):
        batch = [room.message(number) for number in range(first, first + 250)]
        assert await room.writer.keep(batch) == [Kept("first", message.offset) for message in batch]
    for limit in (1000, LONGEST_PAGE, 99, 250):
        assert [each.offset for each in await room.read(limit=limit)] == list(range(1000, 0, -1))
    whole = await room.store.read(room.ada, room.session, limit=1000)
    assert len(whole.messages) == LONGEST_PAGE


async def test_a_message_sent_again_is_written_once_and_names_the_first_place(room: Room) -> None:
    """In the same batch, in the next one, and in another epoch: always the place of the first."""
    once = room.message(1)
    again = [room.message(2, client_id=once.client_id, payload=once.payload), once._replace(epoch="second", offset=9)]
    assert await room.writer.keep([once, *again]) == [Kept("first", 1)] * 3
    assert await room.writer.keep([room.message(5), *again, room.message(6)]) == [
        Kept("first", 5),
        Kept("first", 1),
        Kept("first", 1),
        Kept("first", 6),
    ]
    assert await room.offsets() == [6, 5, 1]


async def test_another_message_of_the_same_id_is_another_message(room: Room) -> None:
    """Another payload, another type, another member's: each is kept, so that no client loses what it said."""
    once = room.message(1)
    others = [
        once._replace(payload='"other"', offset=2),
        once._replace(type="cue", offset=3),
        once._replace(member_id="bo", person=None, offset=4),
    ]
    assert await room.writer.keep([once, *others]) == [Kept("first", offset) for offset in (1, 2, 3, 4)]
    assert await room.writer.keep([*others, once]) == [Kept("first", offset) for offset in (2, 3, 4, 1)]
    assert [(each.offset, each.sender, each.user_id) for each in await room.read(limit=2)] == [
        (4, "bo", None),
        *((offset, room.person.id, room.person.id) for offset in (3, 2, 1)),
    ]


async def test_two_who_keep_the_same_messages_at_once_write_them_once(room: Room) -> None:
    """As when a gateway is not sure whether its first attempt was committed: both learn the same place."""
    batch = [room.message(number) for number in range(1, 101)]
    outcomes: list[list[Outcome]] = []

    async def keep(messages: list[MessageToKeep]) -> None:
        outcomes.append(await room.writer.keep(messages))

    async with trio.open_nursery() as nursery:
        for epoch in ("first", "second", "third", "fourth"):
            nursery.start_soon(keep, [message._replace(epoch=epoch) for message in batch])
    assert len({tuple(each) for each in outcomes}) == 1, "all name the same place"
    assert await room.offsets() == list(range(100, 0, -1))


async def test_a_message_that_another_transaction_is_writing_is_waited_for(room: Room) -> None:
    """The second statement sees what was committed while the first one waited."""
    insert = (
        "INSERT INTO kept_messages (session_id, epoch, message_offset, member_id, client_id, display_name, type,"
        " payload, said_at, content_digest) SELECT session_id, 'theirs', 70, member_id, '\"2\"', display_name, type,"
        " payload, said_at, content_digest FROM kept_messages WHERE client_id = '\"1\"'"
    )
    first = room.message(1)
    await room.writer.keep([first])
    outcomes: list[Outcome] = []

    async def keep() -> None:
        outcomes.extend(await room.writer.keep([first._replace(client_id='"2"', offset=2), room.message(3)]))

    held = room.base.holding(insert)
    async with trio.open_nursery() as nursery, held:
        nursery.start_soon(keep)
        await room.base.once_waiting(1)
    assert outcomes == [Kept("theirs", 70), Kept("first", 3)]


async def test_rooms_of_no_session_and_deleted_sessions_leave_the_others_alone(room: Room) -> None:
    """What cannot be kept says so; the rest of the batch is kept. The account of a sender may be gone."""
    other = (await room.people.store.create(room.ada, "Other")).id
    await room.people.store.delete(room.ada, other)
    batch = [
        room.message(1),
        room.message(2, room=str(uuid4())),
        room.message(3, room=other),
        room.message(4, room="night-jam"),
        room.message(5, room=room.session.upper()),
        room.message(6, person=str(uuid4())),
    ]
    assert await room.writer.keep(batch) == [Kept("first", 1), *[None] * 4, Kept("first", 6)]
    assert [(each.offset, each.user_id) for each in await room.read()] == [(6, None), (1, room.person.id)]


async def test_a_session_deleted_meanwhile_costs_only_its_own_messages(room: Room) -> None:
    """The statement waits for the deletion, and then leaves out what has no session any more."""
    other = (await room.people.store.create(room.ada, "Other")).id
    outcomes: list[Outcome] = []

    async def keep() -> None:
        outcomes.extend(await room.writer.keep([room.message(1), room.message(2, room=other)]))

    held = room.base.holding("DELETE FROM sessions WHERE id = $1", other)
    async with trio.open_nursery() as nursery, held:
        nursery.start_soon(keep)
        await room.base.once_waiting(1)
    assert outcomes == [Kept("first", 1), None]


async def test_kept_messages_are_queued_for_webhooks_in_the_same_statement(room: Room) -> None:
    """Once, with the payload as it was said, or without one that is too large; a webhook removed now fails nobody."""
    payload = '{"text": "100 % \\u0000 \U0001f3b8 \\"", "n": 1.50}'
    add = (
        "INSERT INTO webhooks (url, room, events, salt, secret_digest)"
        " VALUES ('https://example.com', $1, ARRAY[$2], '', '') RETURNING id"
    )
    here = await room.base.number(add, room.session, "message.kept")
    elsewhere = await room.base.number(add, "elsewhere", "message.kept")
    removed = await room.base.number(add, None, "message.kept")
    await room.base.sql(add, None, "member.left")
    batch = [
        room.message(1, payload=payload, display_name='A "%s"', person=None),
        room.message(2, payload=f'"{"x" * PAYLOAD_BYTES}"'),
    ]
    async with trio.open_nursery() as nursery, room.base.holding("DELETE FROM webhooks WHERE id = $1", removed):
        nursery.start_soon(room.writer.keep, batch)
        await room.base.once_waiting(1)
    await room.writer.keep(batch)
    rows = await room.base.sql("SELECT webhook_id, room, type, body FROM webhook_deliveries ORDER BY number")
    assert [tuple(row)[:3] for row in rows] == [(here, room.session, "message.kept")] * 2
    assert elsewhere != here
    assert payload in rows[0]["body"]
    first, second = (msgspec.json.decode(row["body"]) for row in rows)
    assert first["timestamp"] == "2026-11-01T12:00:01.000Z"
    said = {"displayName": 'A "%s"', "userId": None, "id": "1", "offset": 1, "payloadOmitted": False}
    assert {name: first["data"][name] for name in said} == said
    assert (second["data"]["payload"], second["data"]["payloadOmitted"]) == (None, True)
    assert second["data"]["userId"] == room.person.id


async def test_messages_go_with_their_session_and_stay_without_their_user(room: Room) -> None:
    """Deleting an account takes its name from the row's link, not what was said; deleting the session takes all."""
    _, person = await room.people.arrives("bo")
    await room.writer.keep([room.message(1, person=person.id, member_id=person.id, display_name="Bo")])
    await room.base.sql("DELETE FROM users WHERE id = $1", person.id)
    (message,) = await room.read()
    assert (message.user_id, message.display_name, message.sender) == (None, "Bo", person.id)
    await room.people.store.delete(room.ada, room.session)
    assert await room.base.number("SELECT count(*) FROM kept_messages") == 0


async def test_only_members_of_the_session_read_its_messages(room: Room) -> None:
    """Collaborators do; for other users, and for rooms of no session, there is nothing; strangers sign in first."""
    bo, _ = await room.people.arrives("bo")
    await room.writer.keep([room.message(1)])
    for login, session in ((bo, room.session), (room.ada, str(uuid4())), (room.ada, "night-jam")):
        with pytest.raises(NoSuchSession):
            await room.store.read(login, session, limit=1)
    with pytest.raises(NotSignedIn):
        await room.store.read(login_id(new_token()), room.session, limit=1)
    await room.people.store.invite(room.ada, room.session, "digest")
    await room.people.store.accept(bo, "digest")
    page = await room.store.read(bo, room.session, limit=1)
    assert [message.offset for message in page.messages] == [1]


async def test_old_messages_are_dropped_oldest_first(room: Room) -> None:
    """At most as many as wanted at a time, and none that is younger."""
    now = datetime.now(UTC)
    ages = (5, 3, 1, 4, 2)
    await room.writer.keep([room.message(days, said_at=now - timedelta(days=days, minutes=1)) for days in ages])
    drop = partial(room.store.drop_old, timedelta(days=3))
    assert [await drop(2), await drop(2), await drop(2)] == [2, 1, 0]
    assert sorted(await room.offsets()) == [1, 2]


async def keep_for_ever(room: Room, batch: list[MessageToKeep]) -> None:
    """Keep a batch, delete it, and keep it again: at any moment half of it is under way."""
    while True:
        await room.writer.keep(batch)
        await room.base.sql("DELETE FROM kept_messages")


async def test_a_batch_whose_server_dies_half_way_is_there_whole_or_not_at_all(thread: AsyncioThread) -> None:
    """Nobody knows which; sent again, every message is there once, in order."""
    with running_postgres() as server:
        async with room_at(server, thread) as room:
            batch = [room.message(number) for number in range(1, 501)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, server.kill)
                with pytest.raises(Unavailable):
                    await keep_for_ever(room, batch)
            server.start()
            assert await room.base.number("SELECT count(*) FROM kept_messages") in (0, 500)
            assert await room.writer.keep(batch) == [Kept("first", message.offset) for message in batch]
            assert await room.offsets() == list(range(500, 0, -1))


async def warm(writer: PostgresMessages, room: Room) -> None:
    """Have the second message kept, so that connection and statement are there; what takes too long is tried again."""
    while True:
        with suppress(Unavailable):
            await writer.keep([room.message(2)])
            return


async def test_a_server_that_hangs_is_unavailable_and_what_it_did_is_found_out_by_trying_again(
    thread: AsyncioThread,
) -> None:
    """The batch may be committed once the server goes on; the same batch again is written once."""
    with running_postgres() as server:
        async with room_at(server, thread) as room:
            await room.writer.keep([room.message(1)])
            impatient = Database(server.url, deadlines=IMPATIENT)
            await thread.call(impatient.open, timeout_s=DEADLINE_S)
            writer: PostgresMessages = room.base.of(PostgresMessages(impatient))
            await warm(writer, room)
            server.pause()
            with pytest.raises(Unavailable):
                await writer.keep([room.message(3), room.message(4)])
            server.resume()
            patient = room.writer
            assert await patient.keep([room.message(3), room.message(4)]) == [Kept("first", 3), Kept("first", 4)]
            assert await room.offsets() == [4, 3, 2, 1]
            await writer.aclose()


async def test_without_a_database_every_call_is_unavailable(thread: AsyncioThread) -> None:
    """Nothing is taken for kept, and nothing for missing."""
    async with base_at(DEAD_URL, thread) as dead:
        store, writer = dead.of(MessageStore(dead.database)), dead.of(PostgresMessages(dead.database))
        with pytest.raises(Unavailable):
            await store.read(login_id(new_token()), str(uuid4()), limit=1)
        with pytest.raises(Unavailable):
            await store.drop_old(timedelta(days=1), 1)
        message = MessageToKeep(str(uuid4()), "e", 1, "ada", "1", None, "Ada", "chat", "null", NOON)
        with pytest.raises(Unavailable):
            await writer.keep([message])
