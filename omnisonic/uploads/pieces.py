"""One piece of a resumable upload, looked at while it passes by (tus 1.0: core protocol, checksum)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Final

from omnisonic.errors import InvalidInput, OmnisonicError

ALGORITHMS: Final = ("sha256", "sha1", "md5")


class ChecksumMismatch(OmnisonicError):
    """The piece is not what the client said it would be."""

    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("This part of the file was damaged on its way. Send it again.")


class PieceTooLong(OmnisonicError):
    """More came than the upload has left."""

    code = "upload_too_large"

    def __init__(self) -> None:
        super().__init__("This is more than the upload was said to have.")


class Checksum:
    """What a client says its piece adds up to."""

    def __init__(self, header: str) -> None:
        """Errors: `InvalidInput` (`invalid_upload_checksum`)."""
        name, _, encoded = header.partition(" ")
        if name not in ALGORITHMS:
            raise InvalidInput(
                f"Upload-Checksum must be by one of {', '.join(ALGORITHMS)}.", code="invalid_upload_checksum"
            )
        try:
            self._said = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInput("Upload-Checksum must be in base64.", code="invalid_upload_checksum") from None
        self._digest = hashlib.new(name, usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Add these bytes up."""
        self._digest.update(chunk)

    def check(self) -> None:
        """Errors: `ChecksumMismatch`."""
        if not hmac.compare_digest(self._said, self._digest.digest()):
            raise ChecksumMismatch


class Piece:
    """`chunks`, of which at most `room` bytes are wanted. Take all of `passed`, then look at `size` and `broke_off`.

    Without a checksum a piece that breaks off is a shorter piece; with one, nothing of it can be believed.
    """

    def __init__(self, chunks: AsyncIterator[bytes], room: int, checksum: Checksum | None) -> None:
        self._chunks = chunks
        self.room = room
        self._checksum = checksum
        self.size = 0
        self.broke_off: OmnisonicError | None = None

    async def passed(self) -> AsyncIterator[bytes]:
        """All of it. Errors: `PieceTooLong`, `ChecksumMismatch`; with a checksum those of the chunks."""
        try:
            async for chunk in self._chunks:
                self._take(chunk)
                yield chunk
        except PieceTooLong:
            raise
        except OmnisonicError as problem:
            if self._checksum is not None:
                raise
            self.broke_off = problem
        if self._checksum is not None:
            self._checksum.check()

    def _take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.room:
            raise PieceTooLong
        if self._checksum is not None:
            self._checksum.update(chunk)
