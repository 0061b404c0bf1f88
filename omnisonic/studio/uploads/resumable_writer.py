"""The resumable writer: stores the chunks of a resumable upload, and joins them once all are here. Asyncio.

A chunk counts as soon as its object is stored and its row is written, while the request still runs. Of several requests
at once the last one that has begun continues. The others get `TakenOver` at their next chunk, or soon when they send
nothing. Offsets never count bytes that are not stored.

Overload: the storage and the database set the pace; bytes wait in the socket. Crash: the object of an unfinished chunk
is unreferenced and deleted later; its reservation ends after `RESERVED_S`. When a client vanishes, the bytes that have
come are kept, unless the request has a checksum. Shutdown: the body ends, and the bytes that have come are kept.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import msgspec

from omnisonic.errors import InvalidInput, OmnisonicError, Unavailable
from omnisonic.models import LoginId, Upload, UploadId
from omnisonic.stores.storage import Key, Storage
from omnisonic.studio.sessions import ListenersChangeNothing, NoSuchSession
from omnisonic.studio.uploads import QuotaExceeded, TooManyUploads, UnsupportedMedia, UploadTooLarge
from omnisonic.studio.uploads.chunks import Body, Chunks, ChunkTooLong
from omnisonic.studio.uploads.garbage_collector import COLLECT_S, GarbageCollector
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.resumables import Claim, NextChunk, NoSuchResumable, Resumable
from omnisonic.studio.uploads.streamed_wav import with_known_length
from omnisonic.studio.uploads.upload_writer import FOLDER, Reservation, UploadWriter, new_key

CHUNK_FOLDER: Final = "pieces"
"""The folder of the keys of chunks."""
TAKE_OVER_S: Final = 5.0
"""How long a request waits for the one that it takes over from, when the quota has no room for both."""
RETRY_S: Final = 0.5
"""The time between two attempts to reserve room."""
FINAL: Final = (
    UnsupportedMedia,
    UploadTooLarge,
    QuotaExceeded,
    NoSuchSession,
    ListenersChangeNothing,
    InvalidInput,
)
"""Errors that a repetition does not mend: the resumable is deleted."""


class WriteResult(msgspec.Struct, frozen=True):
    """How many bytes have arrived now, and the upload when that is all. `interruption`: why the body ended early."""

    resumable: Resumable
    received: int
    upload: Upload | None = None
    interruption: OmnisonicError | None = None


class ResumableWriter:
    """Writes to `resumables`, whose objects are in `storage`; `collector` deletes what is left over."""

    def __init__(
        self, resumables: ResumableStore, writer: UploadWriter, storage: Storage, collector: GarbageCollector
    ) -> None:
        self._resumables = resumables
        self._writer = writer
        self._storage = storage
        self._collector = collector

    async def write(
        self, login: LoginId, upload: UploadId, body: Body, *, offset: int, size: int | None = None
    ) -> WriteResult:
        """Store `body`, whose first byte is the one at `offset` of the upload. `size`: its whole size, if said now.

        Raises:
            QuotaExceeded, TooManyUploads
            UploadTooLarge: Of an upload whose size is not known yet.
            OmnisonicError: The errors of `ResumableStore`, `UploadWriter.put` and `Chunks`.
        """
        claim = await self._resumables.claim(login, upload, offset=offset, size=size)
        whole = claim.resumable.size
        room = (self._writer.max_bytes if whole is None else whole) - offset
        if body.declared_bytes is not None and body.declared_bytes > room:
            raise UploadTooLarge(self._writer.max_bytes) if whole is None else ChunkTooLong
        chunks = Chunks(body, room, asyncio.get_running_loop().time)
        async with AsyncExitStack() as stack:
            reservation = await self._open_first(stack, login, claim, chunks)
            return await self._write_chunks(login, claim, chunks, reservation)

    async def _open_first(self, stack: AsyncExitStack, login: LoginId, claim: Claim, chunks: Chunks) -> Reservation:
        """Reserve room for the first chunk, once the request before this one has given its room up."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + TAKE_OVER_S
        while True:
            size, resumable = chunks.max_bytes(), claim.resumable.id
            opening = self._writer.open_object(login, new_key(CHUNK_FOLDER), size=size, resumable=resumable)
            try:
                return await stack.enter_async_context(opening)
            except (QuotaExceeded, TooManyUploads):
                if not claim.is_contested:
                    raise
                if clock() >= until_s:
                    raise Unavailable("Another request still sends this upload. Try again in a moment.") from None
            await asyncio.sleep(RETRY_S)
            await self._check_claim(login, claim)

    async def _write_chunks(
        self, login: LoginId, claim: Claim, chunks: Chunks, reservation: Reservation
    ) -> WriteResult:
        resumable, received = claim.resumable, claim.resumable.received
        is_known = resumable.size is not None
        while await chunks.wait_for_next(partial(self._check_claim, login, claim)):
            assert reservation.key is not None
            await self._storage.put(reservation.key, reservation.count(chunks.blocks()))
            if is_known and chunks.is_whole:
                break
            await self._append(login, claim, chunks, reservation, offset=received)
            received += chunks.size
        upload = None
        if is_known and chunks.is_whole:
            last = [reservation.key] if chunks.size and reservation.key is not None else []
            upload = await self._finish(login, resumable, last, offset=received)
            received = upload.file_size
        if reservation.key is not None:
            await self._writer.abandon(reservation.key)
        return WriteResult(resumable, received, upload, chunks.interruption)

    async def _check_claim(self, login: LoginId, claim: Claim) -> None:
        """Raise `TakenOver`, `NoSuchResumable` or `NotSignedIn`. Passes while the database does not answer."""
        with suppress(Unavailable):
            await self._resumables.check(login, claim.resumable.id, writer=claim.writer)

    async def _append(
        self, login: LoginId, claim: Claim, chunks: Chunks, reservation: Reservation, *, offset: int
    ) -> None:
        """Add the row of the chunk that was put, and reserve room for the next one."""
        assert reservation.key is not None
        following = None if chunks.is_over else NextChunk(new_key(CHUNK_FOLDER), chunks.max_bytes())
        append = partial(
            self._resumables.append,
            login,
            claim.resumable.id,
            reservation.key,
            writer=claim.writer,
            offset=offset,
            size=chunks.size,
            following=following,
        )
        try:
            await reservation.move_to(None if following is None else following.key, append)
        except BaseException:
            if following is not None:
                await self._writer.abandon(following.key)  # it may have been registered
            raise

    async def _finish(self, login: LoginId, resumable: Resumable, last: list[Key], *, offset: int) -> Upload:
        """Join the chunks up to `offset` and the last one, if any, into one object, and make it an upload."""
        chunks = await self._resumables.chunks(login, resumable.id)
        key = new_key(FOLDER)
        try:
            async with self._writer.open_copy(key):
                blocks = self._join(chunks + last)
                if resumable.is_deferred and resumable.size is not None:
                    blocks = with_known_length(blocks, resumable.size)
                file = await self._writer.put(key, blocks, resumable.file_name)
                upload = await self._resumables.finish(login, resumable.id, key, file, offset=offset)
        except FINAL:
            with suppress(NoSuchResumable):
                await self.collect(await self._resumables.remove(login, resumable.id))
            raise
        await self.collect(chunks)
        return upload

    async def _join(self, chunks: list[Key]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            async for block in self._storage.read(chunk):
                yield block

    async def collect(self, keys: list[Key]) -> None:
        """Delete these objects now, or leave them to housekeeping when that takes longer than `COLLECT_S`."""
        await self._collector.collect(keys, within_s=COLLECT_S)
