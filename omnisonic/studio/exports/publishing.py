"""Brings a finished mixdown home: noted as loose, put, and bound to its export (`omnisonic.studio.uploads`). Asyncio.

A storage or a database that is away is waited for, `HOLD_S` long: the work is done, and nobody wants it done again.
Crash: what was put stays loose, and housekeeping deletes it when it is due. Cancellation gives the object up, too.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import BinaryIO, Final, TypeVar
from uuid import uuid4

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable
from omnisonic.models import Export
from omnisonic.stores.storage import CHUNK_BYTES, Key, Label, NoSuchObject, Storage
from omnisonic.studio.exports import MEDIA_TYPES
from omnisonic.studio.exports.heartbeat import Heartbeat, Sleep
from omnisonic.studio.exports.queue import ExportQueue, Finished, Job
from omnisonic.studio.mixdown import Mixed

FOLDER: Final = "exports"
"""Where the keys of exports are."""
RETRY_S: Final = 5.0
"""The time between two tries."""
HOLD_S: Final = 1800.0
"""How long a storage that is away is waited for; then it is mixed again when it is back."""
GIVE_UP_S: Final = 3.0
"""How long giving an object up may take; then it is housekeeping's."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ExportPublisher:
    """Puts finished files into `storage`, and tells `queue`."""

    def __init__(self, queue: ExportQueue, storage: Storage, *, sleep: Sleep) -> None:
        self._queue = queue
        self._storage = storage
        self._sleep = sleep

    async def publish(self, job: Job, file: BinaryIO, mixed: Mixed, heart: Heartbeat) -> Export | None:
        """The export, completed; None when the job is not ours any more.

        Errors: `StorageFull`; `Unavailable` when the storage was away for too long.
        """
        held_s = 0.0
        while True:
            try:
                if held_s:
                    await self._storage.ping()
                return await self._publish(job, file, mixed, heart)
            except (Unavailable, NoSuchObject) as problem:
                if held_s >= HOLD_S:
                    raise Unavailable(problem.message) from problem
                _log.warning("export.suspended", extra={"export": job.export.id, "reason": problem.message})
            await self._sleep(RETRY_S)
            held_s += RETRY_S

    async def until_answered(self, act: Callable[[], Awaitable[T]]) -> T:
        """What comes of `act`, which the database may not hear at first: it may be said twice."""
        while True:
            try:
                return await act()
            except Unavailable as problem:
                _log.warning("export.not_announced", extra={"reason": problem.message})
            await self._sleep(RETRY_S)

    async def _publish(self, job: Job, file: BinaryIO, mixed: Mixed, heart: Heartbeat) -> Export | None:
        key = f"{FOLDER}/{uuid4()}"
        export: Export | None = None
        await self._queue.note(key)
        try:
            finished = await self._put(key, job, file, mixed)
            with heart.held():
                export = await self.until_answered(partial(self._queue.complete, job, finished))
        finally:
            if export is None:
                await run_shielded(self._given_up(key))  # even when nobody waits for it any longer
        return export

    async def _put(self, key: Key, job: Job, file: BinaryIO, mixed: Mixed) -> Finished:
        digest, size = hashlib.sha256(), await asyncio.to_thread(file.seek, 0, 2)
        label = Label(MEDIA_TYPES[job.export.format], job.export.file_name)
        await self._storage.put(key, _blocks(file), label, digest=digest)
        measured = mixed.duration_s, mixed.loudness_lufs, mixed.peak_dbfs, mixed.warning
        return Finished(key, size, digest.hexdigest(), *measured)

    async def _given_up(self, key: Key) -> None:
        """Be without an object that became no export. Never raises."""
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await self._queue.abandon(key)
        except (TimeoutError, Unavailable):
            _log.warning("export.object_unreferenced", extra={"key": key})


async def _blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    """All of it, from the beginning."""
    await asyncio.to_thread(file.seek, 0)
    while block := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield block
