"""Our splitter and wsproto receive the same from any client, and our frames are what wsproto expects."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

from omnisonic.wire.closing import is_utf8, is_valid_close_body
from omnisonic.wire.frames import BINARY, CLOSE, PING, PONG, TEXT, TEXT_HEADERS, WHOLE_BYTES, Splitter, frame, header
from tests.wire.client_frames import FIN, VIOLATIONS, ClientFrame, conversations, in_chunks, wild_frames

bounded = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
cuts = st.lists(st.sampled_from((1, 2, 3, 7, 11, 64, 1000, 65_536, 1 << 20)), min_size=1, max_size=5)
VIOLATION = -1
SEEN_LATER = {b"bad \xff utf-8", b"cut \xe2\x82", b"bad \xc0"}
"""Text that is not UTF-8. The frames are valid, so the splitter does not see it."""


@dataclass
class Received:
    """What a stream of bytes contained. `end` is None while it is open, a close code, or `VIOLATION`."""

    messages: list[str | bytes] = field(default_factory=list)
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    end: int | None = None


class Engine:
    """wsproto as the server, after the handshake."""

    def __init__(self) -> None:
        self.received = Received()
        self._connection = Connection(ConnectionType.SERVER)
        self._parts: list[Any] = []

    def feed(self, data: bytes) -> int:
        """Take bytes; how many messages they completed."""
        before = len(self.received.messages)
        if self.received.end is None:
            self._connection.receive_data(data)
            for event in self._connection.events():
                self._take(event)
        return len(self.received.messages) - before

    def _take(self, event: object) -> None:
        match event:
            case TextMessage() | BytesMessage():
                self._take_part(event)
            case Ping():
                self.received.controls.append((PING, bytes(event.payload)))
            case Pong():
                self.received.controls.append((PONG, bytes(event.payload)))
            case CloseConnection():
                by_peer = self._connection.state is ConnectionState.REMOTE_CLOSING
                self.received.end = int(event.code) if by_peer else VIOLATION

    def _take_part(self, event: Message[Any]) -> None:
        self._parts.append(event.data)
        if event.message_finished:
            empty = "" if isinstance(event, TextMessage) else b""
            self.received.messages.append(empty.join(self._parts))
            self._parts.clear()


class SplitterAndEngine:
    """Our splitter with an engine behind it that may lag, combined as in a connection and its slow path."""

    def __init__(self) -> None:
        self.received = Received()
        self._splitter = Splitter()
        self._engine = Engine()
        self._unparsed = b""

    def feed(self, data: bytes, *, lag: bool) -> None:
        """Take bytes. When the engine lags, it gets the unparsed ones later."""
        frames, controls, unparsed = self._splitter.feed(data)
        for opcode, payload in frames:
            self._take(opcode, payload)
        self._unparsed += unparsed
        for opcode, payload in controls:
            if opcode != CLOSE:
                self.received.controls.append((opcode, payload))
            elif self.received.end is None:
                code = int.from_bytes(payload[:2], "big") or 1005
                self.received.end = code if is_valid_close_body(payload) else VIOLATION
        if not lag:
            self.catch_up()

    def catch_up(self) -> None:
        """Let the engine read all unparsed bytes."""
        unparsed, self._unparsed = self._unparsed, b""
        completed = self._engine.feed(unparsed)
        for _ in range(completed):
            self._splitter.complete_unparsed()
        if self.received.end is None:
            self.received.messages += self._engine.received.messages[-completed:] if completed else []
            self.received.controls += self._engine.received.controls
            self.received.end = self._engine.received.end
        self._engine.received.controls.clear()

    def _take(self, opcode: int, payload: bytes) -> None:
        if self.received.end is not None:
            return
        if opcode == BINARY:
            self.received.messages.append(payload)
        elif is_utf8(payload):
            self.received.messages.append(payload.decode())
        else:
            self.received.end = VIOLATION


def assert_no_difference(frames: list[ClientFrame], sizes: list[int], lags: list[bool]) -> None:
    """Feed both the same bytes and compare what they received."""
    stream = b"".join(each.encode() for each in frames)
    tested, reference = SplitterAndEngine(), Engine()
    for number, chunk in enumerate(in_chunks(stream, sizes)):
        tested.feed(chunk, lag=lags[number % len(lags)])
        reference.feed(chunk)
    tested.catch_up()
    assert tested.received.messages == reference.received.messages
    assert tested.received.end == reference.received.end
    if tested.received.end == VIOLATION:
        # Text is looked at when the room has its turn, so a ping right behind bad UTF-8 may still have its pong.
        assert tested.received.controls[: len(reference.received.controls)] == reference.received.controls
    else:
        assert tested.received.controls == reference.received.controls


@bounded
@given(conversations(), cuts, st.lists(st.booleans(), min_size=1, max_size=4))
def test_splitter_and_wsproto_receive_the_same_from_any_client(
    frames: list[ClientFrame], sizes: list[int], lags: list[bool]
) -> None:
    """The same messages, pings, closes and violations, in any chunks and however late the slow path is."""
    assert_no_difference(frames, sizes, lags)


@bounded
@given(wild_frames(), cuts, st.lists(st.booleans(), min_size=1, max_size=4))
@example([ClientFrame(TEXT, b"a"), ClientFrame(FIN | CLOSE, b""), ClientFrame(FIN, b"b")], [1], [True])
def test_splitter_and_wsproto_agree_on_frames_that_make_no_sense(
    frames: list[ClientFrame], sizes: list[int], lags: list[bool]
) -> None:
    """Random first bytes and length forms: both continue, or both see the violation, at the same message."""
    assert_no_difference(frames, sizes, lags)


@pytest.mark.parametrize(
    "violation", VIOLATIONS, ids=lambda violation: f"{violation[0].first:#x}-{len(violation[0].payload)}"
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_every_kind_of_violation_ends_the_stream_for_both(violation: list[ClientFrame], size: int) -> None:
    """Messages before a violation are received, those after it are not."""
    before, after = ClientFrame(FIN | TEXT, b"before"), ClientFrame(FIN | TEXT, b"after")
    stream = b"".join(each.encode() for each in [before, *violation, after])
    tested, reference = SplitterAndEngine(), Engine()
    for chunk in in_chunks(stream, [size]):
        tested.feed(chunk, lag=False)
        reference.feed(chunk)
    assert tested.received.messages == reference.received.messages == ["before"]
    assert tested.received.end == reference.received.end == VIOLATION


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 2047, 2048, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_whole_frames_never_take_the_slow_path(opcode: int, size: int) -> None:
    """Every length form up to 64 KiB comes out unmasked, with nothing unparsed, even when it arrives byte by byte."""
    payload = bytes(i % 120 for i in range(size))
    stream = ClientFrame(FIN | opcode, payload).encode()
    assert Splitter().feed(stream) == ([(opcode, payload)], [], b"")
    splitter = Splitter()
    outputs = [splitter.feed(stream[i : i + 1]) for i in range(len(stream))] if size < 3000 else []
    assert all(each == ([], [], b"") for each in outputs[:-1])
    assert outputs[-1:] in ([], [([(opcode, payload)], [], b"")])


def test_a_frame_behind_the_slow_path_waits_for_it() -> None:
    """A whole message behind a fragmented one comes out unparsed too, until the fragmented one is delivered."""
    fragments = ClientFrame(TEXT, b"a").encode() + ClientFrame(FIN, b"b").encode()
    whole = ClientFrame(FIN | TEXT, b"c").encode()
    splitter = Splitter()
    assert splitter.feed(fragments) == ([], [], fragments)
    assert splitter.on_slow_path == 1
    assert splitter.feed(whole) == ([], [], whole)
    splitter.complete_unparsed()
    splitter.complete_unparsed()
    assert splitter.on_slow_path == 0
    assert splitter.feed(whole) == ([(TEXT, b"c")], [], b"")


@pytest.mark.parametrize(
    "violation", [b for b in VIOLATIONS if not SEEN_LATER.intersection(each.payload for each in b)]
)
def test_after_a_violation_even_a_ping_is_not_parsed(violation: list[ClientFrame]) -> None:
    """Nothing after it is answered; the engine, which gets all of it, sees the violation first."""
    splitter = Splitter()
    ping = ClientFrame(FIN | PING, b"still there?").encode()
    _, controls, _ = splitter.feed(b"".join(each.encode() for each in violation) + ping)
    assert [opcode for opcode, _ in controls] in ([], [CLOSE])
    assert splitter.feed(ping)[:2] == ([], [])


def test_a_frame_that_passes_in_pieces_is_not_looked_into() -> None:
    """The bytes of a fragment may look like frames and are not parsed; the frames after it are."""
    ping = b"\x89\x80\0\0\0\0"
    fragment = ClientFrame(BINARY, ping * 10, mask=bytes(4)).encode()
    splitter = Splitter()
    assert splitter.feed(fragment[:6]) == ([], [], fragment[:6])
    assert splitter.feed(fragment[6:]) == ([], [], fragment[6:])
    assert splitter.feed(ping) == ([], [(PING, b"")], b"")


def test_text_that_cannot_become_utf8_is_not_waited_for() -> None:
    """A long frame that arrives slowly fails at its first wrong byte, not at its last, and stays failed."""
    stream = ClientFrame(FIN | TEXT, b"bad \xff" + b"-" * 1000).encode()
    good = ClientFrame(FIN | TEXT, b"g\xc3\xb6\xc3\xb6d" + b"-" * 1000).encode()
    tested, patient = SplitterAndEngine(), SplitterAndEngine()
    for at in range(30):
        tested.feed(stream[at : at + 1], lag=False)
        patient.feed(good[at : at + 1], lag=False)
    assert (tested.received.end, patient.received.end) == (VIOLATION, None)
    tested.feed(stream[30:] + ClientFrame(FIN | TEXT, b"more").encode(), lag=False)
    assert tested.received == Received(end=VIOLATION)


def test_unparsed_frames_are_counted() -> None:
    """Each fragment counts as one, in any chunks; whole frames do not count."""
    splitter = Splitter()
    stream = ClientFrame(FIN | TEXT, b"whole").encode() + ClientFrame(TEXT, b"a").encode()
    splitter.feed(stream + ClientFrame(0, b"b" * 300).encode()[:100])
    assert splitter.count_unparsed() == 2
    assert splitter.count_unparsed() == 0


def test_a_frame_that_is_too_long_to_keep_streams_through() -> None:
    """A frame over 64 KiB is forwarded as it arrives; the splitter does not buffer it."""
    stream = ClientFrame(FIN | BINARY, b"-" * (WHOLE_BYTES + 1)).encode()
    splitter = Splitter()
    assert splitter.feed(stream[:100]) == ([], [], stream[:100])
    assert splitter.feed(stream[100:70_000]) == ([], [], stream[100:70_000])


def test_nothing_is_received_after_a_close() -> None:
    """A close frame is the last one of a client."""
    close, more = ClientFrame(FIN | CLOSE, b"\x03\xe8").encode(), ClientFrame(FIN | TEXT, b"and").encode()
    splitter = Splitter()
    frames, controls, _ = splitter.feed(close + more)
    assert (frames, controls) == ([], [(CLOSE, b"\x03\xe8")])
    assert splitter.feed(more)[:2] == ([], [])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 2047, 2048, 65_535, 65_536, 70_000])
def test_our_frames_are_what_a_client_expects(size: int) -> None:
    """wsproto's client, which refuses lengths that are not minimal, reads our text, binary and control frames."""
    client = Connection(ConnectionType.CLIENT)
    payload = b"-" * size
    sent = frame(TEXT, payload) + frame(BINARY, payload) + frame(PING, payload[:125]) + frame(CLOSE, b"\x03\xe8bye")
    client.receive_data(sent)
    text, binary, ping, close = client.events()
    assert isinstance(text, TextMessage)
    assert text == TextMessage(data=payload.decode(), frame_finished=True, message_finished=True)
    assert binary == BytesMessage(data=payload, frame_finished=True, message_finished=True)
    assert ping == Ping(payload=payload[:125])
    assert close == CloseConnection(code=1000, reason="bye")


def test_each_ready_made_header_is_what_another_implementation_writes() -> None:
    """`TEXT_HEADERS`, for every length that it has one for, against wsproto's server."""
    assert len(TEXT_HEADERS) > 126  # two forms of the length (RFC 6455 5.2)
    server = Connection(ConnectionType.SERVER)
    for size, ready_made in enumerate(TEXT_HEADERS):
        text = "-" * size
        assert ready_made + text.encode() == server.send(TextMessage(text)), size


@given(st.sampled_from([(TEXT, str), (BINARY, bytes)]), st.integers(0, 70_000))
@example((TEXT, str), 65_535)
@example((TEXT, str), 65_536)
@bounded
def test_a_computed_header_is_what_another_implementation_writes(kind: tuple[int, type], size: int) -> None:
    """`header`, in all three forms of the length, against wsproto's server."""
    opcode, of = kind
    server = Connection(ConnectionType.SERVER)
    message = TextMessage("-" * size) if of is str else BytesMessage(b"-" * size)
    assert header(opcode, size) + b"-" * size == server.send(message)
