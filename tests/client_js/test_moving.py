"""Another `welcome` on an open connection: another gateway has taken the room over (SPEC 5.2, 5.5)."""

import json
from typing import Any

import pytest
import trio

from omnisonic.models import Account, Member
from tests.client.serving import Peer, scripted
from tests.client_js.programs import JsRoom, jam, needs_node

pytestmark = needs_node

HOUR_MS = 3_600_000
STATE = b'{"solo":{"value":"cy","version":7,"by":"cy"}}'
TRANSPORT = (
    b'{"playing":false,"tempoBpm":90,"beatsPerBar":3,"anchorBeat":4,"anchorTime":0,"loop":null,"version":2,"by":"cy"}'
)
ADA = Member(member_id="ada", display_name="Ada")
DI = Member(member_id="di", display_name="Di", account=Account("1", "Di"))
EVI = Member(member_id="evi", display_name="Evi", account=Account("2", "Evi"))

AFTER_WELCOME = [
    (b'{"type":"note","from":"cy","offset":51}', "f:51"),
    (b'{"type":"presence.join","payload":{"memberId":"cy","displayName":"Cy"}}', "f:50"),
    (b'{"type":"signal.offer","from":"cy"}', "f:50"),
    (b'{"type":"ack","payload":{"id":"n7","offset":51}}', "f:51"),
    (b'{"type":"room.degraded"}', "e:5"),
]
"""What may come after a `welcome`, and from where to recover then: a gap comes before all but the last."""


async def tell_join(peer: Peer, member: Member) -> None:
    """Tell that somebody joined."""
    line = {"memberId": member.member_id, "displayName": member.display_name, "status": "active", "connected": True}
    if isinstance(member.account, Account):
        line |= {"account": {"id": member.account.id, "name": member.account.name}}
    await peer.tell(json.dumps({"type": "presence.join", "payload": line}).encode())


async def acknowledge(peer: Peer, id_: str, offset: int) -> None:
    """Tell the sender of this message its place."""
    await peer.tell(json.dumps({"type": "ack", "payload": {"id": id_, "offset": offset}}).encode())


async def test_a_second_welcome_is_the_whole_truth() -> None:
    """Roster, state, transport, epoch and offset are those of it; the program is told of the members who differ."""

    async def moves(peer: Peer) -> None:
        await peer.welcome(offset=5)
        for member in (Member(member_id="bo", display_name="Bo"), DI, EVI):
            await tell_join(peer, member)
        await peer.tell(b'{"type":"state.changed","payload":{"key":"take","value":1,"version":1,"by":"bo"}}')
        await peer.tell(b'{"type":"room.degraded"}')
        await peer.tell(b'{"type":"before"}')
        renamed = Member(member_id="di", display_name="Di", account=Account("1", "Diana"))
        cy = Member(member_id="cy", display_name="Cy")
        told = {"epoch": "f", "offset": 3, "recovered": True}
        await peer.welcome_again(ADA, renamed, EVI, cy, state=STATE, transport=TRANSPORT, **told)
        await peer.tell(b'{"type":"note","from":"cy","offset":4}')
        await peer.tell(b'{"type":"after"}')
        await peer.rest()

    async with scripted(moves) as url, jam(url) as room:
        await room.until("before")
        told = await room.until("after")
        assert [(each["type"], each["payload"].get("memberId")) for each in told[:4]] == [
            ("welcome", "ada"),
            ("presence.leave", "bo"),
            ("presence.update", "di"),
            ("presence.join", "cy"),
        ]
        assert [each["type"] for each in told[4:]] == ["note"]
        assert told[1]["payload"]["reason"] == "lost"
        assert told[2]["payload"]["account"]["name"] == "Diana"
        view = await room.view()
        assert [each["memberId"] for each in view["members"]] == ["ada", "di", "evi", "cy"]
        assert view["state"] == {"solo": ["cy", 7, "cy"]}
        assert (view["transport"]["tempoBpm"], view["transport"]["anchorBeat"]) == (90, 4)
        assert (view["epoch"], view["since"], view["isDegraded"]) == ("f", "f:4", False)
        assert view["connectionState"] == "connected"


async def test_a_room_that_moved_with_a_loss_asks_from_before_it_until_the_gap_is_told() -> None:
    """As after a reconnection: a connection that breaks between the welcome and the gap hides nothing."""

    async def loses(peer: Peer) -> None:
        await peer.welcome(offset=5)
        await peer.welcome_again(epoch="f", offset=50)
        await peer.receive_text("go on")
        await peer.tell(b'{"type":"history.gap","payload":{"epoch":"e","from":6,"to":null,"lost":null}}')
        await peer.rest()

    async with scripted(loses) as url, jam(url) as room:
        await room.hear("welcome")
        assert (await room.view())["since"] == "e:5"
        await room.call("say", "go on")
        gap = await room.hear("history.gap")
        assert gap["payload"] == {"epoch": "e", "from": 6, "to": None, "lost": None}
        assert (await room.view())["since"] == "f:50"


@pytest.mark.parametrize(("message", "since"), AFTER_WELCOME)
async def test_a_room_that_moved_without_a_gap_is_recovered_from_its_new_epoch(message: bytes, since: str) -> None:
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

    async with scripted(moves, again) as url, jam(url) as room:
        await room.hear("done")
    assert seen == [since]


async def test_what_was_not_answered_is_sent_again_after_a_move() -> None:
    """With the same ids, in the order in which it was sent; what was answered is not. Each is answered once."""
    asked: list[list[tuple[str, Any]]] = []
    offsets: dict[int, int] = {}

    async def notes(peer: Peer, count: int) -> None:
        texts = [json.loads(await peer.receive_text("note")) for _ in range(count)]
        asked.append([(fields["id"], fields["payload"]) for fields in texts])

    async def moves(peer: Peer) -> None:
        await peer.welcome()
        await notes(peer, 3)
        await acknowledge(peer, asked[0][1][0], 1)
        for offset in (1, 2):  # it moves twice: also what was just sent again is not known there
            await peer.welcome_again(ADA, epoch="e", offset=offset, recovered=True)
            await notes(peer, 2)
        await peer.tell(b'{"type":"moved"}')
        await notes(peer, 1)
        for offset, (id_, _) in enumerate(asked[1] + asked[3], 2):
            await acknowledge(peer, id_, offset)
        await peer.rest()

    async def ask(room: JsRoom, number: int) -> None:
        offsets[number] = await room.ask("note", number)

    async with scripted(moves) as url, jam(url) as room, trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, room, number)
        await room.hear("moved")
        nursery.start_soon(ask, room, 3)
    first, again, third, last = asked
    assert again == third == [first[0], first[2]]
    assert offsets == {first[0][1]: 2, first[1][1]: 1, first[2][1]: 3, last[0][1]: 4}


async def test_the_clock_is_that_of_whoever_answers_now() -> None:
    """The new owner's may be an hour ahead: it is measured again at once."""

    async def answer_heartbeat(peer: Peer, ahead_ms: int) -> None:
        echo = json.loads(await peer.receive_text("heartbeat"))["payload"]
        payload = {"ts": int(echo["sentMs"]) + ahead_ms, "echo": echo}
        await peer.tell(json.dumps({"type": "heartbeat", "payload": payload}).encode())

    async def moves(peer: Peer) -> None:
        await peer.welcome()
        await answer_heartbeat(peer, 0)
        await peer.welcome_again(ADA, epoch="e", offset=0, recovered=True, now_ms=HOUR_MS)
        for _ in range(3):
            await answer_heartbeat(peer, HOUR_MS)
        await peer.tell(b'{"type":"measured"}')
        await peer.rest()

    async with scripted(moves) as url, jam(url) as room:
        await room.hear("measured")
        offset_ms = (await room.view())["clockOffsetMs"]
        assert abs(offset_ms - HOUR_MS) < HOUR_MS / 2


async def test_a_room_that_is_degraded_says_so_until_it_is_restored() -> None:
    """The program gets both messages, and can ask at any time."""

    async def degrades(peer: Peer) -> None:
        await peer.welcome()
        await peer.tell(b'{"type":"room.degraded","payload":{"reason":"store"}}')
        await peer.receive_text("on")
        await peer.tell(b'{"type":"room.restored"}')
        await peer.rest()

    async with scripted(degrades) as url, jam(url) as room:
        assert (await room.hear("room.degraded"))["payload"] == {"reason": "store"}
        assert (await room.view())["isDegraded"] is True
        await room.call("say", "on")
        assert await room.until("room.restored") == []
        assert (await room.view())["isDegraded"] is False
