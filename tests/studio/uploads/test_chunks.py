"""Where a body is cut into chunks (`omnisonic.studio.uploads.chunks`), by a clock that goes only when it is waited."""

import base64
import hashlib
import math
from typing import Final

import pytest

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.studio.uploads.chunks import (
    CHUNK_BYTES,
    CHUNK_S,
    SILENCE_S,
    Body,
    Checksum,
    ChecksumMismatch,
    Chunks,
    ChunkTooLong,
)

MB: Final = 2**20
NEVER: Final = math.inf


class Line:
    """Brings chunks, each when it is time, and in the end nothing more, or `problem`."""

    def __init__(self, *chunks: tuple[float, bytes], problem: OmnisonicError | None = None) -> None:
        self.now_s = 0.0
        self.problem = problem
        self._chunks = list(chunks)

    def clock(self) -> float:
        return self.now_s

    async def read(self, until_s: float) -> bytes | None:
        at_s, chunk = self._chunks[0] if self._chunks else (self.now_s, b"")
        if at_s > until_s:
            self.now_s = max(self.now_s, until_s)
            return None
        self.now_s = max(self.now_s, at_s)
        if not self._chunks and self.problem is not None:
            raise self.problem
        del self._chunks[:1]
        return chunk


async def cut(line: Line, room: int, checksum: Checksum | None = None) -> tuple[list[tuple[float, int]], Chunks]:
    """When each chunk ended, and its size; and the splitter in the end."""

    async def patient() -> None:
        waited.append(line.now_s)

    waited: list[float] = []
    chunks, found = Chunks(Body(line.read, None, checksum), room, line.clock), []
    while await chunks.wait_for_next(patient):
        size = sum([len(block) async for block in chunks.blocks()])
        assert size == chunks.size
        found.append((line.now_s, size))
    return found, chunks


async def test_a_chunk_ends_when_nothing_more_comes_for_a_moment() -> None:
    """The next one begins with the next chunk, however long that takes; the clients' last word ends the last one."""
    found, chunks = await cut(Line((0, b"a"), (0.9, b"b"), (60, b"c"), (60.5, b"d")), 10)
    assert found == [(0.9 + SILENCE_S, 2), (60.5, 2)]
    assert (chunks.is_over, chunks.is_whole, chunks.interruption) == (True, False, None)


async def test_a_chunk_ends_after_some_seconds_though_more_keeps_coming() -> None:
    """The chunk that comes then is the next one's."""
    found, chunks = await cut(Line(*((step / 2, b"x") for step in range(15))), 15)
    assert found == [(CHUNK_S, 10), (7.0, 5)]
    assert chunks.is_whole


async def test_a_chunk_ends_before_it_is_too_large() -> None:
    """Nothing is lost or cut."""
    found, _ = await cut(Line(*((0, bytes(MB)) for _ in range(100))), 100 * MB)
    assert [size for _, size in found] == [CHUNK_BYTES, 100 * MB - CHUNK_BYTES]


async def test_once_all_has_come_the_chunk_waits_for_the_end_of_the_body() -> None:
    """However long: a full offset is answered only by the step that finishes the upload."""
    found, chunks = await cut(Line((0, b"abc"), (30, b"")), 3)
    assert found == [(30, 3)]
    assert chunks.is_whole


async def test_with_a_checksum_all_is_one_chunk() -> None:
    """However long it takes, or how large it is."""
    data = bytes(MB)
    digest = hashlib.sha1(data * 100, usedforsecurity=False).digest()
    checksum = Checksum(f"sha1 {base64.b64encode(digest).decode()}")
    found, _ = await cut(Line(*((step, data) for step in range(100))), 200 * MB, checksum)
    assert found == [(99, 100 * MB)]
    with pytest.raises(ChecksumMismatch):
        await cut(Line((0, b"a")), 9, Checksum("sha1 AAAA"))
    with pytest.raises(ChecksumMismatch):
        await cut(Line(), 9, Checksum("sha1 AAAA"))


async def test_a_body_that_breaks_off_ends_there_unless_a_checksum_was_promised() -> None:
    """What has come is a chunk, and why no more came is stored."""
    problem = Unavailable("The line is cut.")
    found, chunks = await cut(Line((0, b"ab"), problem=problem), 9)
    assert (found, chunks.interruption, chunks.is_whole) == ([(0, 2)], problem, False)
    with pytest.raises(Unavailable):
        await cut(Line((0, b"ab"), problem=problem), 9, Checksum("sha1 AAAA"))


async def test_more_than_is_wanted_is_refused() -> None:
    """By one byte."""
    with pytest.raises(ChunkTooLong):
        await cut(Line((0, b"abcd")), 3)
    assert (await cut(Line((0, b"abc")), 3))[1].is_whole


async def test_whoever_waits_for_a_chunk_is_asked_whether_they_still_want_it() -> None:
    """Again and again, and may end it."""
    asked: list[float] = []

    async def ask() -> None:
        asked.append(line.now_s)
        if len(asked) == 3:
            raise Unavailable("Not any more.")

    line = Line((NEVER, b"x"))
    with pytest.raises(Unavailable):
        await Chunks(Body(line.read), 9, line.clock).wait_for_next(ask)
    assert asked == sorted(set(asked))
