"""Why a connection is closed, each from its real cause, and what comes after (SPEC 5.3)."""

import json
import struct
from dataclasses import fields
from typing import Final

import pytest
import trio
import trio.testing

from omnisonic.actors.connections.keepalive import Timeouts
from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.actors.gateway_options import GatewayOptions
from omnisonic.actors.rooms.mailbox import Dismiss
from omnisonic.actors.rooms.state import RoomState
from omnisonic.models import Member
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.messages import LARGEST_MESSAGE_BYTES, Envelope
from tests.clients import BINARY, CLOSE, FRAGMENT_OF_TEXT, LAST, MORE, PING, TEXT, Bare, envelope, masked_frame
from tests.gateway.conftest import BOTH_STORES, OpenStage
from tests.rooms import Stage, eventually, open_stage

pytestmark = pytest.mark.timing

WATCH_SLACK_S: Final = 2.0
"""What the watch's own interval and a busy machine may add."""


async def leave_received(bare: Bare) -> tuple[str, str]:
    """Who leaves next, and for which reason."""
    payload = (await bare.next("presence.leave"))["payload"]
    return payload["memberId"], payload["reason"]


@pytest.mark.parametrize("body", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0b\xb8", b"\x0f\xa1mine"])
async def test_a_clients_close_is_echoed(stage: Stage, body: bytes) -> None:
    """The same code comes back, then the end of the stream; to the others the member has left (RFC 6455 5.5.1)."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        await ada.send(CLOSE, body)
        assert await ada.frame() == (CLOSE, body[:2])
        assert await ada.rest() == b""
        assert await leave_received(bo) == ("ada", "left")
        await eventually(lambda: len(stage.gateway.connections) == 1)


async def test_what_was_said_before_the_close_is_heard_first(stage: Stage) -> None:
    """A message and the close in one segment: the others hear the message, then the leave."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        await ada.stream.send_all(masked_frame(TEXT, envelope("note").encode()) + masked_frame(CLOSE, b""))
        await bo.next("presence.join")
        assert [(await bo.hear())["type"] for _ in range(2)] == ["note", "presence.leave"]


async def test_a_fragmented_message_before_the_close_is_heard_too(stage: Stage) -> None:
    """A close does not overtake a message that takes longer."""
    text = envelope("note").encode()
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        frames = masked_frame(FRAGMENT_OF_TEXT, text[:4]) + masked_frame(LAST, text[4:])
        await ada.stream.send_all(frames + masked_frame(CLOSE, b"\x03\xe8"))
        await bo.next("presence.join")
        assert [(await bo.hear())["type"] for _ in range(2)] == ["note", "presence.leave"]
        assert await ada.frame() == (CLOSE, b"\x03\xe8")


async def test_a_connection_that_is_just_gone_is_a_loss(stage: Stage) -> None:
    """No close frame: the others hear one leave, `lost`."""
    async with await stage.bare_member("bo") as bo:
        async with await stage.bare_member("ada"):
            pass
        assert await leave_received(bo) == ("ada", "lost")


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(b"\x81\x02{}", id="no mask"),
        pytest.param(masked_frame(0xC1, b"{}"), id="a reserved bit"),
        pytest.param(masked_frame(0x83, b""), id="a reserved data opcode"),
        pytest.param(masked_frame(0x8B, b""), id="a reserved control opcode"),
        pytest.param(masked_frame(0x09, b""), id="a fragmented ping"),
        pytest.param(masked_frame(PING, b"x" * 126), id="a ping over 125 bytes"),
        pytest.param(masked_frame(LAST, b"{}"), id="a continuation of nothing"),
        pytest.param(masked_frame(FRAGMENT_OF_TEXT, b"{") + masked_frame(TEXT, b"}"), id="a message within another"),
        pytest.param(struct.pack("!BBQ", TEXT, 0xFF, 1 << 63) + bytes(4), id="a length over 63 bits"),
        pytest.param(struct.pack("!BBH", TEXT, 0xFE, 2) + bytes(4) + b"{}", id="a length in more bytes than it needs"),
        pytest.param(masked_frame(CLOSE, b"\x03"), id="half a close code"),
        pytest.param(masked_frame(CLOSE, b"\x03\xed"), id="1005, which is never sent"),
        pytest.param(masked_frame(CLOSE, b"\x03\xee"), id="1006, which is never sent"),
        pytest.param(masked_frame(CLOSE, b"\x13\x88"), id="5000, which is no code"),
    ],
)
async def test_a_breach_of_the_protocol_is_1002(stage: Stage, frames: bytes) -> None:
    """The offender alone pays for it, and what it says afterwards is not heard."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        await ada.say("before")
        await ada.stream.send_all(frames + masked_frame(TEXT, envelope("after").encode()))
        assert (await ada.closed())[0] == 1002
        await bo.next("presence.join")
        assert [(await bo.hear())["type"] for _ in range(2)] == ["before", "presence.leave"]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(masked_frame(TEXT, b'{"type":"\xff"}'), id="a whole message"),
        pytest.param(masked_frame(TEXT, b'{"type":"a","payload":"\xed\xa0\x80"}'), id="a surrogate in a payload"),
        pytest.param(masked_frame(FRAGMENT_OF_TEXT, b'{"type":') + masked_frame(LAST, b'"\xff"}'), id="fragments"),
        pytest.param(masked_frame(FRAGMENT_OF_TEXT, b'"\xc3') + masked_frame(LAST, b""), id="half a character"),
    ],
)
async def test_text_that_is_not_utf_8_is_1007(stage: Stage, frames: bytes) -> None:
    """And nobody gets to hear it; binary messages may hold anything."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        await ada.send(BINARY, b"\xff")
        await ada.stream.send_all(frames + masked_frame(TEXT, envelope("after").encode()))
        assert (await ada.closed())[0] == 1007
        assert await leave_received(bo) == ("ada", "invalid_utf8")


async def test_text_that_comes_slowly_is_1007_before_it_is_whole(stage: Stage) -> None:
    """What can no longer become UTF-8 is not waited for; a character in two pieces is no fault."""
    async with await stage.bare_member("ada") as ada:
        frame = masked_frame(TEXT, '{"type":"nötë"}'.encode() + b"\xff" + b" " * 500)
        for piece in (frame[:5], frame[5:9], frame[9:19], frame[19:23], frame[23:40]):
            assert len(stage.gateway.connections) == 1
            await ada.stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        assert (await ada.closed())[0] == 1007


async def test_text_that_comes_slowly_is_heard_when_it_is_whole(stage: Stage) -> None:
    """Byte by byte, with characters of two, three and four bytes."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        frame = masked_frame(TEXT, '{"type":"note","payload":"é€\U0001f3b5"}'.encode())
        for at in range(len(frame)):
            await ada.stream.send_all(frame[at : at + 1])
            await trio.testing.wait_all_tasks_blocked()
        assert (await bo.next("note"))["payload"] == "é€\U0001f3b5"


async def test_a_message_over_1_mib_is_1009(stage: Stage) -> None:
    """In one frame or in many: the connection is closed before the message is whole."""
    for fragments in (1, 40):
        async with await stage.bare_member("ada") as ada:
            size = LARGEST_MESSAGE_BYTES // fragments + 1
            data = masked_frame(FRAGMENT_OF_TEXT if fragments > 1 else TEXT, b" " * size)
            for _ in range(fragments - 1):
                data += masked_frame(MORE, b" " * size)
            await ada.stream.send_all(data)
            assert (await ada.closed())[0] == 1009


class RaisingRoom(RoomState):
    """A room that cannot even take anybody in."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        del member, envelope
        raise ValueError("a fault")


async def test_a_room_that_fails_too_often_is_1011(stage_over: OpenStage) -> None:
    """The fourth crash within five seconds closes everybody in that room, and tells them to come back."""
    async with stage_over(room_class=RaisingRoom) as stage, await stage.bare_member("ada") as ada:
        async with await stage.bare_member("bo") as bo:
            for _ in range(4):
                await ada.say("note")
            assert await ada.closed() == (1011, "this room failed too often")
            assert (await bo.closed())[0] == 1011
        async with await stage.bare_member("cy") as cy:
            assert [line["memberId"] for line in cy.welcome["payload"]["members"]] == ["cy"]


@BOTH_STORES
async def test_everybody_is_told_to_come_back_when_the_gateway_stops(stage_over: OpenStage) -> None:
    """1001 with `{"reconnectMs": n}`, spread over the clients so that they do not all come at once."""
    band: list[Bare] = []
    async with stage_over() as stage:
        band += [await stage.bare_member(f"m{number}") for number in range(40)]
        half_open = await stage.bare()
        await half_open.stream.send_all(b"GET / HTTP/1.1\r\n")
        await eventually(lambda: len(stage.gateway.connections) == 41)
        waits_ms = []

        async def come_back(member: Bare) -> None:
            code, reason = await member.closed()
            assert code == 1001
            waits_ms.append(json.loads(reason)["reconnectMs"])
            await member.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.gateway.shutdown)
            for member in band:
                nursery.start_soon(come_back, member)
            assert b" 503 " in await half_open.rest()
            await half_open.aclose()
    assert all(500 <= wait_ms <= 5_000 for wait_ms in waits_ms)
    assert len(set(waits_ms)) > 30
    assert max(waits_ms) - min(waits_ms) > 2_000
    with pytest.raises(OSError):
        await trio.open_tcp_stream("127.0.0.1", stage.port)
    assert await stage.presence.members("jam") == []


async def test_a_stopping_gateway_does_not_wait_for_those_who_do_not_answer() -> None:
    """The deadline of the shutdown holds, whatever a client does."""
    async with open_stage(timeouts=Timeouts(closing_s=60.0)) as stage, await stage.bare_member("ada"):
        started_s = trio.current_time()
        await stage.gateway.shutdown(deadline_s=0.2)
        assert trio.current_time() - started_s < 0.2 + WATCH_SLACK_S
        assert not stage.gateway.connections


@pytest.mark.parametrize(("code", "word"), [(CloseCode.KICKED, "kicked"), (CloseCode.ROOM_CLOSED, "room_closed")])
async def test_a_dismissed_room_tells_everybody_why(stage: Stage, code: CloseCode, word: str) -> None:
    """4003 or 4004 for everybody in that room, and for nobody in another."""
    async with stage.band("ada", "bo") as band, stage.member("cy", "other") as cy:
        stage.room().tell(Dismiss(Closing(code)))
        for member in band:
            assert await member.closed() == (code, word)
        assert stage.roster() == []
        await cy.say("note", id=1)
        assert (await cy.hear())["type"] == "ack"


async def test_a_sender_far_over_its_rate_is_4009(stage_over: OpenStage) -> None:
    """First one error, then the close; the others hear no more than the rate allows."""
    async with stage_over(rate=RateLimit.of(10, 20)) as stage, await stage.bare_member("bo") as bo:
        async with await stage.bare_member("ada") as ada:
            started_s = trio.current_time()
            for _ in range(60):
                await ada.say("note")
            assert (await ada.hear())["payload"]["code"] == "rate_limited"
            assert await ada.closed() == (4009, "sending faster than allowed")
        received = 0
        await bo.next("presence.join")
        while (message := await bo.hear())["type"] == "note":
            received += 1
        assert message["payload"] == {"memberId": "ada", "reason": "rate_limit"}
        assert received <= 20 + 10 * (trio.current_time() - started_s)


async def test_a_client_that_answers_no_ping_is_4010(stage_over: OpenStage) -> None:
    """Silent, pinged, still silent: closed, and the others hear one leave."""
    async with (
        stage_over(timeouts=Timeouts(ping_s=0.1, pong_s=0.1)) as stage,
        stage.member("bo") as bo,
        await stage.bare_member("ada") as ada,
    ):
        started_s = trio.current_time()
        assert await ada.frame() == (PING, b"")
        assert (await ada.closed())[0] == 4010
        assert trio.current_time() - started_s < 0.2 + WATCH_SLACK_S
        assert (await bo.next("presence.leave"))["payload"] == {"memberId": "ada", "reason": "no_pong"}


async def test_a_client_that_never_answers_a_close_is_dropped(stage_over: OpenStage) -> None:
    """The close is sent, and the socket let go of `closing_s` later."""
    async with stage_over(timeouts=Timeouts(closing_s=0.2)) as stage, await stage.bare_member("ada") as ada:
        stage.room().tell(Dismiss(Closing(CloseCode.ROOM_CLOSED)))
        assert (await ada.closed())[0] == 4004
        await eventually(lambda: not stage.gateway.connections, deadline_s=0.2 + WATCH_SLACK_S)


async def test_nothing_comes_after_a_close(stage: Stage) -> None:
    """Not what the room says meanwhile, not a pong, not a second close; and the replaced one is not heard either."""
    async with stage.member("bo") as bo, await stage.bare_member("ada") as ada, stage.member("ada") as again:
        await eventually(lambda: len(stage.gateway.connections) == 3)
        await bo.say("note")
        await ada.say("note", "from the grave")
        await ada.send(PING, b"?")
        assert (await again.hear())["from"] == "bo"
        assert await ada.closed() == (4001, "replaced")
        await ada.send(CLOSE, b"\x0f\xa1")
        await bo.say("done", id=1)
        await bo.next("ack")
        assert stage.room().offset == 2


def test_the_patience_of_a_gateway_is_that_of_the_contract() -> None:
    """Handshakes are cut within 10 s, the silent are gone within 40, and rooms are forgotten after 60."""
    default = {field.name: field.default for field in fields(GatewayOptions)}
    assert default["timeouts"] == Timeouts(handshake_s=8.0, closing_s=3.0, ping_s=20.0, pong_s=15.0)
    assert default["empty_room_s"] == 60.0
    assert default["queue_bytes"] == 256 * 1024
