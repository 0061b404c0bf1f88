"""How bytes become uploads: noted as loose, put, and bound to a row, or given up (`omnisonic.studio.uploads`). Asyncio.

Overload: as the storage's `put`, which takes no more than it can keep. Crash: what was put stays loose, and
housekeeping deletes it when it is due. Cancellation gives the object up, too, in a task of its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from opentelemetry import metrics

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, SessionId, UploadId
from omnisonic.observability.metrics import UPLOADED_BYTES, UPLOADS
from omnisonic.stores.storage import Key, Label, Storage
from omnisonic.studio.uploads import Received, UploadStore
from omnisonic.studio.uploads.content_inspection import Identify, Inspected
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.quota_reservation import Reservation

FOLDER: Final = "uploads"
"""Where the keys of uploads are."""
GIVE_UP_S: Final = 10.0
"""How long giving an object up may take; then it is housekeeping's."""

_log = logging.getLogger(__name__)


class UploadWriter:
    """Takes files of `max_bytes` at most into `storage` and `uploads`; `disposal` deletes what is given up. `identify`
    says what those are whose first bytes are of no well-known kind.
    """

    def __init__(
        self, uploads: UploadStore, storage: Storage, disposal: GarbageCollector, *, max_bytes: int, identify: Identify
    ) -> None:
        self.max_bytes = max_bytes
        self._identify = identify
        self._uploads = uploads
        self._storage = storage
        self._disposal = disposal
        meter = metrics.get_meter("studio-web-api")
        self._counted, self._bytes = UPLOADS.counter(meter), UPLOADED_BYTES.counter(meter)

    @asynccontextmanager
    async def arriving(
        self,
        login: LoginId,
        key: Key,
        *,
        session: SessionId | None = None,
        size: int | None = None,
        resumable: UploadId | None = None,
    ) -> AsyncIterator[Reservation]:
        """Note that `key` is loose while the block puts and binds it; when the block raises, it is given up.

        So is what follows it in the reservation.

        All that is put there is to go through the reservation, whose lease is renewed meanwhile. Errors: those of
        `UploadStore.begin`.
        """
        granted = await self._uploads.begin(login, key, session=session, size=size, resumable=resumable)
        reservation = Reservation(self._uploads, key, granted, max_bytes=self.max_bytes)
        renewing = asyncio.create_task(reservation.renew())
        try:
            yield reservation
        except BaseException:
            if reservation.key is not None:
                await self.give_up(reservation.key)
            raise
        finally:
            renewing.cancel()

    @asynccontextmanager
    async def copying(self, key: Key) -> AsyncIterator[None]:
        """As `arriving`, for a copy of what has arrived and counts already."""
        await self._uploads.note_copy(key)
        try:
            yield
        except BaseException:
            await self.give_up(key)
            raise

    async def put(self, key: Key, chunks: AsyncIterator[bytes], file_name: str) -> Received:
        """Inspect `chunks` and put them at `key`. Errors: as `Inspected` and `Storage.put`."""
        inspected = Inspected(chunks, max_bytes=self.max_bytes, identify=self._identify)
        await inspected.open()
        label = Label(inspected.mime_type, file_name)
        await self._storage.put(key, inspected.blocks(), label, digest=inspected.digest)
        received = inspected.received(file_name)
        self._counted.add(1)
        self._bytes.add(received.file_size)
        return received

    async def give_up(self, key: Key) -> None:
        """Be without a loose object, even when nobody waits for it any longer. Never raises."""
        await run_shielded(self._give_up(key))

    async def _give_up(self, key: Key) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                if await self._uploads.abandon(key):
                    await self._disposal.collect([key])
        except (TimeoutError, Unavailable):
            _log.warning("upload.object_unreferenced", extra={"key": key})


def new_key(folder: str) -> Key:
    """A key in `folder` that was never used."""
    return f"{folder}/{uuid4()}"
