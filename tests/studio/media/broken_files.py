"""Files as they come from programs that died, cards that were full, and lines that broke."""

import struct

import numpy as np
from numpy.typing import NDArray

TAG_BODY = 256
WAV_HZ = 48_000
PCM = bytes.fromhex("0100000000001000800000aa00389b71")
"""The identifier of samples without compression."""


def chunk(name: bytes, data: bytes, *, size: int | None = None, is_padded: bool = True) -> bytes:
    """A chunk of a WAV. `size`: what it says of itself, if that is not true."""
    pad = b"\0" if is_padded and len(data) % 2 else b""
    return name + struct.pack("<I", len(data) if size is None else size) + data + pad


def wav_of(*chunks: bytes) -> bytes:
    """A WAV of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extensible_wav(frames: "NDArray[np.int64]", *, bits: int, valid_bits: int, before: bytes = b"") -> bytes:
    """A WAV of these samples, a column for each channel, as WASAPI lays it out.

    Each sample takes `bits`; its valid bits are the upper ones. `before` are chunks in front of the format.
    """
    count, channels = frames.shape
    size = bits // 8
    data = (frames << (bits - valid_bits)).astype("<i8").view(np.uint8).reshape(count * channels, 8)[:, :size].tobytes()
    sizes = 0xFFFE, channels, WAV_HZ, WAV_HZ * channels * size, channels * size, bits, 22, valid_bits, 0
    form = struct.pack("<HHIIHHHHI", *sizes) + PCM
    return wav_of(before, chunk(b"fmt ", form), chunk(b"data", data))


def chunks_of(wav: bytes) -> tuple[bytes, bytes]:
    """The chunk that says what the samples are, and the samples."""
    form = wav.index(b"fmt ")
    data = wav.index(b"data")
    size = int.from_bytes(wav[form + 4 : form + 8], "little")
    return wav[form : form + 8 + size], wav[data + 8 :]


def tagged(data: bytes, size: int = TAG_BODY) -> bytes:
    """The same behind an ID3 tag of that size."""
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + length + bytes(size) + data
