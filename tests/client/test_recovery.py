"""What a client gets that it has missed, and what it sends again (SPEC 5.2, 8)."""

from collections import defaultdict
from functools import partial
from typing import Any

import pytest
import trio

import omnisonic
from tests.client.libraries import Client
from tests.client.serving import Peer, building, scripted
from tests.clients import DEADLINE_S
from tests.embedding.staging import hear, until
from tests.rooms import eventually
from tests.tcp_proxy import TcpProxy, open_tcp_proxy

CUTS = 20
LANES = 3
"""Tasks of one client that ask at the same time, each one question after another."""


class Grumpy(omnisonic.Room[None]):
    """A room that cannot bear the message type `poison`."""

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> bool:
        if message.type == "poison":
            raise ValueError("poison")
        return True


async def test_a_client_says_on_coming_back_what_it_has_seen(client: Client) -> None:
    """The welcome, then each number, be it lower, then an ack that is further on; nothing at all the first time."""
    seen: list[str | None] = []

    async def first(peer: Peer) -> None:
        await peer.welcome(offset=5)
        seen.append(peer.since)
        await peer.tell(b'{"type":"note","from":"bo","offset":7}')
        await peer.tell(b'{"type":"psst","from":"bo"}')
        await peer.hang_up()

    async def second(peer: Peer) -> None:
        await peer.welcome(offset=6, recovered=True)
        seen.append(peer.since)
        await peer.hang_up()

    async def third(peer: Peer) -> None:
        await peer.welcome(offset=6, recovered=True)
        seen.append(peer.since)
        for offset in (9, 3):
            await peer.tell(b'{"type":"ack","payload":{"id":"old","offset":%d}}' % offset)
        await peer.tell(b'{"type":"ack","payload":{"id":"old","offset":70,"epoch":"another"}}')
        await peer.hang_up()

    async def fourth(peer: Peer) -> None:
        await peer.welcome(offset=9, recovered=True)
        seen.append(peer.since)
        await peer.tell(b'{"type":"note","from":"bo","offset":10}{}')
        await peer.tell(b'{"type":"note","from":"bo","offset":8}')
        await peer.hang_up()

    async def last(peer: Peer) -> None:
        await peer.welcome(offset=8, recovered=True)
        seen.append(peer.since)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(first, second, third, fourth, last) as url, client.hasty(url) as room:
        await hear(room, "done")
        assert room.unreadable == 1
    assert seen == [None, "e:7", "e:6", "e:9", "e:8"]


async def test_a_gap_that_was_not_heard_of_is_asked_for_again(client: Client) -> None:
    """The welcome alone moves nothing on: otherwise the next connection would hide what is lost."""
    seen: list[str | None] = []

    async def leaves_it_out(peer: Peer) -> None:
        await peer.welcome(offset=50)
        seen.append(peer.since)
        await peer.hang_up()

    async def tells(peer: Peer) -> None:
        await leaves_it_out_but_stays(peer)
        await peer.tell(b'{"type":"history.gap","payload":{"epoch":"e","from":3,"to":50,"lost":48}}')
        await peer.hang_up()

    async def leaves_it_out_but_stays(peer: Peer) -> None:
        await peer.welcome(offset=50)
        seen.append(peer.since)

    async def begins(peer: Peer) -> None:
        await peer.welcome(offset=2)
        await peer.hang_up()

    async def ends(peer: Peer) -> None:
        await leaves_it_out_but_stays(peer)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(begins, leaves_it_out, leaves_it_out, tells, ends) as url, client.hasty(url) as room:
        received = await until(room, "done")
    assert seen == ["e:2", "e:2", "e:2", "e:50"]
    assert [message.type for message in received] == ["welcome", "welcome", "welcome", "history.gap", "welcome"]


async def test_what_was_not_answered_is_sent_again_as_it_was_and_what_needs_no_answer_is_not(client: Client) -> None:
    """In the order in which it was first sent, before anything else; also over several connections."""
    asked: list[list[bytes]] = []

    async def deaf(peer: Peer) -> None:
        await peer.welcome()
        asked.append([await peer.receive_text("note") for _ in range(3)])
        await peer.hang_up()

    async def answers(peer: Peer) -> None:
        await peer.welcome()
        asked.append([await peer.receive_text("note") for _ in range(4)])
        for offset, text in enumerate(asked[-1], 1):
            id_ = text.partition(b'"id":')[2].rstrip(b"}")
            await peer.tell(b'{"type":"ack","payload":{"id":%b,"offset":%d}}' % (id_, offset))
        await peer.rest()

    async with scripted(deaf, deaf, answers) as url, client.hasty(url) as room, trio.open_nursery() as nursery:
        offsets: dict[int, int] = {}

        async def ask(number: int) -> None:
            offsets[number] = await room.ask("note", number)

        await room.say("chat", "once")
        for number in range(3):
            nursery.start_soon(ask, number)
        with trio.fail_after(DEADLINE_S):
            while len(asked) < 2:
                await hear(room, "welcome")
            await room.ask("note", "late")
    first, second, third = asked
    assert len(set(first)) == 3
    assert first == second == third[:3]
    assert sorted(offsets.values()) == [1, 2, 3]


async def test_a_question_whose_time_is_over_is_not_sent_again(client: Client) -> None:
    """It ends while the client reconnects, too."""
    heard: list[bytes] = []
    tried, may_go_on = trio.Event(), trio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.welcome()
        await peer.receive_text("note")
        await peer.hang_up()

    async def hesitates(peer: Peer) -> None:
        tried.set()
        await may_go_on.wait()
        await peer.welcome()
        heard.append(await peer.receive_text("note"))
        await stays_in(peer)

    async def stays_in(peer: Peer) -> None:
        id_ = heard[-1].partition(b'"id":')[2].rstrip(b"}")
        await peer.tell(b'{"type":"ack","payload":{"id":%b,"offset":1}}' % id_)
        await peer.rest()

    async with scripted(deaf, hesitates) as url, client.hasty(url) as room:
        with pytest.raises(omnisonic.NotTaken) as over:
            await room.ask("note", "over", timeout_s=0.05)
        assert over.value.code == "no_answer"
        await tried.wait()
        with pytest.raises(omnisonic.NotTaken):
            await room.ask("note", "over, too", timeout_s=0.01)
        may_go_on.set()
        assert await room.ask("note", "now") == 1
    assert b'"now"' in heard[0]


@pytest.mark.parametrize("code", ["rate_limited", "room_busy"])
async def test_a_message_that_is_dropped_when_it_is_sent_again_may_have_been_taken(client: Client, code: str) -> None:
    """Nobody looked whether it was. One that was sent once was not taken, and the program is told why."""

    async def drops(peer: Peer) -> None:
        id_ = (await peer.receive_text("note")).partition(b'"id":')[2].rstrip(b"}")
        await peer.tell(b'{"type":"error","payload":{"code":"%b","message":"No.","id":%b}}' % (code.encode(), id_))

    async def loses(peer: Peer) -> None:
        await peer.welcome()
        await drops(peer)
        await peer.receive_text("note")
        await peer.hang_up()

    async def again(peer: Peer) -> None:
        await peer.welcome()
        await drops(peer)
        await peer.rest()

    async with scripted(loses, again) as url, client.hasty(url) as room:
        codes = []
        for number in range(2):
            with pytest.raises(omnisonic.NotTaken) as problem:
                await room.ask("note", number)
            codes.append(problem.value.code)
    assert codes == [code, "no_answer"]


async def test_whoever_is_cut_off_gets_what_they_have_missed(client: Client) -> None:
    """In order, once each, with the numbers that the others saw; one's own are left out, and so is a gap."""
    async with (
        client.band("bo") as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        client.hasty(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        await ada.ask("note", "mine")
        proxy.refusing = True
        proxy.cut()
        await ada.wait_for("reconnecting")
        for number in range(5):
            await bo.ask("note", number)
        await bo.ask("psst", "kept for you", to="ada")
        proxy.refusing = False
        with trio.fail_after(DEADLINE_S):
            welcome = await hear(ada, "welcome")
            assert (welcome.payload["recovered"], welcome.payload["offset"]) == (True, 1)
            missed = [await anext(ada) for _ in range(6)]
        assert [(each.payload, each.offset) for each in missed[:5]] == [(n, n + 2) for n in range(5)]
        assert (missed[5].type, missed[5].payload, missed[5].sender) == ("psst", "kept for you", "bo")
        await bo.ask("done")
        assert await until(ada, "done") == []


async def test_what_the_room_does_not_know_any_more_is_told_as_a_gap(client: Client) -> None:
    """With how many messages it was; then comes the rest."""
    async with (
        client.band("bo", history_messages=3) as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        client.hasty(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        proxy.refusing = True
        proxy.cut()
        await ada.wait_for("reconnecting")
        for number in range(1, 11):
            await bo.ask("note", number)
        await bo.ask("done", "for all")
        proxy.refusing = False
        gap = await hear(ada, "history.gap")
        assert gap.payload == {"epoch": ada.epoch, "from": 1, "to": 8, "lost": 8}
        assert gap.sender is None
        assert [(each.type, each.payload) for each in await until(ada, "done")] == [("note", 9), ("note", 10)]


async def test_a_gateway_that_forgot_everything_is_told_as_a_gap_of_unknown_length(client: Client) -> None:
    """What was asked meanwhile is answered by the new one."""
    async with building() as here:
        await here.open(history_messages=0)
        async with client.hasty(here.url) as ada, client.hasty(here.url, "bo") as bo:
            before = ada.epoch
            await bo.ask("note", 1)
            await hear(ada, "note")
            await here.close()
            await ada.wait_for("reconnecting")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bo.ask, "note", 2)
                await here.open(history_messages=0)
            welcome = await hear(ada, "welcome")
            assert welcome.payload["recovered"] is False
            gap = await hear(ada, "history.gap")
            assert gap.payload == {"epoch": before, "from": 2, "to": None, "lost": None}
            assert ada.epoch != before


async def test_a_crash_of_the_room_loses_nothing_but_what_crashed_it(client: Client) -> None:
    """Neither what a member missed who was away then, nor the answers to those who were there."""
    async with (
        client.band("bo", room_class=Grumpy) as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        client.hasty(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        await ada.set_state("solo", "ada")
        proxy.refusing = True
        proxy.cut()
        await ada.wait_for("reconnecting")
        await bo.ask("note", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bo.ask, "note", 2)
            with pytest.raises(omnisonic.NotTaken) as crashed:
                await bo.ask("poison")
        assert crashed.value.code == "room_crashed"
        await bo.ask("note", 3)
        proxy.refusing = False
        await bo.ask("done")
        received = await until(ada, "done")
        assert [each.payload for each in received if each.type == "note"] == [1, 2, 3]
        assert [each.payload["recovered"] for each in received if each.type == "welcome"] == [True]
        assert dict(ada.state) == {"solo": "ada"}
        assert len(gateway.dead_letters("jam")) == 1


class Talk:
    """Two clients who ask at the same time while their connections are cut."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.cuts = 0
        self.offsets: dict[tuple[str, int, int], int] = {}
        """What was answered, by who asked it: the client, the lane, the number."""
        self.received: dict[str, list[tuple[Any, int | None]]] = defaultdict(list)

    async def ask(self, room: omnisonic.ClientRoom, lane: int) -> None:
        """Ask until all cuts were made. Each tenth answer to the first lane makes one."""
        number = 0
        while self.cuts < CUTS:
            number += 1
            offset = await room.ask("note", [room.member_id, lane, number], timeout_s=60)
            self.offsets[room.member_id, lane, number] = offset
            if lane == 0 and number % 10 == 0 and self.cuts < CUTS:
                self.cuts += 1
                self.proxy.cut()

    def has_received(self, name: str, count: int) -> bool:
        """Whether this client has received so many messages."""
        return len(self.received[name]) >= count

    async def listen(self, room: omnisonic.ClientRoom) -> None:
        """Write down what comes."""
        async for message in room:
            assert message.type != "history.gap"
            if message.type == "note":
                self.received[room.member_id].append((message.payload, message.offset))


async def test_connections_that_are_cut_twenty_times_lose_and_double_nothing(client: Client) -> None:
    """Every question is answered; the other hears each message once, in the room's order and in that of its lane."""
    async with omnisonic.open_gateway(member_rate_per_s=0) as gateway, open_tcp_proxy(gateway.port) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}"
        talk = Talk(proxy)
        async with client.hasty(url) as ada, client.hasty(url, "bo") as bo, trio.open_nursery() as listeners:
            listeners.start_soon(talk.listen, ada)
            listeners.start_soon(talk.listen, bo)
            with trio.fail_after(8 * DEADLINE_S):
                async with trio.open_nursery() as nursery:
                    for room in (ada, bo):
                        for lane in range(LANES):
                            nursery.start_soon(talk.ask, room, lane)
            assert talk.cuts == CUTS
            assert proxy.connections >= CUTS
            said = {name: [key for key in talk.offsets if key[0] != name] for name in ("ada", "bo")}
            for name, theirs in said.items():
                await eventually(partial(talk.has_received, name, len(theirs)))
            await ada.leave()
            await bo.leave()
    for name, theirs in said.items():
        heard = [(tuple(payload), offset) for payload, offset in talk.received[name]]
        assert sorted(key for key, _ in heard) == sorted(theirs)
        assert [offset for _, offset in heard] == [talk.offsets[key] for key, _ in heard]
        assert [offset for _, offset in heard] == sorted(talk.offsets[key] for key in theirs)
        for lane in range(LANES):
            numbers = [key[2] for key, _ in heard if key[1] == lane]
            assert numbers == list(range(1, len(numbers) + 1))


async def test_a_member_who_is_cut_off_stays_in_the_room(client: Client) -> None:
    """The others see no leave, and at most that the connection broke."""
    async with (
        client.band("bo") as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        client.hasty(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        for _ in range(3):
            proxy.cut()
            await hear(ada, "welcome")
        await ada.ask("done")
        seen = [message.type for message in await until(bo, "done")]
        assert set(seen) <= {"presence.join", "presence.update"}
