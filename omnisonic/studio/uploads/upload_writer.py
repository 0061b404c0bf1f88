"""The upload writer: stores bytes that arrive, and deletes them again when they do not become an upload. Asyncio.

Overload: `Storage.put` accepts no more than it can store, and `QuotaExceeded` no more than the user may keep. Crash:
the object stays unreferenced and is deleted when it is due; its reservation ends after `RESERVED_S`. A database that
does not answer: what is reserved already may arrive, more is `Unavailable`. Cancellation abandons the object, too, in a
task of its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NoReturn
from uuid import uuid4

from opentelemetry import metrics

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.models import LoginId, SessionId, UploadId
from omnisonic.observability.metrics import UPLOADED_BYTES, UPLOADS
from omnisonic.stores.storage import Key, Label, Storage
from omnisonic.studio.uploads import ReceivedFile, UploadTooLarge
from omnisonic.studio.uploads.content_inspection import ContentInspection, Identify
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.upload_store import UploadStore

FOLDER: Final = "uploads"
"""The folder of the keys of uploads."""
ABANDON_S: Final = 10.0
"""How long abandoning an object may take; then it is left to housekeeping."""
STEP_BYTES: Final = 1_048_576
"""How much more quota than has arrived is reserved at a time."""
RENEW_S: Final = 15.0
"""The time between two renewals of a reservation: short enough that a few of them may fail."""

_log = logging.getLogger(__name__)


class Reservation:
    """The part of a user's quota that is reserved for the object at `key` while it arrives.

    `granted` bytes at first, and never more than `max_bytes`. `key` is None once the object is bound and nothing
    follows it.
    """

    def __init__(self, uploads: UploadStore, key: Key, granted: int, *, max_bytes: int) -> None:
        self.key: Key | None = key
        self._uploads = uploads
        self._granted = granted
        self._max_bytes = max_bytes
        self._arrived = 0
        self._lock = asyncio.Lock()

    async def count(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass each block on once quota is reserved for it.

        Raises:
            UploadTooLarge, QuotaExceeded, Unavailable
        """
        async for block in blocks:
            self._arrived += len(block)
            if self._arrived > self._max_bytes:
                raise UploadTooLarge(self._max_bytes)
            if self._arrived > self._granted:
                async with self._lock:
                    await self._reserve(least=self._arrived, most=min(self._arrived + STEP_BYTES, self._max_bytes))
            yield block

    async def move_to(self, key: Key | None, bind: Callable[[], Awaitable[int]]) -> None:
        """Bind the object by `bind`, then reserve for the next object at `key`, for which `bind` returns the bytes."""
        async with self._lock:
            self._granted = await bind()
            self.key, self._arrived = key, 0

    async def renew(self) -> NoReturn:
        """Renew the reservation every `RENEW_S`, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                async with self._lock:
                    await self._reserve(least=self._granted, most=self._granted)
            except OmnisonicError as problem:
                _log.warning("upload.reservation_not_renewed", extra={"key": self.key, "reason": problem.message})

    async def _reserve(self, *, least: int, most: int) -> None:
        if self.key is not None:
            self._granted = await self._uploads.reserve(self.key, least=least, most=most)


class UploadWriter:
    """Writes files into `storage` and `uploads`.

    Args:
        collector: Deletes the objects that are abandoned.
        max_bytes: Size of the largest file.
        identify: Says what a file is whose first bytes are not of a well-known kind.
    """

    def __init__(
        self, uploads: UploadStore, storage: Storage, collector: GarbageCollector, *, max_bytes: int, identify: Identify
    ) -> None:
        self.max_bytes = max_bytes
        self._identify = identify
        self._uploads = uploads
        self._storage = storage
        self._collector = collector
        meter = metrics.get_meter("studio-web-api")
        self._counted, self._bytes = UPLOADS.counter(meter), UPLOADED_BYTES.counter(meter)

    @asynccontextmanager
    async def open_object(
        self,
        login: LoginId,
        key: Key,
        *,
        session: SessionId | None = None,
        size: int | None = None,
        resumable: UploadId | None = None,
    ) -> AsyncIterator[Reservation]:
        """Register `key`, for the block to put the object there and bind it. When the block raises, it is abandoned.

        So is the object that the reservation has moved to. All that is put goes through `Reservation.count`; the
        reservation is renewed meanwhile.

        Raises:
            OmnisonicError: The errors of `UploadStore.begin`.
        """
        granted = await self._uploads.begin(login, key, session=session, size=size, resumable=resumable)
        reservation = Reservation(self._uploads, key, granted, max_bytes=self.max_bytes)
        renewing = asyncio.create_task(reservation.renew())
        try:
            yield reservation
        except BaseException:
            if reservation.key is not None:
                await self.abandon(reservation.key)
            raise
        finally:
            renewing.cancel()

    @asynccontextmanager
    async def open_copy(self, key: Key) -> AsyncIterator[None]:
        """As `open_object`, for a copy of bytes that have arrived and count towards the quota already."""
        await self._uploads.begin_copy(key)
        try:
            yield
        except BaseException:
            await self.abandon(key)
            raise

    async def put(self, key: Key, chunks: AsyncIterator[bytes], file_name: str) -> ReceivedFile:
        """Inspect `chunks` and put them at `key`. Errors: as `ContentInspection` and `Storage.put`."""
        inspection = ContentInspection(chunks, max_bytes=self.max_bytes, identify=self._identify)
        await inspection.open()
        label = Label(inspection.mime_type, file_name)
        await self._storage.put(key, inspection.blocks(), label, digest=inspection.digest)
        file = inspection.received_file(file_name)
        self._counted.add(1)
        self._bytes.add(file.file_size)
        return file

    async def abandon(self, key: Key) -> None:
        """Delete an unreferenced object, even when the caller is cancelled. Never raises."""
        await run_shielded(self._abandon(key))

    async def _abandon(self, key: Key) -> None:
        try:
            async with asyncio.timeout(ABANDON_S):
                if await self._uploads.abandon(key):
                    await self._collector.collect([key])
        except (TimeoutError, Unavailable):
            _log.warning("upload.object_unreferenced", extra={"key": key})


def new_key(folder: str) -> Key:
    """A key in `folder` that was never used."""
    return f"{folder}/{uuid4()}"
