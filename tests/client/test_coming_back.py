"""How a client comes back, and when it does not (SPEC 5.3, 8)."""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import omnisonic
from omnisonic.client.reconnect_policy import FIRST_S, LONGEST_ADVICE_S, LONGEST_S, Disconnect, ReconnectPolicy
from omnisonic.client.reconnector import ANSWER_S, HEARTBEAT_S
from omnisonic.wire.closing import CLOSE_TABLE, CloseCode
from omnisonic.wire.frames import CLOSE, TEXT
from tests.client.libraries import Client
from tests.client.serving import Peer, building, closes, hangs_up, refuses, scripted, stays
from tests.clients import DEADLINE_S
from tests.embedding.staging import hear, until

FINAL = [code for code, row in CLOSE_TABLE.items() if not row.reconnect]


async def test_a_gateway_that_is_opened_again_finds_its_members_back(client: Client) -> None:
    """1001 is honoured; the roster and the presence are true again, and what was to be said waits."""
    async with building() as here:
        await here.open()
        async with (
            client.connect(here.url, room="jam", name="Ada", member_id="ada") as ada,
            client.connect(here.url, room="jam", name="Bo", member_id="bo") as bo,
        ):
            await bo.set_presence(status="away", name="Bo D.")
            epoch = ada.epoch
            await here.close()
            with trio.fail_after(2 * DEADLINE_S):
                await ada.wait_for("reconnecting")
                gateway = await here.open()
                assert await bo.ask("note", "still here") in (1, 2)
                await ada.wait_for("connected")
                while len(gateway.members("jam")) < 2 or len(ada.members) < 2:
                    await hear(ada, "welcome", "presence.join", "note")
            assert ada.epoch != epoch
            shown = ada.member("bo")
            assert shown is not None
            assert (shown.display_name, shown.status) == ("Bo D.", "away")


@pytest.mark.parametrize("code", FINAL)
async def test_a_final_close_is_the_end_and_says_why(client: Client, code: int) -> None:
    """1000, 1008, 4001, 4003 and 4004: nothing is tried again, and everybody who waits is told."""
    async with scripted(closes(code, "because"), stays) as url, client.connect(url, room="jam") as room:
        with trio.fail_after(DEADLINE_S):
            await room.wait_for("closed")
        row = CLOSE_TABLE[CloseCode(code)]
        with trio.fail_after(DEADLINE_S), pytest.raises(omnisonic.Closed, match=row.meaning):
            await room.wait_for("connected")
        if row.word == "left":
            assert [message async for message in room] == []
            return
        for waiting in (anext(room), room.say("note"), room.ask("note")):
            with pytest.raises(omnisonic.Closed, match=row.meaning) as closed:
                await waiting
            reported = closed.value
            assert (reported.code, reported.close_code, reported.reason) == (row.word, code, "because")


@pytest.mark.parametrize("code", [1001, 1011, 4008, 4009, 4010, 4999])
async def test_any_other_close_is_come_back_from(code: int) -> None:
    """And a connection that is just gone, too; the new welcome is seen."""
    async with scripted(closes(code), hangs_up, stays) as url, omnisonic.connect(url, room="jam") as room:
        assert (await hear(room, "welcome")).payload["memberId"] == "ada"
        assert room.connection_state == "connected"


@pytest.mark.parametrize(
    ("script", "code"),
    [(refuses(403, "no_access"), "no_access"), (refuses(401, "ticket_required"), "ticket_required")],
)
async def test_whoever_is_refused_on_coming_back_gives_up(script: Any, code: str) -> None:
    """With the server's own words."""
    async with scripted(closes(1011), script, stays) as url, omnisonic.connect(url, room="jam") as room:
        with pytest.raises(omnisonic.Closed, match="does not let you in again: No") as closed:
            await until(room, "never")
        assert closed.value.code == code


async def test_a_server_that_stays_away_is_given_up(client: Client) -> None:
    """After `give_up_after_s`, and the last problem is told."""
    async with scripted(closes(1011)) as url, client.connect(url, room="jam", give_up_after_s=0) as room:
        with pytest.raises(omnisonic.Closed, match="could not be reached again for 0 s") as closed:
            await until(room, "never")
        assert closed.value.code == "unreachable"


async def test_each_attempt_gets_a_ticket_of_its_own() -> None:
    """One that cannot be got now is tried again; any other failure of the function is the end, and its cause."""
    seen: list[list[str]] = []
    answers: list[str | Exception] = ["one", omnisonic.Unavailable("later"), "two", LookupError("no more")]

    async def get() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def noting(code: int) -> Callable[[Peer], Awaitable[None]]:
        async def script(peer: Peer) -> None:
            await peer.welcome()
            seen.append(peer.request.subprotocols)
            await peer.close(code)
            await peer.rest()

        return script

    async with scripted(noting(1011), noting(1011)) as url, omnisonic.connect(url, ticket=get) as room:
        with pytest.raises(omnisonic.Closed) as closed:
            await until(room, "never")
        assert (closed.value.code, repr(closed.value.__cause__)) == ("internal", "LookupError('no more')")
    assert seen == [["omnisonic", "ticket.one"], ["omnisonic", "ticket.two"]]


async def test_the_newer_connection_of_a_member_replaces_the_older(client: Client) -> None:
    """4001: two programs of one name do not take turns for ever."""
    async with client.band("ada") as (gateway, [ada]), client.member(gateway, "ada") as again:
        with pytest.raises(omnisonic.Closed) as closed:
            await until(ada, "never")
        assert (closed.value.code, closed.value.close_code) == ("replaced", 4001)
        await again.ask("note")


async def passes(clock: MockClock, seconds: float) -> None:
    """Let time go by, once everybody waits."""
    await wait_all_tasks_blocked(0.02)
    clock.jump(seconds)


async def test_a_refusal_that_may_pass_is_tried_again_after_as_long_as_it_says(mock_clock: MockClock) -> None:
    """503 with a `Retry-After` that is longer than any wait of the client's own: not before, and then at once."""
    asked, entering = trio.Event(), trio.Event()

    async def busy(peer: Peer) -> None:
        await peer.answer(503, {"error": "No.", "code": "going_away"}, Retry_After="7")
        asked.set()

    async def lets_in(peer: Peer) -> None:
        entering.set()
        await stays(peer)

    async with scripted(closes(1011), busy, lets_in) as url, omnisonic.connect(url, room="jam") as room:
        await room.wait_for("reconnecting")
        await passes(mock_clock, FIRST_S)
        await asked.wait()
        await passes(mock_clock, 6.9)
        await wait_all_tasks_blocked(0.02)
        assert not entering.is_set()
        await passes(mock_clock, 0.2)
        await room.wait_for("connected")


async def test_a_connection_that_is_dead_without_a_word_is_left(mock_clock: MockClock) -> None:
    """A heartbeat every `HEARTBEAT_S`; without anything for `ANSWER_S` after one, the client comes back."""
    beats: list[Any] = []

    async def answers_once(peer: Peer) -> None:
        await peer.welcome()
        beats.append(json.loads(await peer.receive_frame(TEXT)))
        await peer.tell(b'{"type":"note"}')
        beats.append(json.loads(await peer.receive_frame(TEXT)))
        await peer.rest()

    async with scripted(answers_once, stays) as url, omnisonic.connect(url, room="jam") as room:
        await room.__anext__()
        await passes(mock_clock, ANSWER_S)
        assert room.connection_state == "connected"
        await passes(mock_clock, HEARTBEAT_S - ANSWER_S)
        await passes(mock_clock, ANSWER_S)
        await room.wait_for("reconnecting")
        await passes(mock_clock, FIRST_S)
        await room.wait_for("connected")
        assert [beat["type"] for beat in beats] == ["heartbeat", "heartbeat"]


async def test_whoever_leaves_during_an_attempt_does_not_come_back(client: Client) -> None:
    """The attempt ends, even when the server would let them in now."""
    asking, left, ended = trio.Event(), trio.Event(), trio.Event()

    async def welcomes_late(peer: Peer) -> None:
        await peer.asked()
        asking.set()
        await left.wait()
        with suppress(trio.BrokenResourceError):
            await peer.welcome()
        with suppress(EOFError):
            await peer.receive_frame(CLOSE)
        ended.set()

    async with scripted(closes(1011), welcomes_late) as url, client.hasty(url) as room:
        with trio.fail_after(DEADLINE_S):
            await asking.wait()
            await room.leave()
            left.set()
            await ended.wait()
        assert room.connection_state == "closed"


async def test_whoever_leaves_before_an_attempt_makes_none(mock_clock: MockClock) -> None:
    """The delay ends with the membership."""
    entering = trio.Event()

    async def lets_in(peer: Peer) -> None:
        entering.set()
        await stays(peer)

    async with scripted(closes(1011), lets_in) as url, omnisonic.connect(url, room="jam") as room:
        await room.wait_for("reconnecting")
        await room.leave()
        mock_clock.autojump_threshold = 0.02
        with trio.move_on_after(2 * FIRST_S):
            await entering.wait()
        assert not entering.is_set()
        assert room.connection_state == "closed"


async def test_a_server_that_does_not_say_goodbye_is_not_waited_for(mock_clock: MockClock) -> None:
    """The close is sent, and after a while the client is gone."""
    goodbye = trio.Event()

    async def rude(peer: Peer) -> None:
        await peer.welcome()
        assert (await peer.receive_frame(CLOSE))[:2] == b"\x03\xe8"
        goodbye.set()
        await trio.sleep_forever()

    async with scripted(rude) as url, trio.open_nursery() as nursery:

        async def join_request() -> None:
            async with omnisonic.connect(url, room="jam"):
                pass

        nursery.start_soon(join_request)
        await goodbye.wait()
        await passes(mock_clock, 2.0)


def test_waits_double_with_jitter_and_begin_again() -> None:
    """0.5 s to 15 s, less a random part of up to half; a connection that was a good one counts as the first."""
    longest, shortest = ReconnectPolicy(lambda: 0.0), ReconnectPolicy(lambda: 1.0)
    lost = Disconnect(1006)
    assert [longest.delay_after(lost) for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert [shortest.delay_after(lost) for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 7.5, 7.5]
    longest.reset()
    assert (longest.delay_after(lost), longest.next_delay(at_least_s=3)) == (FIRST_S, 3)
    assert longest.next_delay(at_least_s=1e9) == LONGEST_ADVICE_S
    assert LONGEST_S == 15


@pytest.mark.parametrize(
    ("reason", "wait_s"),
    [('{"reconnectMs":1830}', 1.83), ('{"reconnectMs":-5}', 0), ('{"reconnectMs":1e12}', 60), ("bye", 0.5), ("", 0.5)],
)
def test_a_server_that_stops_says_how_long_to_wait(reason: str, wait_s: float) -> None:
    """Within reason; where it says nothing, as after anything else."""
    assert ReconnectPolicy(lambda: 0.0).delay_after(Disconnect(1001, reason)) == wait_s


def test_which_endings_are_final_is_the_tables_to_say() -> None:
    """Codes that are not in it are come back from."""
    assert {code for code in range(1000, 5000) if Disconnect(code).final_error()} == set(FINAL)
