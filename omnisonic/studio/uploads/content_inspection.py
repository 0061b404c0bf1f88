"""What a file is, found out while it passes by: its size, its SHA-256, and its media type by its first bytes. Where
those are of no kind that is known here, somebody else is asked what the file is (`omnisonic.studio.media.identifier`).

Overload: about one block is held; of a file that begins with tags, as many as hold them, `MOST_TAG_BYTES` at most.
Nothing here waits for anything but the chunks themselves, and for the answer.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import filetype  # type: ignore[import-untyped]

from omnisonic.errors import InvalidInput
from omnisonic.stores.storage.blocks import in_blocks
from omnisonic.studio.media.containers import MOST_TAGS, tag_bytes
from omnisonic.studio.media.containers import TAG_HEADER_BYTES as TAG_HEADER_BYTES
from omnisonic.studio.uploads import Received, UnsupportedMedia, UploadTooLarge

HEAD_BYTES: Final = 8192
"""How much of a file says what it is."""
MOST_TAG_BYTES: Final = 4_194_304
"""What is behind longer tags is taken for MP3, which is what most tags are before."""
TAGGED: Final = "audio/mpeg"
TAKEN: Final = ("audio/", "image/", "video/")

USUAL: Final = {"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac", "audio/x-aiff": "audio/aiff"}
"""Names that browsers know for those that the library gives."""

Identify: TypeAlias = Callable[[bytes], Awaitable[str | None]]
"""The media type of a file that begins so, None when nothing in it can be decoded. Errors: `Unavailable`."""


class Inspected:
    """`chunks`, looked at. First `open`, which tells the `mime_type`; put all of `blocks` with the `digest`; then ask
    what was `received`.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, max_bytes: int, identify: Identify) -> None:
        self.mime_type = ""
        self.digest = hashlib.sha256()
        self._blocks = in_blocks(chunks)
        self._first = b""
        self._size = 0
        self._max_bytes = max_bytes
        self._identify = identify

    async def open(self) -> None:
        """Read the first block. Errors: `UnsupportedMedia`, `InvalidInput` (`empty_file`), `Unavailable`, and those of
        the chunks.
        """
        self._first = await anext(self._blocks, b"")
        if not self._first:
            raise InvalidInput("The file is empty.", code="empty_file")
        tags = await self._tags()
        head = self._first[tags:]
        mime_type = _known(head[:HEAD_BYTES]) if head else None
        if mime_type is None and head:
            mime_type = await self._identify(head)
        if mime_type is None and tags:
            mime_type = TAGGED
        if mime_type is None or not mime_type.startswith(TAKEN):
            raise UnsupportedMedia
        self.mime_type = mime_type

    async def _tags(self) -> int:
        """How long the tags are that the file begins with; they are in the first block then, with what follows."""
        end = 0
        for _ in range(MOST_TAGS):
            await self._read_on(end + TAG_HEADER_BYTES)
            size = tag_bytes(self._first[end : end + TAG_HEADER_BYTES])
            if not size:
                break
            end += size
        await self._read_on(end + HEAD_BYTES)
        return end

    async def _read_on(self, wanted: int) -> None:
        """See that so much is there, if the file has it and it is not too much."""
        while len(self._first) < min(wanted, MOST_TAG_BYTES) and (block := await anext(self._blocks, b"")):
            self._first += block

    async def blocks(self) -> AsyncIterator[bytes]:
        """All of it, in blocks of `CHUNK_BYTES` or a little more. Errors: `UploadTooLarge`, and those of the chunks."""
        yield self._counted(self._first)
        async for block in self._blocks:
            yield self._counted(block)

    def received(self, file_name: str) -> Received:
        """What went by, under this name."""
        return Received(file_name, self._size, self.mime_type, self.digest.hexdigest())

    def _counted(self, block: bytes) -> bytes:
        self._size += len(block)
        if self._size > self._max_bytes:
            raise UploadTooLarge(self._max_bytes)
        return block


def _known(head: bytes) -> str | None:
    """The media type of a file that begins so; None when that is not known here."""
    kind = filetype.guess(head)
    return None if kind is None else USUAL.get(kind.mime, str(kind.mime))
