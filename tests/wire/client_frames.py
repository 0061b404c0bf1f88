"""Random client frames, valid and invalid, for tests, and the ways a stream of them may arrive in chunks."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from typing import Final

from hypothesis import strategies as st

from omnisonic.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

FIN: Final = 0x80
SIZES: Final = (0, 1, 2, 5, 60, 124, 125, 126, 127, 300)
LARGE_SIZES: Final = (65_535, 65_536, 65_537)
CHARACTERS: Final = ("a", "é", "€", "🎸")


@dataclass(frozen=True)
class ClientFrame:
    """One frame as a client may write it. `form` forces the length's form: 7, 16 or 64 bits; 0 is the shortest."""

    first: int
    payload: bytes = b""
    mask: bytes | None = b"\x11\xf2\x03\x84"
    form: int = 0
    high_bit: bool = False

    def encode(self) -> bytes:
        """The bytes on the wire."""
        size = len(self.payload)
        masked = 0 if self.mask is None else 0x80
        form = self.form or (7 if size < 126 else 16 if size < 65_536 else 64)
        if form == 7:
            head = struct.pack("!BB", self.first, masked | size)
        elif form == 16:
            head = struct.pack("!BBH", self.first, masked | 126, size)
        else:
            head = struct.pack("!BBQ", self.first, masked | 127, size | self.high_bit << 63)
        return head + (self.mask or b"") + self._mask_payload()

    def _mask_payload(self) -> bytes:
        if self.mask is None:
            return self.payload
        size = len(self.payload)
        mask = (self.mask * (size // 4 + 1))[:size]
        return (int.from_bytes(self.payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def text_of(size: int, character: str) -> bytes:
    """`size` bytes of UTF-8 that end with this character, when it fits."""
    last = character.encode()
    return b"-" * size if len(last) > size else b"-" * (size - len(last)) + last


def bytes_of(size: int, first: int) -> bytes:
    """`size` bytes, of all values in turn."""
    return (bytes(range(256)) * (size // 256 + 2))[first : first + size]


masks: Final = st.binary(min_size=4, max_size=4)
sizes: Final = st.one_of(st.sampled_from(SIZES), st.sampled_from(SIZES + LARGE_SIZES))
texts: Final = st.builds(text_of, sizes, st.sampled_from(CHARACTERS))
binaries: Final = st.builds(bytes_of, sizes, st.integers(0, 255))
pings: Final = st.builds(ClientFrame, st.sampled_from((FIN | PING, FIN | PONG)), st.binary(max_size=125), mask=masks)
closes: Final = st.builds(
    lambda code, reason, mask: ClientFrame(FIN | CLOSE, struct.pack("!H", code) + reason[:40].encode(), mask),
    st.sampled_from((1000, 1001, 1002, 1003, 1007, 1013, 3000, 4000, 4999)),
    st.text(max_size=20, alphabet="aé€"),
    masks,
)


@st.composite
def messages(draw: st.DrawFn) -> list[ClientFrame]:
    """One message: usually a frame, otherwise fragments with control frames between them."""
    is_text = draw(st.booleans())
    payload = draw(texts if is_text else binaries)
    opcode = TEXT if is_text else BINARY
    cuts = sorted(draw(st.one_of(st.just([]), st.lists(st.integers(0, len(payload)), max_size=3))))
    edges = [0, *cuts, len(payload)]
    frames: list[ClientFrame] = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        final = FIN if number == len(cuts) else 0
        frames.append(ClientFrame((CONTINUATION if number else opcode) | final, payload[start:stop], draw(masks)))
        if not final:
            frames += draw(st.lists(pings, max_size=1))
    return frames


VIOLATIONS: Final = (
    [ClientFrame(FIN | TEXT, b"no mask", mask=None)],
    [ClientFrame(FIN | TEXT, b"-" * 200, mask=None)],
    [ClientFrame(FIN | 0x40 | TEXT, b"first reserved bit")],
    [ClientFrame(FIN | 0x10 | BINARY, b"last reserved bit")],
    [ClientFrame(FIN | 0x20 | PING, b"a reserved bit on a ping")],
    *([ClientFrame(FIN | opcode, b"unknown opcode")] for opcode in (3, 7, 0xB, 0xF)),
    [ClientFrame(PING, b"a fragment of a ping")],
    [ClientFrame(CLOSE, struct.pack("!H", 1000))],
    [ClientFrame(FIN | PING, b"-" * 126)],
    [ClientFrame(FIN | PONG, b"-" * 65_536)],
    [ClientFrame(FIN | CLOSE, struct.pack("!H", 1000) + b"-" * 124)],
    [ClientFrame(FIN | TEXT, b"-" * 125, form=16)],
    [ClientFrame(FIN | TEXT, b"-" * 126, form=64)],
    [ClientFrame(FIN | BINARY, b"-" * 65_535, form=64)],
    [ClientFrame(FIN | PING, b"", form=16)],
    [ClientFrame(FIN | TEXT, b"-" * 65_536, form=64, high_bit=True)],
    [ClientFrame(FIN | CONTINUATION, b"of nothing")],
    [ClientFrame(TEXT, b"one message "), ClientFrame(FIN | TEXT, b"in another")],
    [ClientFrame(BINARY, b"one message "), ClientFrame(BINARY, b"in another")],
    [ClientFrame(FIN | TEXT, b"bad \xff utf-8")],
    [ClientFrame(FIN | TEXT, b"cut \xe2\x82")],
    [ClientFrame(TEXT, b"bad \xc0"), ClientFrame(FIN | CONTINUATION, b"\xaf utf-8")],
    [ClientFrame(TEXT, b"cut \xe2\x82"), ClientFrame(FIN | CONTINUATION, b"")],
    [ClientFrame(FIN | CLOSE, b"\x03")],
    *([ClientFrame(FIN | CLOSE, struct.pack("!H", code))] for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)),
    [ClientFrame(FIN | CLOSE, struct.pack("!H", 1000) + b"\xff")],
)  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> list[ClientFrame]:
    """Valid messages, then perhaps a close or a protocol violation, then perhaps more, which must be ignored."""
    parts: list[list[ClientFrame]] = draw(st.lists(st.one_of(messages(), pings.map(lambda ping: [ping])), max_size=6))
    end = draw(st.one_of(st.none(), closes.map(lambda close: [close]), st.sampled_from(VIOLATIONS)))
    if end is not None:
        parts.append(end)
        parts += draw(st.lists(messages(), max_size=2))
    return [frame for part in parts for frame in part]


@st.composite
def wild_frames(draw: st.DrawFn) -> list[ClientFrame]:
    """Frames with random headers and length forms."""
    firsts = st.one_of(st.sampled_from((TEXT, FIN, FIN | TEXT, FIN | BINARY, FIN | PING)), st.integers(0, 255))
    payloads = st.one_of(st.binary(max_size=130), texts)
    plain = draw(st.lists(st.builds(ClientFrame, firsts, payloads, mask=masks), min_size=1, max_size=8))
    form = draw(st.sampled_from((0, 0, 16, 64)))
    return [replace(frame, form=form) if form and len(frame.payload) < 65_536 else frame for frame in plain]


def in_chunks(stream: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The stream in chunks of these sizes, in turn; about a hundred chunks at most."""
    least = len(stream) // 100
    at = 0
    for size in cycle(cuts):
        if at >= len(stream):
            return
        step = max(size, least)
        yield stream[at : at + step]
        at += step
