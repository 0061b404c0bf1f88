"""A room class of somebody's own in a session's room: all that the studio does there still works (SPEC 1, 8)."""

from typing import Any, ClassVar

import msgspec
import pytest
import trio

import omnisonic
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.operations.gateway_records import open_records
from omnisonic.operations.gateway_stores import open_room_memory
from omnisonic.stores.bus import ROOM_EVENTS
from omnisonic.stores.bus.events import RoomSaid, encode
from omnisonic.wire import inspection as words
from tests.gateway.people import People, enter, open_ticket_stage
from tests.inspectors import TOKEN, inspector
from tests.rooms import open_stage
from tests.valkey_server import ValkeyServer


class Jam(omnisonic.Room[list[str]]):
    """Writes down what passes, and crashes on `poison`."""

    saved: ClassVar[dict[str, list[str]]] = {}

    def initial_state(self) -> list[str]:
        return []

    async def load(self, name: str) -> list[str] | None:
        await trio.lowlevel.checkpoint()
        return self.saved.get(name)

    async def save(self, name: str, state: list[str]) -> None:
        self.saved[name] = list(state)

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        if message.type == "poison":
            raise ValueError("poison")
        self.state.append(message.type)

    def on_crash(self, error: Exception, state: list[str]) -> list[str]:
        return state


@pytest.fixture(autouse=True)
def _forget() -> None:
    Jam.saved.clear()


async def test_a_sessions_room_of_ones_own_keeps_all_that_it_has(database_url: str, people: People) -> None:
    """Tickets, shared state, transport, kept messages, what the web says, history, and the inspector."""
    async with (
        open_records(database_url) as records,
        open_ticket_stage(database_url, messages=records.messages, admin_token=TOKEN, hosting=Hosting(Jam)) as stage,
    ):
        ada, bo = await people.sign_up("ada"), await people.sign_up("bo")
        room = await people.session(ada, bo)
        async with await enter(stage, ada, room) as speaker, await enter(stage, bo, room) as listener:
            await speaker.say("state.set", {"key": "cue", "value": 17}, id="s1")
            assert (await listener.next("state.changed"))["payload"]["value"] == 17
            await speaker.say("transport.set", {"tempoBpm": 90}, id="t1")
            assert (await listener.next("transport.state"))["payload"]["tempoBpm"] == 90.0
            await speaker.say("chat", {"text": "Hello"}, id="m1", keep=True)
            assert (await listener.next("chat"))["id"] == "m1"
            while (ack := (await speaker.next("ack"))["payload"])["id"] != "m1":
                pass
            assert ack == {"id": "m1", "offset": 1, "kept": True}
            await speaker.say("poison", id="p1")
            assert (await speaker.next("error"))["payload"] == {
                "id": "p1",
                "code": "room_crashed",
                "message": "The room could not take this message.",
            }
            progress = {"exportId": "e1", "sessionId": room, "status": "processing", "progress": 40, "format": "wav"}
            said = RoomSaid(room, "export.progress", msgspec.Raw(msgspec.json.encode(progress)))
            await stage.bus.publish(ROOM_EVENTS, encode(said))
            assert (await listener.next("export.progress"))["payload"] == progress
            async with inspector(stage) as operator:
                shown = await operator.asked(words.AskRoom("1", room))
                assert isinstance(shown, words.RoomAnswer)
                assert len(shown.room.members) == 2
                await operator.asked(words.AskRestart("2", room))
            await speaker.say("chat", {"text": "Still here"})
            assert (await listener.next("chat"))["payload"] == {"text": "Still here"}
            since = f"{listener.welcome['payload']['epoch']}:1"
        async with await enter(stage, bo, room, since=since) as again:
            assert again.welcome["payload"]["recovered"] is True
            assert again.welcome["payload"]["state"]["cue"]["value"] == 17
            assert (await again.next("export.progress"))["offset"] == 2
    assert Jam.saved == {room: ["chat"]}, "an operator's restart begins with initial_state()"


async def test_the_state_of_ones_own_and_what_the_room_remembers_are_there_after_a_restart(
    valkey: ValkeyServer,
) -> None:
    """The next gateway loads both, and members wait for both."""
    epochs: list[Any] = []
    for number in range(2):
        async with (
            open_room_memory(valkey.url, 60) as memory,
            open_stage(memory=memory, hosting=Hosting(Jam)) as stage,
            stage.member("ada") as ada,
        ):
            epochs.append(ada.welcome["payload"]["epoch"])
            assert ada.welcome["payload"]["offset"] == number
            await ada.say("note", id=f"n{number}")
            await ada.next("ack")
        assert Jam.saved == {"jam": ["note"] * (number + 1)}
    assert epochs[0] == epochs[1]
