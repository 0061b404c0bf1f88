"""The pieces of a resumable upload, cut out of what a request brings while it passes by (tus 1.0: core, checksum).

A piece ends before it is too large or too old, or when nothing more comes for a moment, so that it can be kept while
the request still runs. What was promised a checksum is one piece: nothing of it can be believed before its end.
Overload: as whoever keeps the pieces; nothing but one chunk waits here. Asyncio.
"""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from omnisonic.errors import InvalidInput, OmnisonicError

PIECE_BYTES: Final = 67_108_864
"""A piece is not larger: what a process that is killed loses at most, on a fast line. Each costs an object and a
transaction."""
PIECE_S: Final = 5.0
"""How long a piece grows while bytes keep coming."""
SILENCE_S: Final = 1.0
"""How long a piece waits for more bytes. A client that has changed its network asks for the offset soon."""

WAIT_S: Final = 2.0
"""How often whoever waits for the first bytes of a piece is asked whether they still want it."""

ReadChunk: TypeAlias = Callable[[float], Awaitable[bytes | None]]
"""Gives the next chunk, which is empty at the end, or None when it has not come until then, by the loop's clock."""

ALGORITHMS: Final = ("sha256", "sha1", "md5")


class ChecksumMismatch(OmnisonicError):
    """The piece is not what the client said it would be."""

    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("This part of the file was damaged on its way. Send it again.")


class ChunkTooLong(OmnisonicError):
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


@dataclass(frozen=True, slots=True)
class Body:
    """What a request brings: its chunks, how many bytes it says they are, and what they should add up to."""

    read: ReadChunk
    declared_bytes: int | None = None
    checksum: Checksum | None = None


class Chunks:
    """Cuts `body`, of which at most `room` bytes are wanted, into pieces. They are taken one after another.

    Without a checksum a body that breaks off ends there, and `broke_off` says why; with one, that is raised.
    """

    def __init__(self, body: Body, room: int, clock: Callable[[], float]) -> None:
        """`clock`: that by which `body` is read."""
        self.broke_off: OmnisonicError | None = None
        self.is_over = False
        """Whether nothing comes after the last piece."""
        self.size = 0
        """That of the last piece, in bytes."""
        self._body = body
        self._room = room
        self._clock = clock
        self._chunk = b""
        self._read_bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether all that is wanted has come, and nothing more."""
        return self.is_over and self._read_bytes == self._room

    def most_bytes(self) -> int:
        """How large the next piece can be; 0 when that was not said."""
        if self._body.declared_bytes is None:
            return 0
        passed_bytes = self._read_bytes - len(self._chunk)
        left = max(0, min(self._room, self._body.declared_bytes) - passed_bytes)
        return left if self._body.checksum else min(left, PIECE_BYTES)

    async def begins(self, waiting: Callable[[], Awaitable[None]]) -> bool:
        """Whether there is another piece, whose first bytes are here then; `waiting` is called now and then.

        Errors: those of `waiting`; `PieceTooLong`; with a checksum `ChecksumMismatch` and those of reading.
        """
        while not self._chunk and not self.is_over:
            await self._read(self._clock() + WAIT_S)
            if not self._chunk and not self.is_over:
                await waiting()
        return bool(self._chunk)

    async def passed(self) -> AsyncIterator[bytes]:
        """All of the piece that has begun. Errors: as `begins`."""
        until_s, self.size = self._clock() + PIECE_S, 0
        while self._chunk and not self._is_full(until_s):
            chunk, self._chunk = self._chunk, b""
            self.size += len(chunk)
            yield chunk
            if not self.is_over:
                await self._read(min(until_s, self._clock() + SILENCE_S) if self._may_end else math.inf)

    @property
    def _may_end(self) -> bool:
        """Whether a piece may end before the body does: there is no checksum, and more to come."""
        return self._body.checksum is None and self._read_bytes < self._room

    def _is_full(self, until_s: float) -> bool:
        """Whether the chunk that waits is the next piece's."""
        if not self.size or self._body.checksum is not None:
            return False
        return self._clock() >= until_s or self.size + len(self._chunk) > PIECE_BYTES

    async def _read(self, until_s: float) -> None:
        """Let the next chunk be here, unless none comes until then or at all."""
        try:
            chunk = await self._body.read(until_s)
        except OmnisonicError as problem:
            if self._body.checksum is not None:
                raise
            self.broke_off, chunk = problem, b""
        if chunk is None:
            return
        self._chunk, self.is_over = chunk, not chunk
        self._read_bytes += len(chunk)
        if self._read_bytes > self._room:
            raise ChunkTooLong
        if self._body.checksum is not None:
            self._body.checksum.update(chunk)
            if self.is_over:
                self._body.checksum.check()
