"""Puts the length into the header of a WAV that was written before its length was known. Pure.

A program that records writes the header before the sound. RIFF has 0xFFFFFFFF for the sizes then, which means "until
the end". Most programs read such a file, not all. Once the upload is complete its length is known, so the two sizes are
written into the header. Nothing else changes, and any other file passes as it is.
"""

import struct
from collections.abc import AsyncIterator
from typing import Final

UNKNOWN: Final = 0xFFFF_FFFF
"""The size of a chunk of RIFF whose length was not known when it was written."""
MOST_HEADER_BYTES: Final = 65_536
"""How far into the file its sound may begin. Headers of recorders have less than 1 KiB."""
_RIFF: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_FRAME_BYTES: Final = struct.Struct("<H")
_FRAME_BYTES_AT: Final = 12
"""Where in the `fmt ` chunk it is."""


async def with_known_length(blocks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The `blocks` of a file of `size` bytes, with its length in its header where that was not known."""
    head = b""
    while len(head) < min(size, MOST_HEADER_BYTES) and (block := await anext(blocks, b"")):
        head += block
    yield fill_sizes(head, size)
    async for block in blocks:
        yield block


def fill_sizes(head: bytes, size: int) -> bytes:
    """Fill the sizes that were unknown in `head`, which begins a file of `size` bytes. Other files stay as they are.

    The sound has whole frames. What is left at the end, less than a frame, is the byte that makes a chunk even.
    """
    if len(head) < _RIFF.size or size - _CHUNK.size >= UNKNOWN:
        return head
    name, riff_bytes, form = _RIFF.unpack_from(head)
    if (name, form, riff_bytes) != (b"RIFF", b"WAVE", UNKNOWN):
        return head
    at, frame_bytes = _RIFF.size, 1
    while at + _CHUNK.size <= len(head):
        name, chunk_bytes = _CHUNK.unpack_from(head, at)
        begin = at + _CHUNK.size
        if name == b"fmt " and begin + _FRAME_BYTES_AT + _FRAME_BYTES.size <= len(head):
            (frame_bytes,) = _FRAME_BYTES.unpack_from(head, begin + _FRAME_BYTES_AT)
        if name == b"data" and chunk_bytes == UNKNOWN:
            filled = bytearray(head)
            _RIFF.pack_into(filled, 0, b"RIFF", size - _CHUNK.size, b"WAVE")
            sound_bytes = size - begin
            _CHUNK.pack_into(filled, at, b"data", sound_bytes - sound_bytes % max(1, frame_bytes))
            return bytes(filled)
        at = begin + chunk_bytes + chunk_bytes % 2  # chunks begin at even places
    return head
