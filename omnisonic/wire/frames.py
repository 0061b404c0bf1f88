"""WebSocket frames of the server: writing its own, and parsing a client's bytes (RFC 6455 5). Sans-IO.

Nearly all traffic is whole, masked frames of at most `WHOLE_BYTES` with a minimal length field. `Splitter` parses and
unmasks those itself: the fast path. All other bytes (fragments, longer frames, protocol violations) it
returns unparsed, for a full protocol engine: the slow path. Order is kept. While a message is on the slow path, the
data frames behind it take the slow path too, until `complete_unparsed` says that the engine has delivered it.

Overload: `Splitter` counts the bytes of every message that has begun and is not whole, on both paths, so that the
connection can limit them. After a protocol violation it returns everything unparsed, and the engine reports it.
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
"""Longest payload that the splitter buffers until it is whole. A longer one is over the limit for a message."""
CONTROL_BYTES: Final = 125
"""Longest payload of a control frame (RFC 6455 5.5)."""

_FIN: Final = 0x80
_MASKED: Final = 0x80
_DATA: Final = frozenset({_FIN | TEXT, _FIN | BINARY})
_CONTROL: Final = frozenset({_FIN | CLOSE, _FIN | PING, _FIN | PONG})


Frame: TypeAlias = tuple[int, bytes]
"""A whole frame from a client: its opcode and its unmasked payload."""


def header(opcode: int, size: int) -> bytes:
    """The header of an unmasked, unfragmented frame with a payload of `size` bytes (RFC 6455 5.2)."""
    if size < 126:
        return bytes((_FIN | opcode, size))
    if size < 65_536:
        return struct.pack("!BBH", _FIN | opcode, 126, size)
    return struct.pack("!BBQ", _FIN | opcode, 127, size)


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole unmasked frame, as a server sends it."""
    return header(opcode, len(payload)) + payload


TEXT_HEADERS: Final = [header(TEXT, size) for size in range(2048)]
"""Ready-made headers of text frames, by the size of their payload, for the most common sizes."""


class Splitter:
    """Parses one client's bytes into frames. Buffers at most one incomplete frame of `WHOLE_BYTES`.

    `has_unfinished` is set when a message has begun and is not whole. The caller clears it, after it looked at
    `unfinished_bytes`.
    """

    __slots__ = (
        "_buffer", "_closed", "_forward_bytes", "_fragmented", "_needed", "_partial_text", "_slow_path_bytes",
        "_slow_path_sizes", "_unparsed_frames", "has_unfinished",
    )  # fmt: skip

    def __init__(self) -> None:
        self._buffer: bytearray | None = None
        self._needed = 0  # length of the buffer from which on parsing makes sense
        self._forward_bytes = 0  # rest of a frame on the slow path
        self._slow_path_sizes: list[int] | tuple[()] = ()  # bytes of each message there; most clients never have one
        self._slow_path_bytes = 0
        self.has_unfinished = False
        self._unparsed_frames = 0
        self._partial_text: _PartialText | None = None
        self._fragmented = False
        self._closed = False

    @property
    def on_slow_path(self) -> int:
        """How many messages came out unparsed and are not delivered yet."""
        return len(self._slow_path_sizes)

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes have arrived of messages that are not whole yet, on both paths."""
        return self._slow_path_bytes + (0 if self._buffer is None else len(self._buffer))

    def complete_unparsed(self) -> None:
        """Note that the protocol engine has delivered the oldest message on the slow path."""
        if self._slow_path_sizes:
            self._slow_path_bytes -= self._slow_path_sizes.pop(0)

    def stop_parsing(self) -> None:
        """Drop what is unfinished. Everything that is fed from now on comes out unparsed."""
        self._buffer, self._partial_text, self._forward_bytes = None, None, 0
        self._slow_path_sizes, self._slow_path_bytes = (), 0
        self._closed = True

    def count_unparsed(self) -> int:
        """How many frames came out unparsed since the last call."""
        frames, self._unparsed_frames = self._unparsed_frames, 0
        return frames

    def feed(self, data: bytes) -> tuple[list[Frame], list[Frame], bytes]:
        """Parse received bytes. Never raises.

        Returns:
            The whole data frames, the whole control frames, and the unparsed bytes, each in order. A close frame is the
            last control frame; bytes behind it are dropped. After a protocol violation all bytes are unparsed.
        """
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return [], [], self._fail_early(self._buffer)
            data, self._buffer, self._partial_text = bytes(self._buffer), None, None
        if self._closed:
            return [], [], data
        if self._forward_bytes:
            forwarded = min(self._forward_bytes, len(data))
            self._forward_bytes -= forwarded
            self._count_slow_path(forwarded)
            frames, controls, unparsed = self._parse(data[forwarded:])
            return frames, controls, data[:forwarded] + unparsed
        return self._parse(data)

    def _parse(self, data: bytes) -> tuple[list[Frame], list[Frame], bytes]:
        """`feed` for `data` that begins at the start of a frame."""
        frames: list[Frame] = []
        controls: list[Frame] = []
        total = len(data)
        at, unparsed, needed = 0, b"", 2
        while total - at >= 2:
            first, second = data[at], data[at + 1]
            if second < 254:
                size, body = second - 128, at + 6  # below zero without a mask, which a client must not omit
            else:
                size, body = _read_extended_length(data, at, second)
                if total < body:
                    needed = body - at
                    break
            end = body + size
            if first in _DATA and 0 <= size <= WHOLE_BYTES and not self._slow_path_sizes:
                if total < end:
                    needed = end - at
                    break
                mask = (data[body - 4 : body] * (size // 4 + 1))[:size]
                plain = int.from_bytes(data[body:end], "little") ^ int.from_bytes(mask, "little")
                frames.append((first & 0x0F, plain.to_bytes(size, "little")))
                at = end
            elif self._is_fast_control(first, size):
                if total < end:
                    needed = end - at
                    break
                controls.append((first & 0x0F, _unmask(data[body:end], data[body - 4 : body])))
                at = end
                if first == _FIN | CLOSE:
                    self._closed = True
                    return frames, controls, unparsed
            elif size >= 0 and self._enter_slow_path(first):
                unparsed += data[at:end]
                self._forward_bytes = max(end - total, 0)
                self._count_slow_path(min(end, total) - at)
                at = min(end, total)
            else:
                self._closed = True
                return frames, controls, unparsed + data[at:]
        if at < total:
            self._buffer, self._needed, self.has_unfinished = bytearray(data[at:]), needed, True
        return frames, controls, unparsed

    def _fail_early(self, buffer: bytearray) -> bytes:
        """Return the buffered frame, unparsed, once it is text that cannot become UTF-8 (RFC 6455 8.1); else nothing.

        The engine then fails the connection without the rest of the frame.
        """
        if buffer[0] != _FIN | TEXT:
            return b""
        self._partial_text = self._partial_text or _PartialText()
        if self._partial_text.may_be_utf8(buffer):
            return b""
        self._closed, self._buffer = True, None
        return bytes(buffer)

    def _is_fast_control(self, first: int, size: int) -> bool:
        """Whether to parse this control frame here. A close must not overtake a message on the slow path."""
        overtakes = first == _FIN | CLOSE and self._slow_path_sizes
        return first in _CONTROL and 0 <= size <= CONTROL_BYTES and not overtakes

    def _enter_slow_path(self, first: int) -> bool:
        """Count a frame that is not for the fast path.

        False when nothing may be parsed after it: a protocol violation, or a close behind a message on the slow path.
        """
        self._unparsed_frames += 1
        opcode, final = first & 0x0F, bool(first & _FIN)
        starts = opcode in (TEXT, BINARY)
        if first & 0x70 or not (starts or opcode == CONTINUATION) or self._fragmented == starts:
            return False
        if starts:
            self._slow_path_sizes = self._slow_path_sizes or []
            self._slow_path_sizes.append(0)
            self.has_unfinished = True
        self._fragmented = not final
        return True

    def _count_slow_path(self, size: int) -> None:
        """Add bytes to the newest message on the slow path."""
        if self._slow_path_sizes:
            self._slow_path_sizes[-1] += size
            self._slow_path_bytes += size


class _PartialText:
    """Checks a text frame that arrives slowly for UTF-8, each byte once."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._seen = 0

    def may_be_utf8(self, buffer: bytearray) -> bool:
        body = 6 if buffer[1] < 254 else 8 if buffer[1] == 254 else 14
        masked = buffer[body + self._seen :]
        if masked:
            key = [buffer[body - 4 + (self._seen + i) % 4] for i in range(4)]
            self._seen += len(masked)
            try:
                self._decoder.decode(_unmask(masked, bytes(key)))
            except UnicodeDecodeError:
                return False
        return True


def _unmask(masked: bytes | bytearray, key: bytes) -> bytes:
    """Take the mask off (RFC 6455 5.3). `Splitter` has the same code inline for most frames."""
    mask = (key * (len(masked) // 4 + 1))[: len(masked)]
    plain = int.from_bytes(masked, "little") ^ int.from_bytes(mask, "little")
    return plain.to_bytes(len(masked), "little")


def _read_extended_length(data: bytes, at: int, second: int) -> tuple[int, int]:
    """The length and start of a payload whose length takes 2 or 8 bytes (RFC 6455 5.2).

    The length is -1 when it is not minimal, or has its highest bit set; the protocol forbids both.
    """
    width, least = (2, 126) if second == 254 else (8, 65_536)
    size = int.from_bytes(data[at + 2 : at + 2 + width], "big")
    return (size if least <= size < 1 << 63 else -1), at + 6 + width
