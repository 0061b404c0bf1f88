"""What the Python client has kept: written down when `ask` returns, once, however often it was sent (SPEC 5.2, 8)."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio

import omnisonic
from omnisonic.operations.gateway_records import open_records
from tests.clients import DEADLINE_S
from tests.embedding.staging import hear
from tests.gateway.people import People, Somebody, open_people, open_ticket_stage
from tests.rooms import Stage, eventually
from tests.tcp_proxy import open_tcp_proxy


@dataclass
class Studio:
    """A gateway that writes kept messages into a database, and the people who may enter."""

    stage: Stage
    people: People

    def connect(
        self, somebody: Somebody, room: str, port: int | None = None
    ) -> AbstractAsyncContextManager[omnisonic.ClientRoom]:
        """To be `somebody` in the room, by the gateway or by a proxy on `port`."""

        async def ticket() -> str:
            return somebody.ticket(room)

        return omnisonic.connect(f"ws://127.0.0.1:{port or self.stage.port}", ticket=ticket)

    async def kept(self, room: str) -> list[tuple[Any, ...]]:
        """The rows of the room: who, the place, the type and the payload."""
        rows = await self.people.execute(
            "SELECT * FROM kept_messages WHERE session_id::text = $1 ORDER BY number", room
        )
        return [(row["member_id"], row["message_offset"], row["type"], row["payload"]) for row in rows]


@asynccontextmanager
async def _open_studio(database_url: str) -> AsyncIterator[Studio]:
    async with (
        open_people(database_url) as people,
        open_records(database_url) as records,
        open_ticket_stage(database_url, messages=records.messages, room_events=records.room_events) as stage,
    ):
        yield Studio(stage, people)


@pytest.fixture
async def studio(database_url: str) -> AsyncIterator[Studio]:
    async with _open_studio(database_url) as studio:
        yield studio


async def test_a_message_is_kept_when_ask_returns(studio: Studio) -> None:
    """The row is there; the other member has the `id` with which they know it again, and none otherwise."""
    ada, bo = await studio.people.sign_up("ada"), await studio.people.sign_up("bo")
    room = await studio.people.session(ada, bo)
    async with studio.connect(ada, room) as speaker, studio.connect(bo, room) as listener:
        assert await speaker.ask("chat", {"text": "Take 3?"}) == 1
        assert (await hear(listener, "chat")).id is None
        assert await speaker.ask("chat", {"text": "Take 3."}, keep=True) == 2
        assert await studio.kept(room) == [("ada", 2, "chat", '{"text":"Take 3."}')]
        message = await hear(listener, "chat")
        assert (message.payload, message.offset) == ({"text": "Take 3."}, 2)
        assert isinstance(message.id, str)


async def test_what_cannot_be_kept_is_refused_with_its_code(studio: Studio) -> None:
    """A message to one member is not for everybody, and so is not kept; nobody receives it."""
    ada, bo = await studio.people.sign_up("ada"), await studio.people.sign_up("bo")
    room = await studio.people.session(ada, bo)
    async with studio.connect(ada, room) as speaker, studio.connect(bo, room) as listener:
        with pytest.raises(omnisonic.NotTaken) as refused:
            await speaker.ask("chat", "psst", to="bo", keep=True)
        assert refused.value.code == "invalid_message"
        await speaker.say("chat", "all")
        assert (await hear(listener, "chat")).payload == "all"
        assert await studio.kept(room) == []


async def test_a_kept_message_whose_ack_is_lost_is_asked_again_and_written_once(studio: Studio) -> None:
    """It is committed, its ack is on the way, and the connection breaks: the next ack names the first place."""
    ada = await studio.people.sign_up("ada")
    room = await studio.people.session(ada)
    async with (
        open_tcp_proxy(studio.stage.port) as proxy,
        studio.connect(ada, room, proxy.port) as speaker,
        trio.open_nursery() as nursery,
    ):
        offsets: list[int] = []

        async def ask() -> None:
            offsets.append(await speaker.ask("chat", "once", keep=True, timeout_s=DEADLINE_S))

        proxy.delay_s = 1.0
        nursery.start_soon(ask)
        await eventually(lambda: studio.stage.gateway.measure()["kept_messages"] == 1)
        proxy.delay_s = 0.0
        proxy.cut()
        await eventually(lambda: bool(offsets))
        assert (offsets, proxy.connections) == ([1], 2)
    assert await studio.kept(room) == [("ada", 1, "chat", '"once"')]
