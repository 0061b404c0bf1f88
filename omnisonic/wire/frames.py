"""Frames, sans-IO (RFC 6455 5): building the server's, and cutting the client's out of a stream of bytes.

The splitter knows the frames that nearly all traffic consists of: whole, masked, minimal, at most `WHOLE_BYTES` long.
It hands those over unmasked. Everything else (fragments, longer frames, anything that breaks the protocol) it does
not judge: those bytes come out as `odd`, for a full protocol engine. Order is kept: while a message is on that
detour, the data frames behind it take the detour as well, until `arrived` says that it is through.

What has begun and is not whole is counted, wherever its bytes are, so that somebody can put a limit to it.
"""

import codecs
import struct
from typing import Final, TypeAlias

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

WHOLE_BYTES: Final = 65_536
"""The longest payload that the splitter keeps until it is whole. What is longer is over the limit for a message."""
CONTROL_BYTES: Final = 125

_FIN: Final = 0x80
_MASKED: Final = 0x80
_DATA: Final = frozenset({_FIN | TEXT, _FIN | BINARY})
_CONTROL: Final = frozenset({_FIN | CLOSE, _FIN | PING, _FIN | PONG})


Frame: TypeAlias = tuple[int, bytes]
"""A whole frame from a client: its opcode and its unmasked payload."""


def header(opcode: int, size: int) -> bytes:
    """The head of an unmasked, unfragmented frame with a payload of `size` bytes."""
    if size < 126:
        return bytes((_FIN | opcode, size))
    if size < 65_536:
        return struct.pack("!BBH", _FIN | opcode, 126, size)
    return struct.pack("!BBQ", _FIN | opcode, 127, size)


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole unmasked frame, as a server sends it."""
    return header(opcode, len(payload)) + payload


TEXT_HEADERS: Final = [header(TEXT, size) for size in range(2048)]
"""The heads of text frames of the sizes that matter most, ready made."""


class Splitter:
    """Cuts one client's bytes into frames. Holds at most one incomplete frame of `WHOLE_BYTES`.

    `is_behind` is set when something is unfinished; whoever looks at `unfinished_bytes` then takes it back.
    """

    __slots__ = (
        "_closed", "_detour", "_detour_bytes", "_fragmented", "_held", "_needed", "_odd", "_partial", "_passing",
        "is_behind",
    )  # fmt: skip

    def __init__(self) -> None:
        self._held: bytearray | None = None
        self._needed = 0
        self._passing = 0
        self._detour: list[int] | tuple[()] = ()  # bytes of each message on it so far; most connections have none ever
        self._detour_bytes = 0
        self.is_behind = False
        self._odd = 0
        self._partial: _PartialText | None = None
        self._fragmented = False
        self._closed = False

    @property
    def on_slow_path(self) -> int:
        """How many messages came out as `odd` and have not arrived yet."""
        return len(self._detour)

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes have come of what is not whole yet, here or on its detour."""
        return self._detour_bytes + (0 if self._held is None else len(self._held))

    def arrived(self) -> None:
        """A message that came out as `odd` has been handed over by the protocol engine."""
        if self._detour:
            self._detour_bytes -= self._detour.pop(0)

    def give_up(self) -> None:
        """Drop what is unfinished. Whatever comes from now on is odd."""
        self._held, self._partial, self._passing = None, None, 0
        self._detour, self._detour_bytes = (), 0
        self._closed = True

    def count_unparsed(self) -> int:
        """How many frames came out as `odd` since this was last asked."""
        odd, self._odd = self._odd, 0
        return odd

    def feed(self, data: bytes) -> tuple[list[Frame], list[Frame], bytes]:
        """Take what was received; return the whole data frames, the whole control frames and the odd bytes.

        Each of the three is in order. A close frame comes last; what is behind it is dropped. After a breach of the
        protocol everything is odd.
        """
        if self._held is not None:
            self._held += data
            if len(self._held) < self._needed:
                return [], [], self._doomed(self._held)
            data, self._held, self._partial = bytes(self._held), None, None
        if self._closed:
            return [], [], data
        if self._passing:
            passing = min(self._passing, len(data))
            self._passing -= passing
            self._count(passing)
            frames, controls, odd = self._cut(data[passing:])
            return frames, controls, data[:passing] + odd
        return self._cut(data)

    def _cut(self, data: bytes) -> tuple[list[Frame], list[Frame], bytes]:
        """`feed` for `data` that begins with a frame."""
        frames: list[Frame] = []
        controls: list[Frame] = []
        total = len(data)
        at, odd, needed = 0, b"", 2
        while total - at >= 2:
            first, second = data[at], data[at + 1]
            if second < 254:
                size, body = second - 128, at + 6  # below zero without a mask, which a client must not omit
            else:
                size, body = _extended(data, at, second)
                if total < body:
                    needed = body - at
                    break
            end = body + size
            if first in _DATA and 0 <= size <= WHOLE_BYTES and not self._detour:
                if total < end:
                    needed = end - at
                    break
                mask = (data[body - 4 : body] * (size // 4 + 1))[:size]
                plain = int.from_bytes(data[body:end], "little") ^ int.from_bytes(mask, "little")
                frames.append((first & 0x0F, plain.to_bytes(size, "little")))
                at = end
            elif self._is_our_control(first, size):
                if total < end:
                    needed = end - at
                    break
                controls.append((first & 0x0F, _unmasked(data[body:end], data[body - 4 : body])))
                at = end
                if first == _FIN | CLOSE:
                    self._closed = True
                    return frames, controls, odd
            elif size >= 0 and self._may_leave_fast_path(first):
                odd += data[at:end]
                self._passing = max(end - total, 0)
                self._count(min(end, total) - at)
                at = min(end, total)
            else:
                self._closed = True
                return frames, controls, odd + data[at:]
        if at < total:
            self._held, self._needed, self.is_behind = bytearray(data[at:]), needed, True
        return frames, controls, odd

    def _doomed(self, held: bytearray) -> bytes:
        """The held frame, when it is text that is wrong already: the engine will fail it without the rest of it."""
        if held[0] != _FIN | TEXT:
            return b""
        self._partial = self._partial or _PartialText()
        if self._partial.may_be_utf8(held):
            return b""
        self._closed, self._held = True, None
        return bytes(held)

    def _is_our_control(self, first: int, size: int) -> bool:
        """Control frames may come between fragments, but a close must not overtake a message on its detour."""
        return first in _CONTROL and 0 <= size <= CONTROL_BYTES and not (self._detour and first == _FIN | CLOSE)

    def _may_leave_fast_path(self, first: int) -> bool:
        """Note a legal frame that is not ours. False when it ends the stream: a breach, or a close on the detour."""
        self._odd += 1
        opcode, final = first & 0x0F, bool(first & _FIN)
        starts = opcode in (TEXT, BINARY)
        if first & 0x70 or not (starts or opcode == CONTINUATION) or self._fragmented == starts:
            return False
        if starts:
            self._detour = self._detour or []
            self._detour.append(0)
            self.is_behind = True
        self._fragmented = not final
        return True

    def _count(self, size: int) -> None:
        """More bytes of the message that began last go on the detour."""
        if self._detour:
            self._detour[-1] += size
            self._detour_bytes += size


class _PartialText:
    """Looks at a text frame that comes slowly, each byte once, for what can no longer become UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._seen = 0

    def may_be_utf8(self, held: bytearray) -> bool:
        body = 6 if held[1] < 254 else 8 if held[1] == 254 else 14
        masked = held[body + self._seen :]
        if masked:
            turned = [held[body - 4 + (self._seen + i) % 4] for i in range(4)]
            self._seen += len(masked)
            try:
                self._decoder.decode(_unmasked(masked, bytes(turned)))
            except UnicodeDecodeError:
                return False
        return True


def _unmasked(masked: bytes | bytearray, key: bytes) -> bytes:
    """`masked` with its mask taken off (RFC 6455 5.3). `Splitter` does the same in place for most frames."""
    mask = (key * (len(masked) // 4 + 1))[: len(masked)]
    plain = int.from_bytes(masked, "little") ^ int.from_bytes(mask, "little")
    return plain.to_bytes(len(masked), "little")


def _extended(data: bytes, at: int, second: int) -> tuple[int, int]:
    """The payload's length and start in a frame that says its length in 2 or 8 bytes (RFC 6455 5.2).

    The length is below zero when a shorter form would have done, which the protocol forbids.
    """
    width, least = (2, 126) if second == 254 else (8, 65_536)
    size = int.from_bytes(data[at + 2 : at + 2 + width], "big")
    return (size if least <= size < 1 << 63 else -1), at + 6 + width
