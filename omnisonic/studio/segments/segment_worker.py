"""The segment worker: makes the segments of uploads, one object for each upload. Asyncio.

The segments go from the process that cuts the file straight into the storage, so two of them are in memory, however
long the file is; on this machine's disk there is a copy of it. Each cut is a span, `upload.cut`, in the trace in which
the file was uploaded.

Overload: `AT_ONCE` files at a time; the others wait in the queue (`omnisonic.studio.segments.segment_queue`), which
several workers may share. Crash: what was put stays unreferenced until the garbage collector deletes it, and the
segments are made again from the beginning when the lease is over. A store that does not answer, or a machine that is
too busy: the upload is given back, and its segments are made again in a minute. Shutdown: cancel at any time; the
upload is given back, too (`omnisonic.studio.attempts`).
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import BinaryIO, Final, TypeAlias

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable
from omnisonic.models import UploadId
from omnisonic.observability.trace_context import continued
from omnisonic.stores.storage import Key, Label, NoSuchObject, Storage, StorageFull
from omnisonic.studio.attempts import attempt, renewing
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.segments import FOLDER, MEDIA_TYPE, CannotCut, MadeSegments, NoSegments
from omnisonic.studio.segments.cutting import Cutting
from omnisonic.studio.segments.segment_limit import NO_SPACE
from omnisonic.studio.segments.segment_queue import BEAT_S, SegmentQueue
from omnisonic.studio.uploads import StoredUpload
from omnisonic.studio.uploads.object_copy import copied_object
from omnisonic.studio.uploads.upload_writer import new_key

AT_ONCE: Final = 2
RETRY_S: Final = 10.0
"""The pause after a failure that is not the file's fault."""
ABANDON_S: Final = 3.0
"""How long abandoning an object may take; after that the garbage collector finds it."""
LOST: Final = "The file is not there any more."
LABEL: Final = Label(MEDIA_TYPE, "segments.flac")

Cut: TypeAlias = Callable[[BinaryIO], Cutting]
"""Cuts a file."""

_log = logging.getLogger(__name__)


class SegmentWorker:
    """Takes uploads from `queue`, copies them out of `storage`, and puts their segments there."""

    def __init__(
        self,
        queue: SegmentQueue,
        storage: Storage,
        cut: Cut = Cutting,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._cut = cut
        self._sleep = sleep
        self._jobs = JobLoop(
            self.make_next,
            storage,
            postponed="segments.postponed",
            failed="segments.failed",
            at_once=AT_ONCE,
            retry_s=RETRY_S,
            sleep=sleep,
        )
        self._tracer = trace.get_tracer("studio-worker")

    async def run(self) -> None:
        """Make the segments of all uploads that come. Never returns."""
        await self._jobs.run()

    async def make_next(self) -> bool:
        """Make the segments of the next upload in turn. False when none waits.

        Raises:
            Unavailable, TimeoutError: A store does not answer, or is full; the upload was given back.
            CannotCut, OSError: The segments cannot be made here; the same.
            Crashed: The upload is taken again when its lease is over.
        """
        stored = await self._queue.take()
        if stored is None:
            return False
        upload = stored.upload
        attributes: dict[str, AttributeValue] = {"upload": upload.id, "bytes": upload.file_size}
        with self._tracer.start_as_current_span("upload.cut", continued(stored.trace), attributes=attributes):
            release = partial(self._queue.release, stored)
            async with (
                attempt(release, CannotCut, not_released="segments.not_released"),
                renewing(
                    partial(self._queue.renew, upload.id),
                    BEAT_S,
                    sleep=self._sleep,
                    not_renewed="segments.lease_not_renewed",
                    upload=upload.id,
                ),
            ):
                await self._make_segments(stored)
        return True

    async def _make_segments(self, stored: StoredUpload) -> None:
        if not await self._queue.has_space(stored.upload.id):
            _log.info("segments.none", extra={"upload": stored.upload.id, "reason": NO_SPACE})
            await self._queue.drop(stored.upload.id)
            return
        try:
            async with copied_object(self._storage, stored.key, stored.upload.file_size) as file:
                await self._put_segments(stored.upload.id, self._cut(file))
        except NoSuchObject:
            await self._queue.give_up(stored.upload.id, LOST)  # removed meanwhile, or lost
        except NoSegments as none:
            _log.info("segments.none", extra={"upload": stored.upload.id, "reason": none.message})
            await self._queue.give_up(stored.upload.id, none.message)

    async def _put_segments(self, upload: UploadId, cutting: Cutting) -> None:
        """Put all segments as one object, and bind it to the upload; or abandon it. Raises as `make_next`."""
        key, digest, is_bound = new_key(FOLDER), hashlib.sha256(), False
        await self._queue.register(key)
        try:
            async with aclosing(cutting.segments()) as segments:
                await self._storage.put(key, segments, LABEL, digest=digest)
            assert cutting.cut is not None
            made = MadeSegments(key, digest.hexdigest(), cutting.ends, cutting.cut)
            is_bound = await self._queue.finish(upload, made)
        except StorageFull as full:
            raise Unavailable(full.message) from full
        finally:
            if not is_bound:
                await run_shielded(self._abandon(key))
        _log.info("segments.made", extra={"upload": upload, "bytes": made.ends[-1], "count": len(made.ends)})

    async def _abandon(self, key: Key) -> None:
        try:
            async with asyncio.timeout(ABANDON_S):
                await self._queue.abandon(key)
        except (TimeoutError, Unavailable):
            _log.warning("segments.object_unreferenced", extra={"key": key})
