"""The preview worker: makes what the page of a share link needs of a mixdown, its waveform and an MP3. Asyncio.

A mixdown of 24 bits is too much for a phone on mobile data: an MP3 of 320 kbit/s is a seventh of it. It is made as a
mixdown of one stem, in the same sandbox; a mixdown that is an MP3 already is played as it is.

Overload: one at a time; the others wait in the queue (`omnisonic.studio.shares.preview_queue`), which several workers
may share. Crash: what was put stays unreferenced until the garbage collector deletes it, and the preview is made again
when the lease is over. A store that does not answer, or a machine that is too busy: the mixdown is given back, and its
preview is made again in a minute. Shutdown: cancel at any time; it is given back, too (`omnisonic.studio.attempts`).
"""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import BinaryIO, Final, cast

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable
from omnisonic.models import ExportId
from omnisonic.stores.storage import CHUNK_BYTES, Label, NoSuchObject, Storage, StorageFull
from omnisonic.studio.attempts import attempt, renewing
from omnisonic.studio.exports import MEDIA_TYPES, StoredExport
from omnisonic.studio.exports.export_worker import Mixer
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.media.analyser import CannotAnalyse
from omnisonic.studio.mixdown import MixFailed, Project, Stem, TooLong, UnusableStem
from omnisonic.studio.shares import Preview
from omnisonic.studio.shares.preview_queue import BEAT_S, PreviewQueue, packed_peaks
from omnisonic.studio.uploads.analysis_worker import Analyse
from omnisonic.studio.uploads.object_copy import copied_object
from omnisonic.studio.uploads.upload_writer import new_key

FOLDER: Final = "previews"
"""Where the keys of previews are."""
MIX_S: Final = 600.0
RETRY_S: Final = 10.0
"""The pause after a failure that is not the file's fault."""
ABANDON_S: Final = 3.0
"""How long abandoning an object may take; after that the garbage collector finds it."""
LABEL: Final = Label(MEDIA_TYPES["mp3"], "preview.mp3")
ALONE: Final = Project(120.0, 4, [Stem("mixdown")])
"""A project of one stem: what is mixed of it is the stem as it is."""

_log = logging.getLogger(__name__)


class PreviewWorker:
    """Takes mixdowns from `queue`, copies them out of `storage`, and puts their previews there."""

    def __init__(
        self,
        queue: PreviewQueue,
        storage: Storage,
        analyse: Analyse,
        mix: Mixer,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._analyse = analyse
        self._mix = mix
        self._sleep = sleep
        self._jobs = JobLoop(
            self.make_next,
            storage,
            postponed="previews.postponed",
            failed="previews.failed",
            at_once=1,
            retry_s=RETRY_S,
            sleep=sleep,
        )

    async def run(self) -> None:
        """Make all previews that are asked for. Never returns."""
        await self._jobs.run()

    async def make_next(self) -> bool:
        """Make the preview of the next mixdown in turn. False when none waits.

        Raises:
            Unavailable, TimeoutError: A store does not answer, or is full; the mixdown was given back.
            CannotAnalyse, MixFailed, OSError: The preview cannot be made here; the same.
        """
        stored = await self._queue.take()
        if stored is None:
            return False
        release = partial(self._queue.release, stored)
        outages = CannotAnalyse, MixFailed
        async with (
            attempt(release, *outages, not_released="previews.not_released"),
            renewing(
                partial(self._queue.renew, stored.export.id),
                BEAT_S,
                sleep=self._sleep,
                not_renewed="previews.lease_not_renewed",
                export=stored.export.id,
            ),
        ):
            await self._make_preview(stored)
        return True

    async def _make_preview(self, stored: StoredExport) -> None:
        export = stored.export
        assert stored.key is not None
        try:
            async with copied_object(self._storage, stored.key, export.file_size or 0) as file:
                analysis = await self._analyse(file)
                if analysis is None:
                    await self._queue.give_up(export.id)
                    return
                peaks = packed_peaks(analysis.peaks.peaks)
                if export.format == "mp3":
                    await self._queue.finish(export.id, peaks, None)
                else:
                    await self._put_mp3(export.id, file, peaks)
        except NoSuchObject:
            await self._queue.give_up(export.id)  # removed meanwhile, or lost
        _log.info("previews.made", extra={"export": export.id})

    async def _put_mp3(self, export: ExportId, file: BinaryIO, peaks: bytes) -> None:
        """Make an MP3 of `file`, put it, and bind it to the mixdown; or abandon it."""
        with tempfile.TemporaryFile(prefix="omnisonic-") as opened:
            output = cast("BinaryIO", opened)
            try:
                await self._mix(ALONE, [file], output, "mp3", on_progress=lambda _part: None, within_s=MIX_S)
            except (UnusableStem, TooLong) as problem:
                _log.warning("previews.without_mp3", extra={"export": export, "reason": problem.message})
                await self._queue.finish(export, peaks, None)
                return
            await self._put(export, output, peaks)

    async def _put(self, export: ExportId, output: BinaryIO, peaks: bytes) -> None:
        key, digest, is_bound = new_key(FOLDER), hashlib.sha256(), False
        size = await asyncio.to_thread(output.seek, 0, 2)
        await self._queue.register(key)
        try:
            await self._storage.put(key, _read_blocks(output), LABEL, digest=digest)
            is_bound = await self._queue.finish(export, peaks, Preview(key, size, digest.hexdigest()))
        except StorageFull as full:
            raise Unavailable(full.message) from full
        finally:
            if not is_bound:
                await run_shielded(self._abandon(key))

    async def _abandon(self, key: str) -> None:
        try:
            async with asyncio.timeout(ABANDON_S):
                await self._queue.abandon(key)
        except (TimeoutError, Unavailable):
            _log.warning("previews.object_unreferenced", extra={"key": key})


async def _read_blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    """The whole file, from its beginning."""
    await asyncio.to_thread(file.seek, 0)
    while block := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield block
