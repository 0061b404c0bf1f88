"""Sounds and pictures to upload, made here: small, valid, and never the same twice unless asked."""

import array
import functools
import io
import math
import struct
import wave
import zlib
from typing import Final

RATE_HZ: Final = 44_100
FRAME_BYTES: Final = 4
FULL: Final = 32_767


def wav(seconds: float = 1.0, *, hz: float = 220.0) -> bytes:
    """A tone in stereo, 16 bits, swelling once a second."""
    frames = round(seconds * RATE_HZ)
    sound = _second(hz) * (frames // RATE_HZ + 1)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(sound[: frames * FRAME_BYTES])
    return file.getvalue()


@functools.cache
def _second(hz: float) -> bytes:
    frames = array.array("h")
    for frame in range(RATE_HZ):
        level = math.sin(math.pi * frame / RATE_HZ) * math.sin(2 * math.pi * hz * frame / RATE_HZ)
        frames.extend((round(FULL * 0.8 * level),) * 2)
    return frames.tobytes()


def seconds_of(size_bytes: int) -> float:
    """How long a `wav` of that size lasts."""
    return (size_bytes - 44) / (RATE_HZ * FRAME_BYTES)


def png() -> bytes:
    """A picture of one dot (PNG 3, 11.2)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00\x80")) + chunk(b"IEND", b"")
