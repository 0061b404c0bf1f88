"""WebSocket frames of the client: parsing a server's bytes into messages, and masking its own (RFC 6455 5). Sans-IO.

Nearly all that a room sends are whole text frames, many in one read; each costs one slice. Fragments are put together,
and control frames come out between them. After a protocol violation, or a close, nothing more comes out.
Overload: a message over `LARGEST_BYTES` is a violation (1009).
"""

import os
import struct
from typing import Final

from omnisonic.wire.closing import CloseCode, Closing, is_valid_close_body
from omnisonic.wire.frames import BINARY, CLOSE, CONTINUATION, CONTROL_BYTES, PING, PONG, TEXT, Frame

LARGEST_BYTES: Final = 16_777_216
"""A longer message is a protocol violation. The longest that a gateway sends is the welcome to a full room."""

_FIN: Final = 0x80
_MASKED: Final = 0x80
_WHOLE: Final = frozenset({_FIN | TEXT, _FIN | BINARY})


class ServerSplitter:
    """Parses one server's bytes into messages and control frames. Buffers at most one incomplete message."""

    __slots__ = ("_buffer", "_ended", "_message", "_needed", "_opcode", "_size", "violation")

    def __init__(self) -> None:
        self.violation: Closing | None = None
        """The server's protocol violation, as the close to answer it with; None so far."""
        self._buffer = bytearray()
        self._needed = 0
        self._message: list[bytes] | None = None
        self._opcode = 0
        self._size = 0
        self._ended = False

    def feed(self, data: bytes) -> list[Frame]:
        """Parse received bytes. Never raises; a protocol violation is noted in `violation`.

        Returns:
            Each whole message and control frame, in order. A close is the last one.
        """
        if self._ended:
            return []
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        frames: list[Frame] = []
        add = frames.append
        at, total = 0, len(data)
        self._needed = 2
        while total - at >= 2:
            first, size = data[at], data[at + 1]
            body = at + 2
            if size > 125:
                size, body = self._read_length(data, at, size)
                if size < 0:
                    break
            end = body + size
            if end > total:
                self._needed = end - at
                break
            if first in _WHOLE and self._message is None:
                add((first & 0x0F, data[body:end]))
            elif not self._take_frame(first, data[body:end], frames):
                break
            at = end
        if at < total and not self._ended:
            self._buffer += data[at:]
        return frames

    def _read_length(self, data: bytes, at: int, size: int) -> tuple[int, int]:
        """The length and start of a payload of over 125 bytes. The length is -1 when it is incomplete, or wrong."""
        if size & _MASKED:
            return self._fail("a server must not mask"), 0
        width, least = (2, 126) if size == 126 else (8, 65_536)
        body = at + 2 + width
        if len(data) < body:
            self._needed = body - at
            return -1, 0
        size = int.from_bytes(data[at + 2 : body], "big")
        if size < least:
            return self._fail("a length must be as short as it can"), 0
        if size > LARGEST_BYTES:
            return self._fail("the message is too long", CloseCode.TOO_BIG), 0
        return size, body

    def _take_frame(self, first: int, payload: bytes, frames: list[Frame]) -> bool:
        """Take a frame that is not a whole message. False when nothing may come after it."""
        opcode, final = first & 0x0F, bool(first & _FIN)
        if first & 0x70:
            self._fail("no extension was agreed on")
        elif opcode in (CLOSE, PING, PONG):
            if not final or len(payload) > CONTROL_BYTES:
                self._fail("a control frame must be short and whole")
            elif opcode == CLOSE and not is_valid_close_body(payload):
                self._fail("invalid close frame")
            else:
                frames.append((opcode, payload))
                self._ended = opcode == CLOSE
        elif opcode == CONTINUATION and self._message is not None:
            self._add_fragment(payload, final, frames)
        elif opcode in (TEXT, BINARY) and self._message is None:
            self._opcode, self._message, self._size = opcode, [], 0
            self._add_fragment(payload, final, frames)
        else:
            self._fail("a frame of this kind cannot come here")
        return not self._ended

    def _add_fragment(self, payload: bytes, final: bool, frames: list[Frame]) -> None:
        assert self._message is not None
        self._message.append(payload)
        self._size += len(payload)
        if self._size > LARGEST_BYTES:
            self._fail("the message is too long", CloseCode.TOO_BIG)
        elif final:
            frames.append((self._opcode, b"".join(self._message)))
            self._message = None

    def _fail(self, reason: str, code: CloseCode = CloseCode.PROTOCOL_ERROR) -> int:
        self.violation, self._ended = Closing(code, reason), True
        return -1


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it, masked with a fresh, unpredictable key (RFC 6455 5.3)."""
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 65_536:
        head = struct.pack("!BBH", _FIN | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FIN | opcode, _MASKED | 127, size)
    key = os.urandom(4)
    mask = (key * (size // 4 + 1))[:size]
    plain = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return head + key + plain.to_bytes(size, "little")
