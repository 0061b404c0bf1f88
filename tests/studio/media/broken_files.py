"""Files as they come from programs that died, cards that were full, and lines that broke."""

import struct

import numpy as np
from numpy.typing import NDArray

TAG_BODY = 256
WAV_HZ = 48_000
PCM = bytes.fromhex("0100000000001000800000aa00389b71")
"""The identifier of samples without compression."""
W64_RIFF = bytes.fromhex("2e91cf11a5d628db04c10000")
W64_NAME = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What follows the four letters of a W64, and of each of its chunks."""
W64_HEADER_BYTES = 24


def chunk(name: bytes, data: bytes, *, size: int | None = None, is_padded: bool = True) -> bytes:
    """A chunk of a WAV. `size`: what it says of itself, if that is not true."""
    pad = b"\0" if is_padded and len(data) % 2 else b""
    return name + struct.pack("<I", len(data) if size is None else size) + data + pad


def wav_of(*chunks: bytes) -> bytes:
    """A WAV of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def w64_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a W64. Its size counts its header, and the next one begins at a multiple of eight bytes."""
    return name + W64_NAME + struct.pack("<Q", W64_HEADER_BYTES + len(data)) + data + bytes(-len(data) % 8)


def w64_of(*chunks: bytes) -> bytes:
    """A W64 of these chunks."""
    body = b"wave" + W64_NAME + b"".join(chunks)
    return b"riff" + W64_RIFF + struct.pack("<Q", W64_HEADER_BYTES + len(body)) + body


def extensible_chunks(frames: "NDArray[np.int64]", *, bits: int, valid_bits: int) -> dict[bytes, bytes]:
    """The chunks of a WAV of these samples, a column for each channel, as WASAPI lays it out.

    Each sample takes `bits`; its valid bits are the upper ones.
    """
    count, channels = frames.shape
    size = bits // 8
    data = (frames << (bits - valid_bits)).astype("<i8").view(np.uint8).reshape(count * channels, 8)[:, :size].tobytes()
    sizes = 0xFFFE, channels, WAV_HZ, WAV_HZ * channels * size, channels * size, bits, 22, valid_bits, 0
    return {b"fmt ": struct.pack("<HHIIHHHHI", *sizes) + PCM, b"data": data}


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
