"""Files in chunks (WAV, RF64, W64, AIFF, CAF), as far as FFmpeg takes them too literally or says too little. Blocking.

Nothing is decoded. A file is walked from chunk to chunk up to its samples, at most `MOST_CHUNKS`. Two things are found:
a chunk of an odd size that was written without the byte that must follow it, behind which FFmpeg loses its way; and
samples that were cut off, of which FFmpeg does not tell.
"""

import struct
from typing import BinaryIO, Final, NamedTuple

from omnisonic.studio.media.file_parts import Part, read_at, size_of

MOST_CHUNKS: Final = 1_000
UNKNOWN_SIZES: Final = (-1, 0, 0xFFFF_FFFF)
"""What programs write that do not know the size yet, and RF64, which has it elsewhere."""
KNOWN: Final = (
    b"data",
    b"fmt ",
    b"fact",
    b"LIST",
    b"bext",
    b"cue ",
    b"smpl",
    b"inst",
    b"iXML",
    b"id3 ",
    b"ID3 ",
    b"JUNK",
)
"""Chunks that follow others in a WAV."""


class Kind(NamedTuple):
    """How such a file is written: where its first chunk is, the header of each, and which one has the samples."""

    first: int
    header: struct.Struct
    samples: bytes
    is_padded: bool = True


WAV: Final = Kind(12, struct.Struct("<4sI"), b"data")
AIFF: Final = Kind(12, struct.Struct(">4sI"), b"SSND")
CAF: Final = Kind(8, struct.Struct(">4sq"), b"data", is_padded=False)
W64: Final = b"riff"
W64_SIZE: Final = struct.Struct("<16xQ")
"""Of the whole file, behind the identifier of its kind."""
KINDS: Final = {b"RIFF": WAV, b"RF64": WAV, b"BW64": WAV, b"FORM": AIFF, b"caff": CAF}


class Walk(NamedTuple):
    """The parts of the file that make one that can be read, and how much of its samples is there: 1 for all."""

    parts: list[Part | bytes]
    share: float


def walk(file: BinaryIO, begin: int = 0) -> Walk:
    """Walk the file that begins there; of another kind, it is whole."""
    size = size_of(file)
    kind = KINDS.get(read_at(file, begin, 4))
    parts = list[Part | bytes]()
    if kind is None:
        return Walk([Part(begin, size)], _share_of_w64(file, begin, size))
    at = begin + kind.first
    for _ in range(MOST_CHUNKS):
        header = read_at(file, at, kind.header.size)
        if len(header) < kind.header.size:
            break
        name, length = kind.header.unpack(header)
        body = at + kind.header.size
        if name == kind.samples:
            is_said = length not in UNKNOWN_SIZES and length > size - body
            return Walk([*parts, Part(begin, size)], (size - body) / length if is_said else 1.0)
        if length < 0:
            break
        at = body + length
        if kind.is_padded and length % 2:
            if kind is WAV and read_at(file, at, 4) in KNOWN and read_at(file, at + 1, 4) not in KNOWN:
                parts += [Part(begin, at), b"\0"]
                begin = at
            else:
                at += 1
    return Walk([*parts, Part(begin, size)], 1.0)


def _share_of_w64(file: BinaryIO, begin: int, size: int) -> float:
    """How much of it is there, if it is one."""
    header = read_at(file, begin, W64_SIZE.size)
    if not header.startswith(W64) or len(header) < W64_SIZE.size:
        return 1.0
    (length,) = W64_SIZE.unpack(header)
    return min((size - begin) / length, 1.0) if length else 1.0
