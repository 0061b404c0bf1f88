"""Content inspection: size, SHA-256 and media type of a file, computed while it is stored.

The first bytes tell the media type. When they are of no kind that is known here, `identify` is asked, which tries to
decode them in a sandbox (`omnisonic.studio.media.identifier`). A film may have its index at its end, so that nothing of
its beginning can be decoded: then its first boxes tell.

Overload: about one block is in memory; of a file that begins with tags, as many blocks as hold them, at most
`MOST_TAG_BYTES`. Crash and shutdown: nothing is kept.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import filetype  # type: ignore[import-untyped]

from omnisonic.errors import InvalidInput
from omnisonic.stores.storage import in_blocks
from omnisonic.studio.media.containers import MOST_TAGS, begins_as_film, tag_bytes
from omnisonic.studio.media.containers import TAG_HEADER_BYTES as TAG_HEADER_BYTES
from omnisonic.studio.uploads import ReceivedFile, UnsupportedMedia, UploadTooLarge

HEAD_BYTES: Final = 8192
"""How many bytes from its beginning tell the type of a file."""
MOST_TAG_BYTES: Final = 4_194_304
"""A file with longer tags is treated as MP3: most tags are in front of MP3."""
TAGGED: Final = "audio/mpeg"
FILM: Final = "video/mp4"
ACCEPTED: Final = ("audio/", "image/", "video/")

USUAL: Final = {"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac", "audio/x-aiff": "audio/aiff"}
"""Media types that browsers know, by the ones that the library returns."""

Identify: TypeAlias = Callable[[bytes], Awaitable[str | None]]
"""Returns the media type of a file that begins so, None when it cannot be decoded. Errors: `Unavailable`."""


class ContentInspection:
    """Inspects one file, whose bytes are `chunks`.

    First `open`, which finds the `mime_type`. Then put all of `blocks` with the `digest`. After that, `received_file`
    says what was put.
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
        """Read the first block and find the media type.

        Raises:
            UnsupportedMedia
            InvalidInput: `empty_file`.
            Unavailable: The file could not be identified now.
        """
        self._first = await anext(self._blocks, b"")
        if not self._first:
            raise InvalidInput("The file is empty.", code="empty_file")
        tags = await self._read_tags()
        head = self._first[tags:]
        mime_type = _guess(head[:HEAD_BYTES]) if head else None
        if mime_type is None and head:
            mime_type = await self._identify(head)
        if mime_type is None and begins_as_film(head):
            mime_type = FILM
        if mime_type is None and tags:
            mime_type = TAGGED
        if mime_type is None or not mime_type.startswith(ACCEPTED):
            raise UnsupportedMedia
        self.mime_type = mime_type

    async def _read_tags(self) -> int:
        """Read the tags at the beginning, and what follows, into the first block. Returns the length of the tags."""
        end = 0
        for _ in range(MOST_TAGS):
            await self._extend(end + TAG_HEADER_BYTES)
            size = tag_bytes(self._first[end : end + TAG_HEADER_BYTES])
            if not size:
                break
            end += size
        await self._extend(end + HEAD_BYTES)
        return end

    async def _extend(self, wanted: int) -> None:
        """Extend the first block to `wanted` bytes, if the file has them and they are not more than the limit."""
        while len(self._first) < min(wanted, MOST_TAG_BYTES) and (block := await anext(self._blocks, b"")):
            self._first += block

    async def blocks(self) -> AsyncIterator[bytes]:
        """The whole file, in blocks of about `CHUNK_BYTES`. Errors: `UploadTooLarge`, those of the chunks."""
        yield self._count(self._first)
        async for block in self._blocks:
            yield self._count(block)

    def received_file(self, file_name: str) -> ReceivedFile:
        """Describe the file that has passed through `blocks`."""
        return ReceivedFile(file_name, self._size, self.mime_type, self.digest.hexdigest())

    def _count(self, block: bytes) -> bytes:
        self._size += len(block)
        if self._size > self._max_bytes:
            raise UploadTooLarge(self._max_bytes)
        return block


def _guess(head: bytes) -> str | None:
    """The media type of a file that begins with `head`; None when it is of no well-known kind."""
    kind = filetype.guess(head)
    return None if kind is None else USUAL.get(kind.mime, str(kind.mime))
