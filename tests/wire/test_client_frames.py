"""Frames of the client (RFC 6455 5): a server's bytes in any chunks, and the client's own frames, masked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Message, Ping, TextMessage

from omnisonic.wire.client_frames import LARGEST_BYTES, ServerSplitter, masked_frame
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, frame

SIZES = st.sampled_from([0, 1, 125, 126, 127, 1000, 65_535, 65_536])
MESSAGES = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), SIZES), max_size=6)


def feed(data: bytes, cuts: list[int] | None = None) -> tuple[list[Frame], Closing | None]:
    """The frames of `data` when it arrives in chunks with these `cuts`, and the violation."""
    splitter, frames, at = ServerSplitter(), [], 0
    for cut in (*sorted(cut % (len(data) + 1) for cut in cuts or ()), len(data)):
        frames += splitter.feed(data[at:cut])
        at = cut
    return frames, splitter.violation


@given(MESSAGES, st.lists(st.integers(0, 1 << 20), max_size=8))
def test_messages_come_out_whole_and_in_order_however_they_arrive(
    wanted: list[tuple[int, int]], cuts: list[int]
) -> None:
    """Of every length, cut anywhere, with pings between them."""
    sent: list[Frame] = []
    for number, (opcode, size) in enumerate(wanted):
        sent += [(opcode, bytes([97 + number]) * size), (PING, b"%d" % number)]
    assert feed(b"".join(frame(*each) for each in sent), cuts) == (sent, None)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=5))
def test_fragments_are_put_together_and_control_frames_may_come_between(pieces: list[bytes], cuts: list[int]) -> None:
    """A proxy may split a message (RFC 6455 5.4)."""
    data = b""
    for number, piece in enumerate(pieces):
        first, last = number == 0, number == len(pieces) - 1
        whole = frame(BINARY if first else 0, piece)
        data += (whole if last else bytes((whole[0] & 0x7F,)) + whole[1:]) + (b"" if last else frame(PING, b"x"))
    assert feed(data, cuts) == ([(PING, b"x")] * (len(pieces) - 1) + [(BINARY, b"".join(pieces))], None)


def test_it_reads_what_wsproto_writes() -> None:
    """A full protocol engine at the other end."""
    server = Connection(ConnectionType.SERVER)
    events = [TextMessage("über", message_finished=False), TextMessage("all"), Ping(b"?"), BytesMessage(b"\0" * 70_000)]
    frames, violation = feed(b"".join(server.send(event) for event in events))
    assert frames == [(TEXT, "überall".encode()), (PING, b"?"), (BINARY, b"\0" * 70_000)]
    assert violation is None


@given(st.binary(max_size=300), st.sampled_from([TEXT, BINARY, PING, PONG]))
def test_wsproto_reads_what_is_masked(payload: bytes, opcode: int) -> None:
    """And so does any server."""
    payload = payload[:125] if opcode in (PING, PONG) else b"a" * len(payload) if opcode == TEXT else payload
    server = Connection(ConnectionType.SERVER)
    server.receive_data(masked_frame(opcode, payload))
    (event,) = server.events()
    data = event.data if isinstance(event, Message) else event.payload  # type: ignore[attr-defined]
    assert (data.encode() if isinstance(data, str) else bytes(data)) == payload


@pytest.mark.parametrize("size", [126, 65_535, 65_536])
def test_each_frame_has_another_mask(size: int) -> None:
    """The bytes on the wire are unpredictable (RFC 6455 10.3)."""
    one, other = masked_frame(BINARY, b"a" * size), masked_frame(BINARY, b"a" * size)
    assert one != other
    assert len(one) == len(other) == size + (8 if size < 65_536 else 14)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x81abcde", CloseCode.PROTOCOL_ERROR),  # masked
        (b"\x81\xfe\x00\x7eabcd", CloseCode.PROTOCOL_ERROR),  # masked, and longer
        (b"\xc1\x01a", CloseCode.PROTOCOL_ERROR),  # an extension
        (b"\x83\x00", CloseCode.PROTOCOL_ERROR),  # no such kind
        (b"\x80\x01a", CloseCode.PROTOCOL_ERROR),  # a continuation of nothing
        (b"\x01\x01a\x81\x01b", CloseCode.PROTOCOL_ERROR),  # a message within another one
        (b"\x09\x00", CloseCode.PROTOCOL_ERROR),  # a ping in fragments
        (b"\x89\x7e\x00\x7e" + b"a" * 126, CloseCode.PROTOCOL_ERROR),  # a long ping
        (b"\x88\x01\x03", CloseCode.PROTOCOL_ERROR),  # half a close code
        (b"\x81\x7e\x00\x05hello", CloseCode.PROTOCOL_ERROR),  # a length that could be shorter
        (b"\x82\x7f" + (LARGEST_BYTES + 1).to_bytes(8, "big"), CloseCode.TOO_BIG),
    ],
)
def test_a_violation_is_reported_and_nothing_comes_after_it(data: bytes, code: CloseCode) -> None:
    """What was whole before it still counts."""
    frames, violation = feed(frame(TEXT, b"before") + data + frame(TEXT, b"after"))
    assert frames == [(TEXT, b"before")]
    assert violation is not None
    assert violation.code is code


def test_a_message_in_fragments_is_bounded_too() -> None:
    """In sum."""
    piece = b"\x00\x7f" + (LARGEST_BYTES // 2).to_bytes(8, "big") + bytes(LARGEST_BYTES // 2)
    splitter = ServerSplitter()
    splitter.feed(b"\x02" + piece[1:])
    splitter.feed(piece)
    assert splitter.violation is None
    splitter.feed(piece)
    assert splitter.violation is not None
    assert splitter.violation.code is CloseCode.TOO_BIG


def test_nothing_comes_after_a_close() -> None:
    """It is the last frame of a connection."""
    close = frame(CLOSE, b"\x03\xe8bye")
    assert feed(close + frame(TEXT, b"after")) == ([(CLOSE, b"\x03\xe8bye")], None)
