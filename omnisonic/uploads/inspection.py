"""What a file is, found out while it passes by: its size, its SHA-256, and its media type by its first bytes.

Overload: about one block is held. Nothing here waits for anything but the chunks themselves.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import Final

import filetype  # type: ignore[import-untyped]

from omnisonic.errors import InvalidInput
from omnisonic.storage.blocks import in_blocks
from omnisonic.uploads import Received, UnsupportedMedia, UploadTooLarge

HEAD_BYTES: Final = 8192
"""How much of a file says what it is."""
TAKEN: Final = ("audio/", "image/", "video/")

USUAL: Final = {"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac", "audio/x-aiff": "audio/aiff"}
"""Names that browsers know for those that the library gives."""


class Inspected:
    """`chunks`, looked at. First `open`, which tells the `mime_type`; put all of `blocks` with the `digest`; then ask
    what was `received`.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, max_bytes: int) -> None:
        self.mime_type = ""
        self.digest = hashlib.sha256()
        self._blocks = in_blocks(chunks)
        self._first = b""
        self._size = 0
        self._max_bytes = max_bytes

    async def open(self) -> None:
        """Read the first block. Errors: `UnsupportedMedia`, `InvalidInput` (`empty_file`), and those of the chunks."""
        self._first = await anext(self._blocks, b"")
        if not self._first:
            raise InvalidInput("The file is empty.", code="empty_file")
        self.mime_type = media_type(self._first[:HEAD_BYTES])

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


def media_type(head: bytes) -> str:
    """The media type of a file that begins so. Errors: `UnsupportedMedia`, also for what cannot be told."""
    kind = filetype.guess(head)
    if kind is None or not kind.mime.startswith(TAKEN):
        raise UnsupportedMedia
    return USUAL.get(kind.mime, str(kind.mime))
