"""The client's end of frames, sans-IO (RFC 6455 5): cutting a server's bytes into messages, and masking one's own.

Nearly all that a room says are whole text frames, many in one read. Those cost a slice each. Fragments are put
together, control frames come out in their place. After a breach of the protocol, or a close, nothing more comes out.
"""

import os
import struct
from typing import Final

from omnisonic.wire.closing import CloseCode, Closing, is_valid_close_body
from omnisonic.wire.frames import BINARY, CLOSE, CONTINUATION, CONTROL_BYTES, PING, PONG, TEXT, Frame

LARGEST_BYTES: Final = 16_777_216
"""A longer message of a server is a breach. The longest that a gateway sends is the welcome to a full room."""

_FIN: Final = 0x80
_MASKED: Final = 0x80
_WHOLE: Final = frozenset({_FIN | TEXT, _FIN | BINARY})


class ServerSplitter:
    """Cuts one server's bytes into messages and control frames. Holds one incomplete message at most."""

    __slots__ = ("_held", "_message", "_needed", "_opcode", "_over", "_size", "breach")

    def __init__(self) -> None:
        self.breach: Closing | None = None
        """What the server did wrong, once it has: what to close with."""
        self._held = bytearray()
        self._needed = 0
        self._message: list[bytes] | None = None
        self._opcode = 0
        self._size = 0
        self._over = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take what was received; return each whole message and control frame (opcode and payload), in order."""
        if self._over:
            return []
        if self._held:
            self._held += data
            if len(self._held) < self._needed:
                return []
            data = bytes(self._held)
            self._held.clear()
        frames: list[Frame] = []
        add = frames.append
        at, total = 0, len(data)
        self._needed = 2
        while total - at >= 2:
            first, size = data[at], data[at + 1]
            body = at + 2
            if size > 125:
                size, body = self._long(data, at, size)
                if size < 0:
                    break
            end = body + size
            if end > total:
                self._needed = end - at
                break
            if first in _WHOLE and self._message is None:
                add((first & 0x0F, data[body:end]))
            elif not self._other(first, data[body:end], frames):
                break
            at = end
        if at < total and not self._over:
            self._held += data[at:]
        return frames

    def _long(self, data: bytes, at: int, size: int) -> tuple[int, int]:
        """Length and start of a payload of over 125 bytes; a length below zero when it is not known yet, or wrong."""
        if size & _MASKED:
            return self._wrong("a server must not mask"), 0
        width, least = (2, 126) if size == 126 else (8, 65_536)
        body = at + 2 + width
        if len(data) < body:
            self._needed = body - at
            return -1, 0
        size = int.from_bytes(data[at + 2 : body], "big")
        if size < least:
            return self._wrong("a length must be as short as it can"), 0
        if size > LARGEST_BYTES:
            return self._wrong("the message is too long", CloseCode.TOO_BIG), 0
        return size, body

    def _other(self, first: int, payload: bytes, frames: list[Frame]) -> bool:
        """Take a frame that is no whole message. False when nothing may come after it."""
        opcode, final = first & 0x0F, bool(first & _FIN)
        if first & 0x70:
            self._wrong("no extension was agreed on")
        elif opcode in (CLOSE, PING, PONG):
            if not final or len(payload) > CONTROL_BYTES:
                self._wrong("a control frame must be short and whole")
            elif opcode == CLOSE and not is_valid_close_body(payload):
                self._wrong("invalid close frame")
            else:
                frames.append((opcode, payload))
                self._over = opcode == CLOSE
        elif opcode == CONTINUATION and self._message is not None:
            self._continue(payload, final, frames)
        elif opcode in (TEXT, BINARY) and self._message is None:
            self._opcode, self._message, self._size = opcode, [], 0
            self._continue(payload, final, frames)
        else:
            self._wrong("a frame of this kind cannot come here")
        return not self._over

    def _continue(self, payload: bytes, final: bool, frames: list[Frame]) -> None:
        assert self._message is not None
        self._message.append(payload)
        self._size += len(payload)
        if self._size > LARGEST_BYTES:
            self._wrong("the message is too long", CloseCode.TOO_BIG)
        elif final:
            frames.append((self._opcode, b"".join(self._message)))
            self._message = None

    def _wrong(self, reason: str, code: CloseCode = CloseCode.PROTOCOL_ERROR) -> int:
        self.breach, self._over = Closing(code, reason), True
        return -1


def masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it, masked with a key that nobody can foresee (RFC 6455 5.3)."""
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
