"""A WAV that was written before its length was known gets it into its header (`streamed_wav`)."""

import struct
from collections.abc import AsyncIterator

from omnisonic.studio.uploads.streamed_wav import MOST_HEADER_BYTES, UNKNOWN, fill_sizes, with_known_length


def header(*, riff: int = UNKNOWN, data: int = UNKNOWN, before: bytes = b"") -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 48_000, 144_000, 3, 24)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + before + form + struct.pack("<4sI", b"data", data)


def test_sizes_that_were_not_known_are_filled_in() -> None:
    """Both of them, also behind a chunk of odd length."""
    for before in (b"", struct.pack("<4sI3sx", b"JUNK", 3, b"odd")):
        whole = len(header(before=before)) + 600
        assert fill_sizes(header(before=before), whole) == header(before=before, riff=whole - 8, data=600)


def test_the_byte_that_makes_a_chunk_even_is_no_sound() -> None:
    """99 frames of three bytes: the chunk is 297 bytes long, and one byte follows it."""
    whole = len(header()) + 298
    assert fill_sizes(header(), whole) == header(riff=whole - 8, data=297)


def test_every_other_file_stays_as_it_is() -> None:
    """A length that was said, though it is wrong; no WAV; a header that goes on for ever, or ends early."""
    known = (header(riff=1000), header(data=1000), b"RIFX" + header()[4:], b"\xff" * 99, header()[:20], b"", b"RIFF")
    for head in known:
        assert fill_sizes(head, 644) == head
    assert fill_sizes(header(), 2**32 + 8) == header()
    lost = header(before=struct.pack("<4sI", b"JUNK", UNKNOWN))
    assert fill_sizes(lost, 10_000) == lost


async def test_it_is_done_while_the_file_passes() -> None:
    """Whatever blocks it comes in."""
    sound = bytes(range(256)) * (3 * MOST_HEADER_BYTES // 256)
    size = len(header()) + len(sound)

    async def blocks(step: int) -> AsyncIterator[bytes]:
        for at in range(0, size, step):
            yield (header() + sound)[at : at + step]

    for step in (1000, size):
        passed = b"".join([block async for block in with_known_length(blocks(step), size)])
        assert passed == header(riff=size - 8, data=len(sound)) + sound
