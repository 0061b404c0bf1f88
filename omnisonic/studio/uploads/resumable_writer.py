"""Takes what a request brings into a resumable upload, and makes the upload once all of it is here. Asyncio.

Each piece counts from the moment that its object is stored and its row is written, while the request still runs. Of
several requests at once the last one that has begun goes on; the others are told at their next piece, or soon when they
are silent. Offsets never count what is not stored.

Overload: as the storage and the rows; bytes wait in the socket. Crash: what was not a piece yet is loose, and deleted
later; its reservation ends with its lease. A client that vanishes keeps what has come, unless it promised a checksum.
Shutdown: the body ends, and what has come is kept.
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
from omnisonic.studio.sessions import NoSuchSession
from omnisonic.studio.uploads import QuotaExceeded, TooManyUploads, UnsupportedMedia, UploadTooLarge
from omnisonic.studio.uploads.chunks import Body, Chunks, ChunkTooLong
from omnisonic.studio.uploads.garbage_collector import DISPOSE_S, GarbageCollector
from omnisonic.studio.uploads.quota_reservation import Reservation
from omnisonic.studio.uploads.resumable import Arrival, Claim, NoSuchResumable, Resumable, ResumableStore
from omnisonic.studio.uploads.upload_writer import FOLDER, UploadWriter, new_key

PIECES: Final = "pieces"
"""Where the keys of pieces are."""
TAKE_OVER_S: Final = 5.0
"""How long a request waits for the one that it takes over from, when there is no room for both."""
ASK_S: Final = 0.5
"""The time between two looks whether there is room."""
FINAL: Final = (UnsupportedMedia, UploadTooLarge, QuotaExceeded, NoSuchSession, InvalidInput)
"""What no repetition mends."""


class Written(msgspec.Struct, frozen=True):
    """How much has arrived now, and what the upload became when that is all. `broke_off`: why the body ended early."""

    resumable: Resumable
    received: int
    upload: Upload | None = None
    broke_off: OmnisonicError | None = None


class ResumableWriter:
    """Writes to `resumables`, whose objects are in `storage`; `disposal` deletes what is left over."""

    def __init__(
        self, resumables: ResumableStore, intake: UploadWriter, storage: Storage, disposal: GarbageCollector
    ) -> None:
        self._resumables = resumables
        self._intake = intake
        self._storage = storage
        self._disposal = disposal

    async def write(self, login: LoginId, upload: UploadId, body: Body, *, offset: int) -> Written:
        """Take what `body` brings from `offset` on.

        Errors: those of `ResumableStore`, `Intake.put` and `Pieces`; `QuotaExceeded`, `TooManyUploads`.
        """
        claim = await self._resumables.claim(login, upload, offset=offset)
        room = claim.resumable.size - offset
        if body.declared_bytes is not None and body.declared_bytes > room:
            raise ChunkTooLong
        pieces = Chunks(body, room, asyncio.get_running_loop().time)
        async with AsyncExitStack() as stack:
            reservation = await self._reserved(stack, login, claim, pieces)
            return await self._written(login, claim, pieces, reservation)

    async def _reserved(self, stack: AsyncExitStack, login: LoginId, claim: Claim, pieces: Chunks) -> Reservation:
        """Room for the first piece, once whoever was there before has given it up."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + TAKE_OVER_S
        while True:
            size, resumable = pieces.most_bytes(), claim.resumable.id
            arriving = self._intake.arriving(login, new_key(PIECES), size=size, resumable=resumable)
            try:
                return await stack.enter_async_context(arriving)
            except (QuotaExceeded, TooManyUploads):
                if not claim.is_contested:
                    raise
                if clock() >= until_s:
                    raise Unavailable("Another request still sends this upload. Try again in a moment.") from None
            await asyncio.sleep(ASK_S)
            await self._still_wanted(login, claim)

    async def _written(self, login: LoginId, claim: Claim, pieces: Chunks, reservation: Reservation) -> Written:
        resumable, received = claim.resumable, claim.resumable.received
        while await pieces.begins(partial(self._still_wanted, login, claim)):
            assert reservation.key is not None
            await self._storage.put(reservation.key, reservation.counted(pieces.passed()))
            if pieces.is_whole:
                break
            await self._append(login, claim, pieces, reservation, offset=received)
            received += pieces.size
        upload = None
        if pieces.is_whole:
            last = [reservation.key] if pieces.size and reservation.key is not None else []
            upload = await self._finished(login, resumable, last, offset=received)
            received = resumable.size
        if reservation.key is not None:
            await self._intake.give_up(reservation.key)
        return Written(resumable, received, upload, pieces.broke_off)

    async def _still_wanted(self, login: LoginId, claim: Claim) -> None:
        """Errors: `TakenOver`; `NoSuchResumable`; `NotSignedIn`. A database that is away says nothing."""
        with suppress(Unavailable):
            await self._resumables.check(login, claim.resumable.id, writer=claim.writer)

    async def _append(
        self, login: LoginId, claim: Claim, pieces: Chunks, reservation: Reservation, *, offset: int
    ) -> None:
        """Let the piece count, and reserve room for the next one."""
        assert reservation.key is not None
        following = None if pieces.is_over else Arrival(new_key(PIECES), pieces.most_bytes())
        append = partial(
            self._resumables.append,
            login,
            claim.resumable.id,
            reservation.key,
            writer=claim.writer,
            offset=offset,
            size=pieces.size,
            following=following,
        )
        try:
            await reservation.hand_on(None if following is None else following.key, append)
        except BaseException:
            if following is not None:
                await self._intake.give_up(following.key)  # nobody knows whether it was noted
            raise

    async def _finished(self, login: LoginId, resumable: Resumable, last: list[Key], *, offset: int) -> Upload:
        """Make one object and one upload of all pieces: those that count, up to `offset`, and the last one, if any."""
        kept = await self._resumables.chunks(login, resumable.id)
        key = new_key(FOLDER)
        try:
            async with self._intake.copying(key):
                received = await self._intake.put(key, self._joined(kept + last), resumable.file_name)
                upload = await self._resumables.finish(login, resumable.id, key, received, offset=offset)
        except FINAL:
            with suppress(NoSuchResumable):
                await self.dispose(await self._resumables.remove(login, resumable.id))
            raise
        await self.dispose(kept)
        return upload

    async def _joined(self, pieces: list[Key]) -> AsyncIterator[bytes]:
        for piece in pieces:
            async for chunk in self._storage.read(piece):
                yield chunk

    async def dispose(self, keys: list[Key]) -> None:
        """Delete these objects now, or leave them to housekeeping when that takes long."""
        await self._disposal.collect(keys, within_s=DISPOSE_S)
