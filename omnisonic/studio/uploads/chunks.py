"""Splits the body of a request into the chunks of a resumable upload (tus 1.0: core, checksum). Asyncio.

A chunk ends before it is too large or too old, or when no bytes come for a moment, so that it can be stored while the
request still runs. A body with a checksum is one chunk: it cannot be trusted before its end.

Overload: one block of the body is in memory; the caller reads as fast as it can store. Crash and shutdown: nothing is
kept here.
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

CHUNK_BYTES: Final = 67_108_864
"""Largest chunk: what is lost at most when the process is killed. Each costs an object and a transaction."""
CHUNK_S: Final = 5.0
"""How long a chunk grows while bytes keep coming."""
SILENCE_S: Final = 1.0
"""How long a chunk waits for more bytes. A client that has changed its network soon asks for the offset."""

WAIT_S: Final = 2.0
"""The time between two calls of `while_waiting`, while no chunk has begun."""

ReadBlock: TypeAlias = Callable[[float], Awaitable[bytes | None]]
"""Returns the next block, empty at the end, or None when it has not come by that time of the loop's clock."""

ALGORITHMS: Final = ("sha256", "sha1", "md5")


class ChecksumMismatch(OmnisonicError):
    """The chunk does not have the checksum that the client sent."""

    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("This part of the file was damaged on its way. Send it again.")


class ChunkTooLong(OmnisonicError):
    """The body is longer than what is left of the upload."""

    code = "upload_too_large"

    def __init__(self) -> None:
        super().__init__("This is more than the upload was said to have.")


class Checksum:
    """The checksum of a body, from the header `Upload-Checksum`."""

    def __init__(self, header: str) -> None:
        """Raises `InvalidInput` (`invalid_upload_checksum`)."""
        name, _, encoded = header.partition(" ")
        if name not in ALGORITHMS:
            raise InvalidInput(
                f"Upload-Checksum must be by one of {', '.join(ALGORITHMS)}.", code="invalid_upload_checksum"
            )
        try:
            self._expected = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInput("Upload-Checksum must be in base64.", code="invalid_upload_checksum") from None
        self._digest = hashlib.new(name, usedforsecurity=False)

    def update(self, block: bytes) -> None:
        """Add these bytes to the digest."""
        self._digest.update(block)

    def check(self) -> None:
        """Raise `ChecksumMismatch` unless the digest is the expected one."""
        if not hmac.compare_digest(self._expected, self._digest.digest()):
            raise ChecksumMismatch


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request: how to read it, its `Content-Length`, and its checksum."""

    read: ReadBlock
    declared_bytes: int | None = None
    checksum: Checksum | None = None


class Chunks:
    """Splits `body` into chunks, one after another.

    Args:
        body: The body of the request.
        room: How many bytes of it are wanted at most.
        clock: The clock by which `body` is read.

    Without a checksum a body that breaks off ends there, and `interruption` says why; with one, that is raised.
    """

    def __init__(self, body: Body, room: int, clock: Callable[[], float]) -> None:
        self.interruption: OmnisonicError | None = None
        self.is_over = False
        """Whether nothing comes after the last chunk."""
        self.size = 0
        """Size of the last chunk, in bytes."""
        self._body = body
        self._room = room
        self._clock = clock
        self._block = b""
        self._read_bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether exactly the bytes that are wanted have come."""
        return self.is_over and self._read_bytes == self._room

    def max_bytes(self) -> int:
        """How large the next chunk can be; 0 when the length of the body is not known."""
        if self._body.declared_bytes is None:
            return 0
        passed_bytes = self._read_bytes - len(self._block)
        left = max(0, min(self._room, self._body.declared_bytes) - passed_bytes)
        return left if self._body.checksum else min(left, CHUNK_BYTES)

    async def wait_for_next(self, while_waiting: Callable[[], Awaitable[None]]) -> bool:
        """Wait for the first bytes of the next chunk; `while_waiting` is called every `WAIT_S`.

        Returns:
            False when the body is over.

        Raises:
            ChunkTooLong
            ChecksumMismatch
            OmnisonicError: What `while_waiting` raises, and with a checksum what reading the body raises.
        """
        while not self._block and not self.is_over:
            await self._read(self._clock() + WAIT_S)
            if not self._block and not self.is_over:
                await while_waiting()
        return bool(self._block)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The bytes of the chunk that has begun. Errors: as `wait_for_next`."""
        until_s, self.size = self._clock() + CHUNK_S, 0
        while self._block and not self._is_full(until_s):
            block, self._block = self._block, b""
            self.size += len(block)
            yield block
            if not self.is_over:
                await self._read(min(until_s, self._clock() + SILENCE_S) if self._may_end else math.inf)

    @property
    def _may_end(self) -> bool:
        """Whether a chunk may end before the body does: there is no checksum, and more is to come."""
        return self._body.checksum is None and self._read_bytes < self._room

    def _is_full(self, until_s: float) -> bool:
        """Whether the block that waits belongs to the next chunk."""
        if not self.size or self._body.checksum is not None:
            return False
        return self._clock() >= until_s or self.size + len(self._block) > CHUNK_BYTES

    async def _read(self, until_s: float) -> None:
        """Read the next block, if one comes by then."""
        try:
            block = await self._body.read(until_s)
        except OmnisonicError as problem:
            if self._body.checksum is not None:
                raise
            self.interruption, block = problem, b""
        if block is None:
            return
        self._block, self.is_over = block, not block
        self._read_bytes += len(block)
        if self._read_bytes > self._room:
            raise ChunkTooLong
        if self._body.checksum is not None:
            self._body.checksum.update(block)
            if self.is_over:
                self._body.checksum.check()
