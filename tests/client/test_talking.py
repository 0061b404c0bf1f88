"""What a member says and hears through `omnisonic.connect` (SPEC 8)."""

from typing import Any

import pytest
import trio

import omnisonic
from omnisonic.wire.frames import CLOSE, PING, PONG, TEXT, frame
from tests.client.libraries import Client
from tests.client.serving import Peer, hangs_up, refuses, scripted, stays
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, hear, until
from tests.rooms import eventually


async def test_members_hear_each_other_in_one_order(client: Client) -> None:
    """Text and bytes, to all and to one."""
    async with client.band("ada", "bo", "cy") as (_, [ada, bo, cy]):
        await ada.say("note", {"pitch": 60})
        await bo.say_bytes(b"\x90\x40")
        await cy.say("psst", to="ada")
        await cy.say("done")
        received = [m for m in await until(ada, "done") if not m.type.startswith("presence")]
        assert [(m.type, m.payload, m.sender, m.offset) for m in received] == [
            ("", b"\x90\x40", "bo", None),
            ("psst", None, "cy", None),
        ]
        assert (await hear(bo, "note")).offset == 1


async def test_ask_waits_for_the_place_in_the_rooms_order(client: Client) -> None:
    """And many may ask at once."""
    async with client.band("ada", "bo") as (_, [ada, bo]):
        offsets = []

        async def ask(number: int) -> None:
            offsets.append(await ada.ask("note", number))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
        assert sorted(offsets) == list(range(1, 51))
        assert await bo.ask("psst", to="ada") == 50


@pytest.mark.parametrize(
    ("type_", "payload", "to", "code"),
    [
        ("note", 1, "eve", "unknown_member"),
        ("presence.join", 1, None, "reserved_type"),
        ("signal.offer", 1, None, "to_required"),
        ("presence.set", {"status": "asleep"}, None, "invalid_status"),
    ],
)
async def test_what_the_room_does_not_take_is_raised_with_its_code(
    type_: str, payload: Any, to: str | None, code: str
) -> None:
    """The error is the asker's, and comes up nowhere else."""
    async with band("ada") as (_, [ada]):
        with pytest.raises(omnisonic.NotTaken, match=r"\.$") as wrong:
            await ada.ask(type_, payload, to=to)
        assert wrong.value.code == code
        await ada.say("done", to="ada")
        assert await until(ada, "done") == []


@pytest.mark.parametrize(
    ("type_", "payload", "options", "code"),
    [
        ("", 1, {}, "invalid_message"),
        ("x" * 129, 1, {}, "invalid_message"),
        (["note"], 1, {}, "invalid_message"),
        ("note", object(), {}, "invalid_message"),
        ("note", "half \ud83d", {}, "invalid_message"),
        ("note", 1, {"to": 5}, "invalid_message"),
        ("note", 1, {"keep": "yes"}, "invalid_message"),
        ("note", "a" * 65_536, {}, "too_large"),
        ("note", eval("[" * 70 + "]" * 70), {}, "too_deep"),
    ],
)
async def test_what_no_message_can_be_is_told_before_it_is_sent(
    type_: Any, payload: Any, options: dict[str, Any], code: str
) -> None:
    """Whatever the reason, nothing is sent, and nobody waits for an answer."""
    async with band("ada") as (_, [ada]):
        with pytest.raises(omnisonic.InvalidInput) as wrong:
            await ada.ask(type_, payload, **options)
        assert wrong.value.code == code
        with pytest.raises(omnisonic.InvalidInput):
            await ada.say_bytes(b"a" * 65_537)


async def test_the_roster_is_kept_up_to_date(client: Client) -> None:
    """Who comes, how they are shown, and who goes."""
    async with client.band("ada", "bo") as (gateway, [ada, bo]):
        await bo.set_presence(status="away", name="Bo D.")
        await hear(ada, "presence.update")
        shown = ada.member("bo")
        assert shown is not None
        assert (shown.display_name, shown.status) == ("Bo D.", "away")
        async with client.member(gateway, "cy"):
            assert [each.member_id for each in ada.members] in (["ada", "bo"], ["ada", "bo", "cy"])
        await hear(ada, "presence.leave")
        assert [each.member_id for each in ada.members] == ["ada", "bo"]


async def test_the_servers_clock_is_known_by_heartbeats(client: Client) -> None:
    """It is this machine's, so it is hardly ahead; the program's own heartbeats are the program's."""
    async with client.band("ada") as (_, [ada]):
        await ada.say("heartbeat", "mine")
        assert (await hear(ada, "heartbeat")).payload["echo"] == "mine"
        await eventually(lambda: ada.clock_offset_s is not None)
        assert ada.clock_offset_s is not None
        assert abs(ada.clock_offset_s) < DEADLINE_S


async def test_iteration_ends_when_the_program_leaves(client: Client) -> None:
    """In another task, too; then nothing can be said any more, and leaving again is no error."""
    async with client.band("ada", "bo") as (_, [ada, bo]), trio.open_nursery() as nursery:
        ended = trio.Event()

        async def listen() -> None:
            async for _ in ada:
                pass
            ended.set()

        nursery.start_soon(listen)
        await ada.leave()
        with trio.fail_after(DEADLINE_S):
            await ended.wait()
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"
        for saying in (ada.say("note"), ada.ask("note"), ada.say_bytes(b"")):
            with pytest.raises(omnisonic.Closed) as closed:
                await saying
            assert (closed.value.code, closed.value.close_code) == ("left", 1000)
        await ada.leave()
        assert ada.connection_state == "closed"


async def test_what_the_block_raises_comes_out_as_it_is(client: Client) -> None:
    """So does a cancellation, and both leave in order."""
    async with client.band("bo") as (gateway, [bo]):
        with pytest.raises(LookupError, match="mine"):
            async with client.member(gateway, "ada"):
                raise LookupError("mine")
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"
        with trio.move_on_after(0.1) as scope:
            async with client.member(gateway, "ada"):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        ({"room": "", "name": "Ada"}, "invalid_room_id"),
        ({"room": "jam", "name": "A" * 65}, "invalid_display_name"),
        ({"name": "Ada"}, "invalid_query"),
    ],
)
async def test_what_is_wrong_with_the_query_is_raised_on_entering(reported: dict[str, str], code: str) -> None:
    """With the server's code and sentence."""
    async with omnisonic.open_gateway() as gateway:
        with pytest.raises(omnisonic.EntryRefused, match=r"\.$") as wrong:
            async with omnisonic.connect(gateway.url, **reported):  # type: ignore[arg-type]
                pass
        assert (wrong.value.code, wrong.value.status) == (code, None)


async def no_websocket(peer: Peer) -> None:
    """Some other kind of server."""
    await peer.asked()
    await peer.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


async def wrong_accept(peer: Peer) -> None:
    """Somebody else's answer."""
    await peer.asked()
    await peer.stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
    )


async def noise(peer: Peer) -> None:
    """No HTTP at all."""
    await peer.asked()
    await peer.stream.send_all(b"220 mail.example ESMTP\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "code", "retry_after_s"),
    [
        (hangs_up, "unreachable", 0.0),
        (refuses(503, "unavailable", Retry_After="7"), "unavailable", 7.0),
        (refuses(401, "ticket_required"), "ticket_required", None),
        (no_websocket, "http_200", None),
        (wrong_accept, "no_websocket", None),
        (noise, "no_websocket", None),
    ],
)
async def test_entering_fails_at_once_and_says_why(
    client: Client, script: Any, code: str, retry_after_s: float | None
) -> None:
    """Nothing is tried again before the first welcome."""
    async with scripted(script) as url:
        with pytest.raises(omnisonic.EntryRefused, match=r"\.$") as wrong:
            async with client.connect(url, room="jam", name="Ada"):
                pass
        assert (wrong.value.code, wrong.value.retry_after_s) == (code, retry_after_s)


async def test_nobody_is_there(client: Client) -> None:
    """A closed port is `unreachable`; a bad URL is told before anything is tried."""
    async with scripted() as url:
        pass
    with pytest.raises(omnisonic.EntryRefused, match="cannot be reached") as wrong:
        async with client.connect(url, room="jam"):
            pass
    assert wrong.value.code == "unreachable"
    for bad in ("http://127.0.0.1", "ws://", "127.0.0.1:8080", "ws://a:b@c", "ws://[::1"):
        with pytest.raises(omnisonic.InvalidInput, match="is not a URL"):
            async with client.connect(bad, room="jam"):
                pass


async def test_pings_are_answered_and_odd_things_passed_over(client: Client) -> None:
    """What cannot be read is counted; JSON that only Python's own reader takes is read; fragments are put together."""
    answered = trio.Event()

    async def odd(peer: Peer) -> None:
        await peer.welcome()
        await peer.stream.send_all(frame(PING, b"there?"))
        for text in (b"nonsense", b'{"payload":1}', b'{"type":"presence.join","payload":3}', b'{"type":"\xff"}'):
            await peer.tell(text)
        await peer.stream.send_all(frame(2, b"\x05ab"))
        await peer.tell(b'{"type":"huge","payload":1e999,"from":"bo"}')
        await peer.stream.send_all(b'\x01\x07{"type"' + b"\x80\x05" + b':"x"}')
        assert await peer.receive_frame(PONG) == b"there?"
        answered.set()
        await peer.rest()

    async with scripted(odd) as url, client.connect(url, room="jam", name="Ada") as room:
        assert (await hear(room, "huge")).payload == float("inf")
        await hear(room, "x")
        assert room.unreadable == 5
        with trio.fail_after(DEADLINE_S):
            await answered.wait()


async def test_a_question_without_an_answer_ends(client: Client) -> None:
    """`no_answer` after the time given; and when the membership ends, as everything else does."""

    async def kicks(peer: Peer) -> None:
        await peer.welcome()
        await peer.receive_text("note")
        await peer.close(4003)
        await peer.rest()

    async with scripted(stays, kicks) as url:
        async with client.connect(url, room="jam") as room:
            with pytest.raises(omnisonic.NotTaken) as silent:
                await room.ask("note", timeout_s=0.01)
            assert silent.value.code == "no_answer"
        async with client.connect(url, room="jam") as room:
            with pytest.raises(omnisonic.Closed) as closed:
                await room.ask("note")
            assert closed.value.code == "kicked"


async def test_a_server_that_breaks_the_protocol_is_told_and_left(client: Client) -> None:
    """1002, and the client comes back."""
    reported: list[int] = []

    async def masks(peer: Peer) -> None:
        await peer.welcome()
        await peer.stream.send_all(bytes((0x80 | TEXT, 0x81)) + b"abcde")
        reported.append(int.from_bytes((await peer.receive_frame(CLOSE))[:2], "big"))

    async with scripted(masks, stays) as url, client.connect(url, room="jam") as room:
        with trio.fail_after(DEADLINE_S):
            await room.wait_for("reconnecting")
            await room.wait_for("connected")
        assert reported == [1002]
