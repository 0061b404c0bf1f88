"""Kept messages in a whole studio: what was acknowledged outlives the crash of the gateway and of the database."""

import signal
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from tests.clients import Client
from tests.rooms import eventually
from tests.system.musicians import Musician, musician
from tests.system.studio import Studio, end, running_studio

pytestmark = pytest.mark.timing

PAGE: Final = 200
EVERY_S: Final = 0.005
CRASHES: Final = 3


class Speaker:
    """Says numbers, each kept; sends those again that are not acknowledged, on each new connection."""

    def __init__(self, person: Musician, session: str) -> None:
        self._person = person
        self._session = session
        self.said = 0
        self.unacknowledged: dict[str, int] = {}
        self.acknowledged: dict[str, int] = {}
        self.over = False

    async def talk(self) -> None:
        """Talk until it is over and all is acknowledged, over as many connections as that takes."""
        while not (self.over and not self.unacknowledged):
            try:
                async with self._person.in_room(self._session) as client, trio.open_nursery() as nursery:
                    nursery.start_soon(self._hear, client, nursery.cancel_scope)
                    for message_id, number in list(self.unacknowledged.items()):
                        await client.say("chat", number, id=message_id, keep=True)
                    await self._say(client)
                    if not self.unacknowledged:
                        nursery.cancel_scope.cancel()
            except* (ConnectionClosed, HandshakeError, OSError, AssertionError):
                await trio.sleep(0.05)

    async def _say(self, client: Client) -> None:
        while not self.over:
            self.said += 1
            message_id = f"m{self.said}"
            self.unacknowledged[message_id] = self.said
            await client.say("chat", self.said, id=message_id, keep=True)
            await trio.sleep(EVERY_S)

    async def _hear(self, client: Client, scope: trio.CancelScope) -> None:
        while self.unacknowledged or not self.over:
            payload = (await client.next("ack"))["payload"]
            assert payload["kept"] is True
            self.acknowledged.setdefault(payload["id"], payload["offset"])
            self.unacknowledged.pop(payload["id"], None)
        scope.cancel()


async def kept(person: Musician, session: str) -> list[dict[str, Any]]:
    """All kept messages of the session, oldest first."""
    messages: list[dict[str, Any]] = []
    before = ""
    while True:
        page = await person.reported("GET", f"/api/rooms/{session}/messages?limit={PAGE}{before}")
        messages += page["messages"]
        if page["nextBefore"] is None:
            return messages[::-1]
        before = f"&before={page['nextBefore']}"


@pytest.fixture(params=["gateway", "postgres"])
def part(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_no_kept_message_is_lost_when_a_part_is_killed_again_and_again(part: str, tmp_path: Path) -> None:
    """`kill -9` in the middle of talk: all that was acknowledged is there, and what was sent again is there once."""
    with running_studio("serve", tmp_path, ROOM_ACCESS="ticket") as studio:
        async with musician(studio.visitors, "ada") as ada:
            session = await ada.create("Kept")
            speaker = Speaker(ada, session)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(speaker.talk)
                for _ in range(CRASHES):
                    await _more(speaker, studio)
                    await end(studio, part, signal.SIGKILL)
                await _more(speaker, studio)
                speaker.over = True
            messages = await kept(ada, session)
            assert len(speaker.acknowledged) == speaker.said
            assert sorted(message["payload"] for message in messages) == list(range(1, speaker.said + 1))
            assert {message["id"]: message["offset"] for message in messages} == speaker.acknowledged
            if part == "postgres":
                assert [message["payload"] for message in messages] == list(range(1, speaker.said + 1))
                assert len({message["epoch"] for message in messages}) == 1


async def _more(speaker: Speaker, studio: Studio) -> None:
    """Until some more is acknowledged."""
    wanted = len(speaker.acknowledged) + 50
    await eventually(partial(_has_reached, speaker, wanted), deadline_s=30)


def _has_reached(speaker: Speaker, wanted: int) -> bool:
    return len(speaker.acknowledged) >= wanted
