"""Listens to what people have uploaded, one file after the other, and tells its room what was heard. Asyncio. Each
is a span, `upload.analyse`, in the trace in which the file arrived.

Overload: `AT_ONCE` files at a time, the others wait in the queue (`omnisonic.studio.uploads.analyses`). Several workers
may do so at once. Crash, or a store that does not answer: the file is listened to again when its lease is over; while
the store is away, no others are taken. Shutdown: cancel at any time; what was being listened to is taken again, too.
"""

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import BinaryIO, Final, TypeAlias

import msgspec
from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from omnisonic.models import Upload
from omnisonic.observability.trace_context import continued
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.storage import NoSuchObject, Storage
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.uploads import StoredUpload
from omnisonic.studio.uploads.analyses import Analysis, AnalysisQueue

AT_ONCE: Final = 2
RETRY_S: Final = 10.0
"""How long after something failed that the file could not help."""
COPY_S: Final = 120.0
"""Longest that a file may take to come out of the storage: with listening to it, less than its lease."""
CHANGED: Final = "upload.changed"

Listen: TypeAlias = Callable[[BinaryIO], Awaitable[Analysis | None]]
"""What is in a file that stands at its beginning; None for no sound. Raises what is not the file's fault."""
Tell: TypeAlias = Callable[[RoomSaid], Awaitable[None]]
"""Tells a room. Never raises."""

_log = logging.getLogger(__name__)


class AnalysisWorker:
    """Takes uploads from `queue`, reads them from `storage`, and keeps what `listen` hears in them."""

    def __init__(
        self,
        queue: AnalysisQueue,
        storage: Storage,
        listen: Listen,
        tell: Tell,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._listen = listen
        self._tell = tell
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
        """Listen to all that comes. Never returns."""
        await self._jobs.run()

    async def analyse_next(self) -> bool:
        """Listen to the upload that has waited longest; whether there was one.

        Errors: `Unavailable`, `TimeoutError`, and what `listen` raises: it is taken again later.
        """
        kept = await self._queue.take()
        if kept is None:
            return False
        about: dict[str, AttributeValue] = {"upload": kept.upload.id, "bytes": kept.upload.file_size}
        with self._tracer.start_as_current_span("upload.analyse", continued(kept.trace), attributes=about):
            changed = await self._queue.finish(kept.upload, await self._analyse(kept))
            if changed is not None:
                await self._tell_room(changed)
        return True

    async def _analyse(self, kept: StoredUpload) -> Analysis | None:
        # Decoders want to go back and forth, and some formats say at their end what is at their beginning.
        # A file without a name: nothing of it is left, however this process ends.
        with tempfile.TemporaryFile(prefix="omnisonic-") as file:
            try:
                async with asyncio.timeout(COPY_S):
                    await self._copy(kept, file)
            except NoSuchObject:
                return None  # removed meanwhile, or lost: there is nothing to be heard
            file.seek(0)
            return await self._listen(file)

    async def _copy(self, kept: StoredUpload, file: BinaryIO) -> None:
        async with aclosing(self._storage.read(kept.key)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)

    async def _tell_room(self, upload: Upload) -> None:
        if upload.session_id is not None:
            await self._tell(RoomSaid(upload.session_id, CHANGED, msgspec.Raw(msgspec.json.encode(upload))))
