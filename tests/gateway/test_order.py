"""Everyone hears the same in the same order, however it was cut into frames and segments (SPEC 5.2)."""

from typing import Any

import pytest
import trio

from tests.clients import (
    BINARY,
    FRAGMENT_OF_BINARY,
    FRAGMENT_OF_TEXT,
    LAST,
    MORE,
    PING,
    PONG,
    TEXT,
    Bare,
    envelope,
    masked_frame,
)
from tests.gateway.conftest import OpenStage
from tests.rooms import PoisonedRoom, Stage


async def test_binary_and_text_share_one_order(stage: Stage) -> None:
    """A binary message has a place in it, and takes no offset: it is not remembered."""
    async with stage.band("ada", "bo") as (ada, bo):
        for number in range(5):
            await ada.send(bytes([number]))
            await ada.say("note", number)
        received = [await bo.hear() for _ in range(10)]
    assert [message.get("offset", message.get("bytes")) for message in received] == [
        item for number in range(5) for item in (b"\x03ada" + bytes([number]), number + 1)
    ]


@pytest.mark.parametrize("listening", [False, True])
async def test_the_order_is_the_same_for_everyone(stage_over: OpenStage, *, listening: bool) -> None:
    """Twenty members all talk at once: each hears the others in one order, with no message lost or doubled."""
    room = {"room_class": PoisonedRoom} if listening else {}
    async with stage_over(**room) as stage, stage.crowd(20) as band:
        received: dict[int, list[tuple[int, str, Any]]] = {}

        async def talk(member: Bare) -> None:
            for number in range(25):
                await member.say("note", number)

        async def listen(number: int, member: Bare) -> None:
            notes = [await member.next("note") for _ in range(19 * 25)]
            received[number] = [(note["offset"], note["from"], note["payload"]) for note in notes]

        async with trio.open_nursery() as nursery:
            for number, member in enumerate(band):
                nursery.start_soon(talk, member)
                nursery.start_soon(listen, number, member)
    everything = sorted(set().union(*received.values()))
    assert [offset for offset, _, _ in everything] == list(range(1, 501))
    for number, notes in received.items():
        assert notes == [note for note in everything if note[1] != f"m{number}"]
        for speaker in range(20):
            assert [note[2] for note in notes if note[1] == f"m{speaker}"] in ([], list(range(25)))


async def test_fragments_keep_their_order_among_whole_messages(stage: Stage) -> None:
    """A fragmented message arrives as one, where it was said, with a ping in between."""
    async with await stage.bare_member("ada") as ada, stage.member("bo") as bo:
        text = envelope("note", "in pieces").encode()
        await ada.say("note", "before")
        await ada.send(FRAGMENT_OF_TEXT, text[:5])
        await ada.send(PING, b"are you there?")
        await ada.send(MORE, text[5:9])
        await ada.send(LAST, text[9:])
        await ada.say("note", "after")
        received = [(await bo.next("note"))["payload"] for _ in range(3)]
    assert received == ["before", "in pieces", "after"]


async def test_fragments_and_whole_messages_in_one_segment_keep_their_order(stage: Stage) -> None:
    """The same, when all of it comes in one read; of binary messages as well."""
    frames = b""
    for number in range(10):
        text = envelope("note", number).encode()
        frames += masked_frame(FRAGMENT_OF_TEXT, text[:9]) + masked_frame(MORE, b"") + masked_frame(LAST, text[9:])
        frames += masked_frame(FRAGMENT_OF_BINARY, b"\x01") + masked_frame(LAST, bytes([number]))
        frames += masked_frame(TEXT, envelope("note", number).encode()) + masked_frame(BINARY, bytes([number]))
    async with await stage.bare_member("ada") as ada, stage.member("bo") as bo:
        await ada.stream.send_all(frames)
        received = [await bo.hear() for _ in range(40)]
    assert [message.get("payload", message.get("bytes")) for message in received] == [
        item
        for number in range(10)
        for item in (number, b"\x03ada\x01" + bytes([number]), number, b"\x03ada" + bytes([number]))
    ]


async def test_a_ping_is_answered_with_its_payload(stage: Stage) -> None:
    """Between the fragments of a message, too (RFC 6455 5.4)."""
    async with await stage.bare_member("ada") as ada:
        await ada.send(FRAGMENT_OF_TEXT, b'{"type"')
        await ada.send(PING, b"are you there?")
        assert await ada.frame() == (PONG, b"are you there?")
        await ada.send(LAST, b":1}")
        assert (await ada.hear())["payload"]["code"] == "invalid_message"


async def test_a_frame_may_come_byte_by_byte(stage: Stage) -> None:
    """However the network cuts it, it is one message."""
    async with await stage.bare_member("ada") as ada, stage.member("bo") as bo:
        frame = masked_frame(TEXT, envelope("note", "x" * 200).encode())
        for at in range(len(frame)):
            await ada.stream.send_all(frame[at : at + 1])
        assert (await bo.hear())["payload"] == "x" * 200


async def test_answers_come_in_the_order_of_the_questions(stage: Stage) -> None:
    """Acks, errors, heartbeats and messages of others keep the room's order, sent in one segment or not."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        lines = [envelope("note", id=1), "nonsense", envelope("heartbeat", 2), envelope("note", to="ada"), '{"type":1}']
        await ada.stream.send_all(b"".join(masked_frame(TEXT, line.encode()) for line in lines))
        received = [await ada.hear() for _ in lines]
        assert (await bo.next("note"))["offset"] == 1
    assert [message["type"] for message in received] == ["ack", "error", "heartbeat", "note", "error"]


async def test_a_member_hears_nothing_said_before_it_came_or_after_it_left(stage: Stage) -> None:
    """The offset in the welcome is where the newcomer comes in; who comes back takes the count up again."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.say("note", "early", id=1)
        await ada.hear()
        async with stage.member("cy") as cy:
            assert cy.welcome["payload"]["offset"] == 1
            await ada.say("note", "now")
            assert (await cy.hear())["offset"] == 2
        received = [(await bo.hear())["type"] for _ in range(4)]
        assert received == ["note", "presence.join", "note", "presence.leave"]
