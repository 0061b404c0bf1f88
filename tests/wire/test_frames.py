"""Our splitter and wsproto hear the same in everything a client may send; our frames are what wsproto expects."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

from omnisonic.wire.closing import is_utf8, is_valid_close_body
from omnisonic.wire.frames import BINARY, CLOSE, PING, PONG, TEXT, TEXT_HEADERS, WHOLE_BYTES, Splitter, frame, header
from tests.wire.client_frames import BREACHES, FIN, ClientFrame, conversations, in_chunks, wild_frames

bounded = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
cuts = st.lists(st.sampled_from((1, 2, 3, 7, 11, 64, 1000, 65_536, 1 << 20)), min_size=1, max_size=5)
BREACH = -1
SEEN_LATER = {b"bad \xff utf-8", b"cut \xe2\x82", b"bad \xc0"}
"""Text that is not UTF-8: no breach of the framing, so the splitter does not see it."""


@dataclass
class Heard:
    """What came of a stream of bytes. `end` is None while it is open, a close code, or `BREACH`."""

    messages: list[str | bytes] = field(default_factory=list)
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    end: int | None = None


class Engine:
    """wsproto as the server, after the handshake."""

    def __init__(self) -> None:
        self.heard = Heard()
        self._connection = Connection(ConnectionType.SERVER)
        self._parts: list[Any] = []

    def feed(self, data: bytes) -> int:
        """Take bytes; how many messages they completed."""
        before = len(self.heard.messages)
        if self.heard.end is None:
            self._connection.receive_data(data)
            for event in self._connection.events():
                self._take(event)
        return len(self.heard.messages) - before

    def _take(self, event: object) -> None:
        match event:
            case TextMessage() | BytesMessage():
                self._take_part(event)
            case Ping():
                self.heard.controls.append((PING, bytes(event.payload)))
            case Pong():
                self.heard.controls.append((PONG, bytes(event.payload)))
            case CloseConnection():
                by_peer = self._connection.state is ConnectionState.REMOTE_CLOSING
                self.heard.end = int(event.code) if by_peer else BREACH

    def _take_part(self, event: Message[Any]) -> None:
        self._parts.append(event.data)
        if event.message_finished:
            empty = "" if isinstance(event, TextMessage) else b""
            self.heard.messages.append(empty.join(self._parts))
            self._parts.clear()


class Split:
    """Our splitter with an engine behind it that may lag, put together as a connection and its detour are."""

    def __init__(self) -> None:
        self.heard = Heard()
        self._splitter = Splitter()
        self._engine = Engine()
        self._waiting = b""

    def feed(self, data: bytes, *, lag: bool) -> None:
        """Take bytes. When the engine lags, it sees what is odd in them later."""
        frames, controls, odd = self._splitter.feed(data)
        for opcode, payload in frames:
            self._take(opcode, payload)
        self._waiting += odd
        for opcode, payload in controls:
            if opcode != CLOSE:
                self.heard.controls.append((opcode, payload))
            elif self.heard.end is None:
                code = int.from_bytes(payload[:2], "big") or 1005
                self.heard.end = code if is_valid_close_body(payload) else BREACH
        if not lag:
            self.catch_up()

    def catch_up(self) -> None:
        """Let the engine see everything that is odd."""
        odd, self._waiting = self._waiting, b""
        completed = self._engine.feed(odd)
        for _ in range(completed):
            self._splitter.complete_unparsed()
        if self.heard.end is None:
            self.heard.messages += self._engine.heard.messages[-completed:] if completed else []
            self.heard.controls += self._engine.heard.controls
            self.heard.end = self._engine.heard.end
        self._engine.heard.controls.clear()

    def _take(self, opcode: int, payload: bytes) -> None:
        if self.heard.end is not None:
            return
        if opcode == BINARY:
            self.heard.messages.append(payload)
        elif is_utf8(payload):
            self.heard.messages.append(payload.decode())
        else:
            self.heard.end = BREACH


def assert_no_difference(frames: list[ClientFrame], sizes: list[int], lags: list[bool]) -> None:
    """Feed both the same and compare what they heard."""
    stream = b"".join(each.encoded() for each in frames)
    split, reference = Split(), Engine()
    for number, chunk in enumerate(in_chunks(stream, sizes)):
        split.feed(chunk, lag=lags[number % len(lags)])
        reference.feed(chunk)
    split.catch_up()
    assert split.heard.messages == reference.heard.messages
    assert split.heard.end == reference.heard.end
    if split.heard.end == BREACH:
        # Text is looked at when the room has its turn, so a ping right behind bad UTF-8 may still have its pong.
        assert split.heard.controls[: len(reference.heard.controls)] == reference.heard.controls
    else:
        assert split.heard.controls == reference.heard.controls


@bounded
@given(conversations(), cuts, st.lists(st.booleans(), min_size=1, max_size=4))
def test_splitter_and_wsproto_hear_the_same_in_whatever_clients_send(
    frames: list[ClientFrame], sizes: list[int], lags: list[bool]
) -> None:
    """Messages, pings, closes and breaches are the same, however the bytes are cut and however late the detour is."""
    assert_no_difference(frames, sizes, lags)


@bounded
@given(wild_frames(), cuts, st.lists(st.booleans(), min_size=1, max_size=4))
@example([ClientFrame(TEXT, b"a"), ClientFrame(FIN | CLOSE, b""), ClientFrame(FIN, b"b")], [1], [True])
def test_splitter_and_wsproto_agree_on_frames_that_make_no_sense(
    frames: list[ClientFrame], sizes: list[int], lags: list[bool]
) -> None:
    """Random first bytes and length forms: both go on, or both see the breach, at the same message."""
    assert_no_difference(frames, sizes, lags)


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach[0].first:#x}-{len(breach[0].payload)}")
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_every_kind_of_breach_ends_the_stream_for_both(breach: list[ClientFrame], size: int) -> None:
    """What is said before a breach is heard, what comes behind it is not."""
    before, after = ClientFrame(FIN | TEXT, b"before"), ClientFrame(FIN | TEXT, b"after")
    stream = b"".join(each.encoded() for each in [before, *breach, after])
    split, reference = Split(), Engine()
    for chunk in in_chunks(stream, [size]):
        split.feed(chunk, lag=False)
        reference.feed(chunk)
    assert split.heard.messages == reference.heard.messages == ["before"]
    assert split.heard.end == reference.heard.end == BREACH


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 2047, 2048, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_whole_frames_never_take_the_detour(opcode: int, size: int) -> None:
    """Every length form up to 64 KiB comes out unmasked, nothing of it odd, even when it comes byte by byte."""
    payload = bytes(i % 120 for i in range(size))
    stream = ClientFrame(FIN | opcode, payload).encoded()
    assert Splitter().feed(stream) == ([(opcode, payload)], [], b"")
    splitter = Splitter()
    heard = [splitter.feed(stream[i : i + 1]) for i in range(len(stream))] if size < 3000 else []
    assert all(each == ([], [], b"") for each in heard[:-1])
    assert heard[-1:] in ([], [([(opcode, payload)], [], b"")])


def test_a_frame_behind_a_detour_waits_for_it() -> None:
    """A whole message behind a fragmented one is odd as well, until the fragmented one has arrived."""
    fragments = ClientFrame(TEXT, b"a").encoded() + ClientFrame(FIN, b"b").encoded()
    whole = ClientFrame(FIN | TEXT, b"c").encoded()
    splitter = Splitter()
    assert splitter.feed(fragments) == ([], [], fragments)
    assert splitter.on_slow_path == 1
    assert splitter.feed(whole) == ([], [], whole)
    splitter.complete_unparsed()
    splitter.complete_unparsed()
    assert splitter.on_slow_path == 0
    assert splitter.feed(whole) == ([(TEXT, b"c")], [], b"")


@pytest.mark.parametrize("breach", [b for b in BREACHES if not SEEN_LATER.intersection(each.payload for each in b)])
def test_after_a_breach_even_a_ping_is_odd(breach: list[ClientFrame]) -> None:
    """Nothing is answered that comes behind it; the engine, which gets all of it, has seen the breach first."""
    splitter = Splitter()
    ping = ClientFrame(FIN | PING, b"still there?").encoded()
    _, controls, _ = splitter.feed(b"".join(each.encoded() for each in breach) + ping)
    assert [opcode for opcode, _ in controls] in ([], [CLOSE])
    assert splitter.feed(ping)[:2] == ([], [])


def test_a_frame_that_passes_in_pieces_is_not_looked_into() -> None:
    """What a fragment holds may look like frames, and is not; behind it, frames are frames again."""
    ping = b"\x89\x80\0\0\0\0"
    fragment = ClientFrame(BINARY, ping * 10, mask=bytes(4)).encoded()
    splitter = Splitter()
    assert splitter.feed(fragment[:6]) == ([], [], fragment[:6])
    assert splitter.feed(fragment[6:]) == ([], [], fragment[6:])
    assert splitter.feed(ping) == ([], [(PING, b"")], b"")


def test_text_that_cannot_become_utf8_is_not_waited_for() -> None:
    """A long frame that comes slowly fails at its first wrong byte, not at its last; once failed it stays so."""
    stream = ClientFrame(FIN | TEXT, b"bad \xff" + b"-" * 1000).encoded()
    good = ClientFrame(FIN | TEXT, b"g\xc3\xb6\xc3\xb6d" + b"-" * 1000).encoded()
    split, patient = Split(), Split()
    for at in range(30):
        split.feed(stream[at : at + 1], lag=False)
        patient.feed(good[at : at + 1], lag=False)
    assert (split.heard.end, patient.heard.end) == (BREACH, None)
    split.feed(stream[30:] + ClientFrame(FIN | TEXT, b"more").encoded(), lag=False)
    assert split.heard == Heard(end=BREACH)


def test_odd_frames_are_counted() -> None:
    """Each fragment is one, however it was cut; whole frames are none."""
    splitter = Splitter()
    stream = ClientFrame(FIN | TEXT, b"whole").encoded() + ClientFrame(TEXT, b"a").encoded()
    splitter.feed(stream + ClientFrame(0, b"b" * 300).encoded()[:100])
    assert splitter.count_unparsed() == 2
    assert splitter.count_unparsed() == 0


def test_a_frame_that_is_too_long_to_keep_streams_through() -> None:
    """A frame over 64 KiB is handed on as it comes, so that nobody makes the splitter hold it."""
    stream = ClientFrame(FIN | BINARY, b"-" * (WHOLE_BYTES + 1)).encoded()
    splitter = Splitter()
    assert splitter.feed(stream[:100]) == ([], [], stream[:100])
    assert splitter.feed(stream[100:70_000]) == ([], [], stream[100:70_000])


def test_nothing_is_heard_after_a_close() -> None:
    """Once a client said goodbye, its bytes are nobody's business."""
    goodbye, more = ClientFrame(FIN | CLOSE, b"\x03\xe8").encoded(), ClientFrame(FIN | TEXT, b"and").encoded()
    splitter = Splitter()
    frames, controls, _ = splitter.feed(goodbye + more)
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
