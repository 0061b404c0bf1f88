"""What a program with `@omnisonic/client` gets that it has missed, and what it sends again (SPEC 5.2, 8)."""

import json
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.client.serving import Peer, scripted
from tests.client_js.programs import DEADLINE_S, JsRoom, Thrown, jam, needs_node
from tests.embedding.staging import band
from tests.rooms import eventually
from tests.tcp_proxy import TcpProxy, open_tcp_proxy

pytestmark = needs_node

CUTS = 12
LANES = 3
"""Calls of one program that ask at the same time, each one question after another."""


def id_of(text: bytes) -> bytes:
    """The `id` of a message, as JSON."""
    return json.dumps(json.loads(text)["id"]).encode()


async def test_a_client_says_on_coming_back_what_it_has_seen() -> None:
    """The welcome, then each number, be it lower, then an ack that is further on; nothing at all the first time."""
    seen: list[str | None] = []

    async def first(peer: Peer) -> None:
        await peer.welcome(offset=5)
        seen.append(peer.since)
        await peer.tell(b'{"type":"note","from":"bo","offset":7}')
        await peer.tell(b'{"type":"psst","from":"bo"}')
        await peer.close(1011)
        await peer.rest()

    async def second(peer: Peer) -> None:
        await peer.welcome(offset=6, recovered=True)
        seen.append(peer.since)
        await peer.close(1011)
        await peer.rest()

    async def third(peer: Peer) -> None:
        await peer.welcome(offset=6, recovered=True)
        seen.append(peer.since)
        for offset in (9, 3):
            await peer.tell(b'{"type":"ack","payload":{"id":"old","offset":%d}}' % offset)
        await peer.tell(b'{"type":"ack","payload":{"id":"old","offset":70,"epoch":"another"}}')
        await peer.close(1011)
        await peer.rest()

    async def fourth(peer: Peer) -> None:
        await peer.welcome(offset=9, recovered=True)
        seen.append(peer.since)
        for unreadable in (b'{"type":"note","offset":10}{}', b'{"type":1}', b'{"type":"presence.join","payload":{}}'):
            await peer.tell(unreadable)
        await peer.tell(b'{"type":"note","from":"bo","offset":8}')
        await peer.close(1011)
        await peer.rest()

    async def fifth(peer: Peer) -> None:
        await peer.welcome(offset=8, recovered=True)
        seen.append(peer.since)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(first, second, third, fourth, fifth) as url, jam(url) as room:
        await room.hear("done")
        assert (await room.view())["unreadable"] == 3
    assert seen == [None, "e:7", "e:6", "e:9", "e:8"]


async def test_a_gap_that_was_not_heard_of_is_asked_for_again() -> None:
    """The welcome alone moves nothing on: otherwise the next connection would hide what is lost."""
    seen: list[str | None] = []

    async def begins(peer: Peer) -> None:
        await peer.welcome(offset=2)
        await peer.close(1011)
        await peer.rest()

    async def leaves_it_out(peer: Peer) -> None:
        await peer.welcome(offset=50)
        seen.append(peer.since)
        await peer.close(1011)
        await peer.rest()

    async def tells(peer: Peer) -> None:
        await peer.welcome(offset=50)
        seen.append(peer.since)
        await peer.tell(b'{"type":"history.gap","payload":{"epoch":"e","from":3,"to":50,"lost":48}}')
        await peer.close(1011)
        await peer.rest()

    async def ends(peer: Peer) -> None:
        await peer.welcome(offset=50)
        seen.append(peer.since)
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with scripted(begins, leaves_it_out, leaves_it_out, tells, ends) as url, jam(url) as room:
        received = await room.until("done")
    assert seen == ["e:2", "e:2", "e:2", "e:50"]
    assert [message["type"] for message in received] == ["welcome", "welcome", "welcome", "history.gap", "welcome"]


async def test_what_was_not_answered_is_sent_again_as_it_was_and_what_needs_no_answer_is_not() -> None:
    """In the order in which it was first sent, before anything else; also over several connections."""
    asked: list[list[bytes]] = []

    async def deaf(peer: Peer) -> None:
        await peer.welcome()
        asked.append([await peer.receive_text("note") for _ in range(3)])
        await peer.close(1011)
        await peer.rest()

    async def answers(peer: Peer) -> None:
        await peer.welcome()
        asked.append([await peer.receive_text("note") for _ in range(3)])
        for offset, text in enumerate(asked[-1], 1):
            await peer.tell(b'{"type":"ack","payload":{"id":%b,"offset":%d}}' % (id_of(text), offset))
        await peer.rest()

    async with scripted(deaf, deaf, answers) as url, jam(url) as room, trio.open_nursery() as nursery:
        offsets: dict[int, int] = {}

        async def ask(number: int) -> None:
            offsets[number] = await room.ask("note", number, {"timeoutMs": 10_000_000_000})

        await room.call("say", "chat", "once")
        for number in range(3):
            nursery.start_soon(ask, number)
    first, second, third = asked
    assert len({id_of(text) for text in first}) == 3
    assert first == second == third
    assert sorted(offsets.values()) == [1, 2, 3]


async def test_a_question_whose_time_is_over_is_not_sent_again() -> None:
    """It ends while the client reconnects, too. What is said meanwhile is sent when the client is back."""
    heard: list[bytes] = []
    tried, may_go_on = trio.Event(), trio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.welcome()
        await peer.receive_text("note")
        await peer.close(1011)
        await peer.rest()

    async def hesitates(peer: Peer) -> None:
        tried.set()
        await may_go_on.wait()
        await peer.welcome()
        heard.append(await peer.receive_text("note"))
        heard.append(await peer.receive_text("note"))
        await peer.tell(b'{"type":"ack","payload":{"id":%b,"offset":1}}' % id_of(heard[0]))
        await peer.rest()

    async with scripted(deaf, hesitates) as url, jam(url) as room, trio.open_nursery() as nursery:
        with pytest.raises(Thrown) as over:
            await room.call("ask", "note", "over", {"timeoutMs": 50})
        assert (over.value.name, over.value.code) == ("NotTaken", "no_answer")
        with trio.fail_after(DEADLINE_S):
            await tried.wait()
        with pytest.raises(Thrown):
            await room.call("ask", "note", "over, too", {"timeoutMs": 10})
        nursery.start_soon(room.call, "say", "note", "said")
        nursery.start_soon(room.call, "ask", "note", "asked")
        await trio.testing.wait_all_tasks_blocked()  # both are on their way to the program, which takes them in order
        assert (await room.view())["connectionState"] == "reconnecting"
        may_go_on.set()
    assert [json.loads(text)["payload"] for text in heard] == ["asked", "said"]


@pytest.mark.parametrize("code", ["rate_limited", "room_busy"])
async def test_a_message_that_is_dropped_when_it_is_sent_again_may_have_been_taken(code: str) -> None:
    """Nobody looked whether it was. One that was sent once was not taken, and the program is told why."""

    async def drops(peer: Peer) -> None:
        id_ = id_of(await peer.receive_text("note"))
        await peer.tell(b'{"type":"error","payload":{"code":"%b","message":"No.","id":%b}}' % (code.encode(), id_))

    async def loses(peer: Peer) -> None:
        await peer.welcome()
        await drops(peer)
        await peer.receive_text("note")
        await peer.close(1011)
        await peer.rest()

    async def again(peer: Peer) -> None:
        await peer.welcome()
        await drops(peer)
        await peer.rest()

    async with scripted(loses, again) as url, jam(url) as room:
        codes = []
        for number in range(2):
            with pytest.raises(Thrown) as problem:
                await room.call("ask", "note", number)
            codes.append(problem.value.code)
    assert codes == [code, "no_answer"]


async def test_a_program_that_names_its_message_can_send_it_again_in_another_membership() -> None:
    """Under the same id. The answer says which count the offset is of; a message that waits is not asked twice."""
    received = trio.Event()

    async def loses_the_answer(peer: Peer) -> None:
        await peer.welcome()
        assert id_of(await peer.receive_text("note")) == b'"take-3"'
        await peer.close(4003)
        await peer.rest()

    async def answers(peer: Peer) -> None:
        await peer.welcome()
        first = id_of(await peer.receive_text("note"))
        received.set()
        await peer.receive_text("go on")
        await peer.tell(b'{"type":"ack","payload":{"id":%b,"offset":7,"epoch":"earlier"}}' % first)
        await peer.tell(b'{"type":"ack","payload":{"id":%b,"offset":8}}' % id_of(await peer.receive_text("note")))
        await peer.rest()

    places: list[Any] = []

    async def ask(room: JsRoom, **options: str) -> None:
        places.append(await room.call("ask", "note", 1, options))

    async with scripted(loses_the_answer, answers) as url:
        async with jam(url) as room:
            with pytest.raises(Thrown) as ended:
                await ask(room, id="take-3")
            assert ended.value.code == "kicked"
        async with jam(url) as room, trio.open_nursery() as nursery:
            nursery.start_soon(partial(ask, room, id="take-3"))
            with trio.fail_after(DEADLINE_S):
                await received.wait()
            for wrong in ("take-3", "", "x" * 129):
                with pytest.raises(Thrown) as invalid:
                    await ask(room, id=wrong)
                assert (invalid.value.name, invalid.value.code) == ("InvalidInput", "invalid_message")
            await room.call("say", "go on")
            await eventually(lambda: len(places) == 1)
            await ask(room)
    assert places == [{"offset": 7, "epoch": "earlier"}, {"offset": 8, "epoch": "e"}]


async def test_what_waits_to_be_said_is_bounded() -> None:
    """A program that does not wait for `say` does not fill the memory while there is no connection."""
    may_go_on = trio.Event()

    async def gone(peer: Peer) -> None:
        await peer.welcome()
        await peer.close(1011)
        await peer.rest()

    async def hesitates(peer: Peer) -> None:
        await may_go_on.wait()
        await peer.welcome()
        await peer.rest()

    async with scripted(gone, hesitates) as url, jam(url) as room, trio.open_nursery() as nursery:
        await room.state("reconnecting")
        refused: list[str | None] = []

        async def say() -> None:
            try:
                await room.call("say", "note", "a" * 60_000)
            except Thrown as thrown:
                refused.append(thrown.code)

        for _ in range(20):
            nursery.start_soon(say)
        await eventually(lambda: len(refused) == 3, DEADLINE_S)
        may_go_on.set()
    assert refused == ["send_queue_full"] * 3


async def test_whoever_is_cut_off_gets_what_they_have_missed() -> None:
    """In order, once each, with the numbers that the others saw; one's own are left out, and so is a gap."""
    async with (
        band("bo") as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        jam(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        assert await ada.ask("note", "mine") == 1
        proxy.refusing = True
        proxy.cut()
        await ada.state("reconnecting")
        for number in range(5):
            await bo.ask("note", number)
        await bo.ask("psst", "kept for you", to="ada")
        proxy.refusing = False
        welcome = await ada.hear("welcome")
        assert (welcome["payload"]["recovered"], welcome["payload"]["offset"]) == (True, 1)
        await bo.ask("done")
        missed = await ada.until("done")
        assert [(each["payload"], each["offset"]) for each in missed[:5]] == [(n, n + 2) for n in range(5)]
        assert [(each["type"], each["payload"], each["from"]) for each in missed[5:]] == [
            ("psst", "kept for you", "bo")
        ]


async def test_another_membership_goes_on_where_the_last_one_ended() -> None:
    """With its `since`; a count that the room does not know any more is told as a gap."""
    async with band("bo") as (gateway, [bo]):
        async with jam(gateway.url) as ada:
            await bo.ask("note", 1)
            await ada.hear("note")
            gateway.kick("jam", "ada")
            await ada.wait_for_end()
            since = (await ada.view())["since"]
        await bo.ask("note", 2)
        async with jam(gateway.url, since=since) as ada:
            assert (await ada.hear("note", "history.gap"))["payload"] == 2
        async with jam(gateway.url, since="another:1") as ada:
            assert (await ada.hear("note", "history.gap"))["payload"]["epoch"] == "another"


async def test_what_the_room_does_not_know_any_more_is_told_as_a_gap() -> None:
    """With how many messages it was; then comes the rest."""
    async with (
        band("bo", history_messages=3) as (gateway, [bo]),
        open_tcp_proxy(gateway.port) as proxy,
        jam(f"ws://127.0.0.1:{proxy.port}") as ada,
    ):
        proxy.refusing = True
        proxy.cut()
        await ada.state("reconnecting")
        for number in range(1, 11):
            await bo.ask("note", number)
        await bo.ask("done", "for all")
        proxy.refusing = False
        gap = await ada.hear("history.gap")
        epoch = (await ada.view())["epoch"]
        assert (gap["payload"], gap["from"]) == ({"epoch": epoch, "from": 1, "to": 8, "lost": 8}, None)
        assert [(each["type"], each["payload"]) for each in await ada.until("done")] == [("note", 9), ("note", 10)]


async def ask_while_cutting(room: JsRoom, name: str, lane: int, proxy: TcpProxy, cuts: list[int]) -> list[Any]:
    """Ask until all cuts were made. Each tenth answer to the first lane makes one. Returns what was answered."""
    answered, number = [], 0
    while len(cuts) < CUTS:
        number += 1
        offset = await room.ask("note", [name, lane, number], {"timeoutMs": 30_000})
        answered.append(([name, lane, number], offset))
        if lane == 0 and number % 10 == 0 and len(cuts) < CUTS:
            cuts.append(number)
            proxy.cut()
    return answered


async def test_connections_that_are_cut_again_and_again_lose_and_double_nothing() -> None:
    """Every question is answered; the other hears each message once, in the room's order."""
    async with band("cy", member_rate_per_s=0) as (gateway, [cy]), open_tcp_proxy(gateway.port) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}"
        async with jam(url) as ada, jam(url, "bo") as bo:
            cuts: list[int] = []
            answers: dict[str, list[Any]] = {"ada": [], "bo": []}

            async def run(room: JsRoom, name: str, lane: int) -> None:
                answers[name] += await ask_while_cutting(room, name, lane, proxy, cuts)

            async with trio.open_nursery() as nursery:
                for name, room in (("ada", ada), ("bo", bo)):
                    for lane in range(LANES):
                        nursery.start_soon(run, room, name, lane)
            assert len(cuts) == CUTS <= proxy.connections
            await cy.ask("done")
            for room, other in ((ada, "bo"), (bo, "ada")):
                heard = await room.until("done")
                assert "history.gap" not in [message["type"] for message in heard]
                notes = [(message["payload"], message["offset"]) for message in heard if message["type"] == "note"]
                assert notes == sorted(answers[other], key=lambda answer: answer[1])
