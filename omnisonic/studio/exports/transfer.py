"""Transfers between the storage and this machine: stems are copied here to be mixed, finished mixdowns are published.

Asyncio. Copies are files without a name: nothing of them is left, however this process ends. A mixdown is noted as
unreferenced, put, and then bound to its export (`omnisonic.studio.uploads`).

Overload: at most `MOST_BYTES` of stems, one file at a time; a full disk is an `OSError`. Storage or database
unavailable: publishing waits for them, up to `HOLD_S`, for mixing again would cost more. Crash: what was put stays
unreferenced, and the garbage collector deletes it when it is due. Shutdown: cancel at any time; cancelling a
publication abandons its object.
"""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import BinaryIO, Final, TypeVar, cast
from uuid import uuid4

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable
from omnisonic.models import Export
from omnisonic.stores.storage import CHUNK_BYTES, Key, Label, NoSuchObject, Storage
from omnisonic.studio.exports import MEDIA_TYPES, CannotRender, RenderLater, missing_source
from omnisonic.studio.exports.export_queue import MOST_STEMS, ExportQueue, Finished, Job
from omnisonic.studio.exports.heartbeat import Heartbeat, Sleep
from omnisonic.studio.mixdown import Mixed, Stem
from omnisonic.studio.uploads import StoredUpload

MOST_BYTES: Final = 8 * 2**30
"""Most bytes of all stems of an export together."""
COPY_S: Final = 900.0
"""Longest time for copying all stems of an export."""
FOLDER: Final = "exports"
"""Where the keys of exports are."""
RETRY_S: Final = 5.0
"""The time between two attempts while the storage or the database is unavailable."""
HOLD_S: Final = 1800.0
"""How long publishing waits for the storage; after that the export is mixed again when the storage is back."""
ABANDON_TIMEOUT_S: Final = 3.0
"""How long abandoning an object may take; after that the garbage collector finds it."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def select_audible(stems: Sequence[StoredUpload]) -> list[StoredUpload]:
    """The stems that are not muted. Raises `CannotRender` when all of several are muted, or too many are not."""
    audible = [stored for stored in stems if not stored.upload.muted]
    if stems and not audible:
        raise CannotRender("Every stem is muted. Unmute one, then render again.")
    if len(audible) > MOST_STEMS:
        raise CannotRender(f"At most {MOST_STEMS} files can be mixed. Mute or remove some, then render again.")
    if sum(stored.upload.file_size for stored in audible) > MOST_BYTES:
        raise CannotRender(
            f"The stems are too large to be mixed: at most {MOST_BYTES // 2**30} GB together. Mute or remove some, "
            "then render again."
        )
    return audible


def stem_of(stored: StoredUpload) -> Stem:
    """The mix settings of an upload."""
    upload = stored.upload
    return Stem(
        upload.file_name,
        upload.gain_db,
        upload.pan,
        upload.offset_seconds,
        upload.trim_start_seconds,
        upload.trim_end_seconds,
        upload.fade_in_seconds,
        upload.fade_out_seconds,
    )


@asynccontextmanager
async def copy_stems(
    storage: Storage, stems: Sequence[StoredUpload], on_progress: Callable[[float], None], *, within_s: float = COPY_S
) -> AsyncIterator[list[BinaryIO]]:
    """Copy the stems out of the storage into files that are deleted when the block ends.

    Args:
        storage: Where the stems are.
        stems: What to copy.
        on_progress: Called with the part that is copied, from 0 to 1.
        within_s: Longest time for all of them.

    Yields:
        The files in the order of the stems, each at its beginning.

    Raises:
        CannotRender: A stem is no longer there.
        RenderLater: It took longer than `within_s`.
        Unavailable: The storage does not answer.
        OSError: This machine's disk cannot be written.
    """
    files = ExitStack()
    try:
        yield await _copy_all(files, storage, stems, on_progress, within_s)
    finally:
        # After a cancellation a thread may still be writing, and closing waits for it: do not wait here.
        asyncio.get_running_loop().run_in_executor(None, files.close)


async def _copy_all(
    files: ExitStack,
    storage: Storage,
    stems: Sequence[StoredUpload],
    on_progress: Callable[[float], None],
    within_s: float,
) -> list[BinaryIO]:
    copies: list[BinaryIO] = []
    whole_bytes, done_bytes = sum(stored.upload.file_size for stored in stems), 0

    def count(size: int) -> None:
        nonlocal done_bytes
        done_bytes += size
        on_progress(min(1.0, done_bytes / whole_bytes))

    try:
        async with asyncio.timeout(within_s):
            for stored in stems:
                file = tempfile.TemporaryFile(prefix="omnisonic-")  # noqa: SIM115 - `files` closes it
                copies.append(cast("BinaryIO", files.enter_context(file)))
                await _copy(storage, stored, copies[-1], count)
    except TimeoutError:
        raise RenderLater("Getting the stems out of the studio's storage took too long. Render again later.") from None
    return copies


async def _copy(storage: Storage, stored: StoredUpload, file: BinaryIO, count: Callable[[int], None]) -> None:
    try:
        async with aclosing(storage.read(stored.key)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                count(len(chunk))
    except NoSuchObject:
        raise missing_source(stored.upload.file_name) from None
    await asyncio.to_thread(file.seek, 0)


class ExportPublisher:
    """Puts finished mixdowns into `storage`, and completes their exports in `queue`."""

    def __init__(self, queue: ExportQueue, storage: Storage, *, sleep: Sleep) -> None:
        self._queue = queue
        self._storage = storage
        self._sleep = sleep

    async def publish(self, job: Job, file: BinaryIO, mixed: Mixed, heartbeat: Heartbeat) -> Export | None:
        """Put `file` into the storage and complete the export.

        Returns:
            The completed export; None when the lease is no longer ours.

        Raises:
            StorageFull: There is no room for the file.
            Unavailable: The storage did not answer for `HOLD_S`.
        """
        held_s = 0.0
        while True:
            try:
                if held_s:
                    await self._storage.ping()
                return await self._publish(job, file, mixed, heartbeat)
            except (Unavailable, NoSuchObject) as problem:
                if held_s >= HOLD_S:
                    raise Unavailable(problem.message) from problem
                _log.warning("export.suspended", extra={"export": job.export.id, "reason": problem.message})
            await self._sleep(RETRY_S)
            held_s += RETRY_S

    async def retry_until_answered(self, act: Callable[[], Awaitable[T]]) -> T:
        """Call `act`, which may be repeated, until the database answers, and return the result."""
        while True:
            try:
                return await act()
            except Unavailable as problem:
                _log.warning("export.not_announced", extra={"reason": problem.message})
            await self._sleep(RETRY_S)

    async def _publish(self, job: Job, file: BinaryIO, mixed: Mixed, heartbeat: Heartbeat) -> Export | None:
        key = f"{FOLDER}/{uuid4()}"
        export: Export | None = None
        await self._queue.note(key)
        try:
            finished = await self._put(key, job, file, mixed)
            with heartbeat.ending():
                export = await self.retry_until_answered(partial(self._queue.complete, job, finished))
        finally:
            if export is None:
                await run_shielded(self._abandon(key))  # also when this task is cancelled
        return export

    async def _put(self, key: Key, job: Job, file: BinaryIO, mixed: Mixed) -> Finished:
        digest, size = hashlib.sha256(), await asyncio.to_thread(file.seek, 0, 2)
        label = Label(MEDIA_TYPES[job.export.format], job.export.file_name)
        await self._storage.put(key, _read_blocks(file), label, digest=digest)
        measured = mixed.duration_s, mixed.loudness_lufs, mixed.peak_dbfs, mixed.warning
        return Finished(key, size, digest.hexdigest(), *measured)

    async def _abandon(self, key: Key) -> None:
        """Abandon an object that did not become an export. Never raises."""
        try:
            async with asyncio.timeout(ABANDON_TIMEOUT_S):
                await self._queue.abandon(key)
        except (TimeoutError, Unavailable):
            _log.warning("export.object_unreferenced", extra={"key": key})


async def _read_blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    """The whole file, from its beginning."""
    await asyncio.to_thread(file.seek, 0)
    while block := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield block
