"""The analysis worker: analyses uploads and publishes the result to the rooms of their sessions. Asyncio.

Each analysis is a span, `upload.analyse`, in the trace in which the file was uploaded.

Overload: `AT_ONCE` files at a time; the others wait in the queue (`omnisonic.studio.uploads.analysis_queue`), which
several workers may share. A store that does not answer, or a machine that is too busy: the file is given back, and
analysed again in a minute; while the storage does not answer, no others are taken. Crash: the file is analysed again
when its lease is over. Shutdown: cancel at any time; the file is given back, too (`omnisonic.studio.attempts`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import BinaryIO, Final, TypeAlias

import msgspec
from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from omnisonic.models import Upload
from omnisonic.observability.trace_context import continued
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.storage import NoSuchObject, Storage
from omnisonic.studio.attempts import attempt, renewing
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.media.analyser import CannotAnalyse
from omnisonic.studio.uploads import Analysis, StoredUpload
from omnisonic.studio.uploads.analysis_queue import BEAT_S, AnalysisQueue
from omnisonic.studio.uploads.object_copy import copied_object

AT_ONCE: Final = 2
RETRY_S: Final = 10.0
"""The pause after a failure that is not the file's fault."""
CHANGED: Final = "upload.changed"

Analyse: TypeAlias = Callable[[BinaryIO], Awaitable[Analysis | None]]
"""Analyses a file from its beginning; None for no sound. Raises what is not the file's fault."""
Publish: TypeAlias = Callable[[RoomSaid], Awaitable[None]]
"""Publishes a message to a room. Never raises."""

_log = logging.getLogger(__name__)


class AnalysisWorker:
    """Takes uploads from `queue`, downloads them from `storage`, and stores what `analyse` finds in them."""

    def __init__(
        self,
        queue: AnalysisQueue,
        storage: Storage,
        analyse: Analyse,
        publish: Publish,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._analyse = analyse
        self._publish = publish
        self._sleep = sleep
        self._jobs = JobLoop(
            self.analyse_next,
            storage,
            postponed="analysis.postponed",
            failed="analysis.failed",
            at_once=AT_ONCE,
            retry_s=RETRY_S,
            sleep=sleep,
        )
        self._tracer = trace.get_tracer("studio-worker")

    async def run(self) -> None:
        """Analyse all uploads that come. Never returns."""
        await self._jobs.run()

    async def analyse_next(self) -> bool:
        """Analyse the next upload in turn. False when none waits.

        Raises:
            Unavailable, TimeoutError: A store does not answer; the upload was given back.
            CannotAnalyse, OSError: It cannot be analysed here; the same.
            Crashed: The upload is taken again when its lease is over.
            Exception: What else `analyse` raises; the upload is taken again when its lease is over.
        """
        stored = await self._queue.take()
        if stored is None:
            return False
        attributes: dict[str, AttributeValue] = {"upload": stored.upload.id, "bytes": stored.upload.file_size}
        with self._tracer.start_as_current_span("upload.analyse", continued(stored.trace), attributes=attributes):
            release = partial(self._queue.release, stored)
            async with (
                attempt(release, CannotAnalyse, not_released="analysis.not_released"),
                renewing(
                    partial(self._queue.renew, stored),
                    BEAT_S,
                    sleep=self._sleep,
                    not_renewed="analysis.lease_not_renewed",
                    upload=stored.upload.id,
                ),
            ):
                changed = await self._queue.finish(stored.upload, await self._analyse_object(stored))
            if changed is not None:
                await self._publish_change(changed)
        return True

    async def _analyse_object(self, stored: StoredUpload) -> Analysis | None:
        """Download the object into a temporary file and analyse that. None when it is gone, or has no sound."""
        try:
            async with copied_object(self._storage, stored.key, stored.upload.file_size) as file:
                return await self._analyse(file)
        except NoSuchObject:
            return None  # removed meanwhile, or lost

    async def _publish_change(self, upload: Upload) -> None:
        if upload.session_id is not None:
            await self._publish(RoomSaid(upload.session_id, CHANGED, msgspec.Raw(msgspec.json.encode(upload))))
