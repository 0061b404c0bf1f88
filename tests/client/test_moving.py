"""Another `welcome` on an open connection: another gateway has taken the room over (SPEC 5.2, 5.5)."""

import json

import pytest
import trio

from omnisonic.models import Member
from omnisonic.wire.frames import TEXT
from tests.client.libraries import Client
from tests.client.serving import Peer, scripted
from tests.embedding.staging import hear, until
from tests.rooms import eventually

HOUR_MS = 3_600_000
STATE = b'{"solo":{"value":"cy","version":7,"by":"cy"}}'
TRANSPORT = (
    b'{"playing":false,"tempoBpm":90,"beatsPerBar":3,"anchorBeat":4,"anchorTime":0,"loop":null,"version":2,"by":"cy"}'
)

AFTER_WELCOME = [
    (b'{"type":"note","from":"cy","offset":51}', "f:51"),
    (b'{"type":"presence.join","payload":{"memberId":"cy","displayName":"Cy"}}', "f:50"),
    (b'{"type":"signal.offer","from":"cy"}', "f:50"),
    (b'{"type":"ack","payload":{"id":"n7","offset":51}}', "f:51"),
    (b'{"type":"room.degraded"}', "e:5"),
]
"""What may come after a `welcome`, and from where to recover then: a gap comes before all but the last."""


def note(peer_text: bytes) -> tuple[str, object]:
    """The id and the payload of a message."""
    fields = json.loads(peer_text)
    return fields["id"], fields["payload"]


async def acknowledge(peer: Peer, id_: str, offset: int) -> None:
    """Tell the sender of this message its place."""
    await peer.tell(json.dumps({"type": "ack", "payload": {"id": id_, "offset": offset}}).encode())


async def test_a_second_welcome_is_the_whole_truth(client: Client) -> None:
    """Roster, state, transport, epoch and offset are those of it; the program is told of the members who differ."""
    seen: list[str | None] = []

    async def moves(peer: Peer) -> None:
        await peer.welcome(offset=5)
        for line in (b'{"memberId":"bo","displayName":"Bo"}', b'{"memberId":"di","displayName":"Di"}'):
            await peer.tell(b'{"type":"presence.join","payload":%b}' % line)
        await peer.tell(b'{"type":"state.changed","payload":{"key":"take","value":1,"version":1,"by":"bo"}}')
        await peer.tell(b'{"type":"room.degraded"}')
        await peer.tell(b'{"type":"before"}')
        await peer.welcome_again(
            Member(member_id="ada", display_name="Ada"),
            Member(member_id="di", display_name="Di", status="away"),
            Member(member_id="cy", display_name="Cy"),
            epoch="f",
            offset=3,
            recovered=True,
            state=STATE,
            transport=TRANSPORT,
        )
        await peer.tell(b'{"type":"note","from":"cy","offset":4}')
        await peer.tell(b'{"type":"after"}')
        await peer.receive_text("cut")
        await peer.hang_up()

    async def again(peer: Peer) -> None:
        await peer.welcome(epoch="f", offset=4, recovered=True)
        seen.append(peer.since)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(moves, again) as url, client.hasty(url) as room:
        await until(room, "before")
        told = await until(room, "after")
        assert [(each.type, each.payload) for each in told[1:4]] == [
            ("presence.leave", {"memberId": "bo", "reason": "lost"}),
            ("presence.update", {"memberId": "di", "displayName": "Di", "status": "away", "connected": True}),
            ("presence.join", {"memberId": "cy", "displayName": "Cy", "status": "active", "connected": True}),
        ]
        assert [each.type for each in (told[0], *told[4:])] == ["welcome", "note"]
        assert [each.member_id for each in room.members] == ["ada", "di", "cy"]
        assert (dict(room.state), room.state.version("solo"), room.state.by("solo")) == ({"solo": "cy"}, 7, "cy")
        assert (room.transport.tempo_bpm, room.transport.beats_per_bar, room.position()) == (90, 3, 4)
        assert (room.epoch, room.is_degraded, room.connection_state) == ("f", False, "connected")
        await room.say("cut")
        await hear(room, "done")
    assert seen == ["f:4"]


async def test_a_room_that_moved_with_a_loss_asks_from_before_it_until_the_gap_is_told(client: Client) -> None:
    """As after a reconnection: a connection that breaks between the welcome and the gap hides nothing."""
    seen: list[str | None] = []

    async def forgets_the_gap(peer: Peer) -> None:
        await peer.welcome(offset=5)
        await peer.welcome_again(epoch="f", offset=50)
        await peer.hang_up()

    async def tells_the_gap(peer: Peer) -> None:
        await peer.welcome(epoch="f", offset=50, recovered=True)
        seen.append(peer.since)
        await peer.welcome_again(epoch="g", offset=9)
        await peer.tell(b'{"type":"history.gap","payload":{"epoch":"f","from":51,"to":null,"lost":null}}')
        await peer.hang_up()

    async def ends(peer: Peer) -> None:
        await peer.welcome(epoch="g", offset=9, recovered=True)
        seen.append(peer.since)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(forgets_the_gap, tells_the_gap, ends) as url, client.hasty(url) as room:
        received = await until(room, "done")
    assert seen == ["e:5", "g:9"]
    gaps = [each.payload for each in received if each.type == "history.gap"]
    assert gaps == [{"epoch": "f", "from": 51, "to": None, "lost": None}]


@pytest.mark.parametrize(("message", "since"), AFTER_WELCOME)
async def test_a_room_that_moved_without_a_gap_is_recovered_from_its_new_epoch(
    client: Client, message: bytes, since: str
) -> None:
    """Nothing is lost to those who had entered just before. They do not wait for a gap that nobody tells."""
    seen: list[str | None] = []

    async def moves(peer: Peer) -> None:
        await peer.welcome(offset=5)
        await peer.welcome_again(epoch="f", offset=50)
        await peer.tell(message)
        await peer.hang_up()

    async def again(peer: Peer) -> None:
        await peer.welcome(epoch="f", offset=51, recovered=True)
        seen.append(peer.since)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(moves, again) as url, client.hasty(url) as room:
        await hear(room, "done")
    assert seen == [since]


async def test_what_was_not_answered_is_sent_again_after_a_move_and_before_anything_else(client: Client) -> None:
    """With the same ids, in the order in which it was sent; what was answered, or needs no answer, is not."""
    asked: list[list[tuple[str, object]]] = []

    async def moves(peer: Peer) -> None:
        await peer.welcome()
        first = [note(await peer.receive_text("note")) for _ in range(3)]
        await peer.tell(b'{"type":"asked"}')
        await peer.receive_text("said")
        await acknowledge(peer, first[1][0], 1)
        asked.append(first)
        for offset in (1, 2):  # it moves twice: also what was just sent again is not known there
            await peer.welcome_again(epoch="e", offset=offset, recovered=True)
            asked.append([note(await peer.receive_text("note")) for _ in range(2)])
        await peer.tell(b'{"type":"moved"}')
        asked.append([note(await peer.receive_frame(TEXT))])
        for offset, (id_, _) in enumerate((asked[1][0], asked[1][1], asked[3][0]), 2):
            await acknowledge(peer, id_, offset)
        await peer.rest()

    offsets: dict[int, int] = {}
    async with scripted(moves) as url, client.hasty(url) as room, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            offsets[number] = await room.ask("note", number)

        for number in range(3):
            nursery.start_soon(ask, number)
        await hear(room, "asked")
        await room.say("said")
        await hear(room, "moved")
        nursery.start_soon(ask, 3)
    first, again, third, last = asked
    assert again == third == [each for each in first if each != first[1]]
    assert last[0][1] == 3
    assert offsets[first[1][1]] == 1  # type: ignore[index]
    assert sorted(offsets.values()) == [1, 2, 3, 4]


async def test_the_clock_is_that_of_whoever_answers_now(client: Client) -> None:
    """The new owner's may be an hour ahead: it is measured again at once."""

    async def moves(peer: Peer) -> None:
        await peer.welcome()
        await answer_heartbeat(peer, 0)
        await peer.welcome_again(epoch="e", offset=0, recovered=True, now_ms=HOUR_MS)
        await answer_heartbeat(peer, HOUR_MS)
        await peer.rest()

    async def answer_heartbeat(peer: Peer, ts: int) -> None:
        echo = json.loads(await peer.receive_text("heartbeat"))["payload"]
        ahead = int(echo["sentMs"]) + ts
        await peer.tell(json.dumps({"type": "heartbeat", "payload": {"ts": ahead, "echo": echo}}).encode())

    async with scripted(moves) as url, client.hasty(url) as room:
        await hear(room, "welcome")
        await eventually(lambda: room.clock_offset_s is not None)
        assert room.clock_offset_s is not None
        assert abs(room.clock_offset_s - HOUR_MS / 1000) < HOUR_MS / 2000


async def test_a_room_that_is_degraded_says_so_until_it_is_restored(client: Client) -> None:
    """The program gets both messages, and can ask at any time."""

    async def degrades(peer: Peer) -> None:
        await peer.welcome()
        await peer.tell(b'{"type":"room.degraded","payload":{"reason":"store"}}')
        await peer.receive_text("on")
        await peer.tell(b'{"type":"room.restored"}')
        await peer.rest()

    async with scripted(degrades) as url, client.hasty(url) as room:
        assert (await hear(room, "room.degraded")).payload == {"reason": "store"}
        assert room.is_degraded
        await room.say("on")
        assert await until(room, "room.restored") == []
        assert not room.is_degraded
