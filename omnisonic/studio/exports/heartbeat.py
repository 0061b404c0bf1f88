"""The heartbeat of a job: renews its lease, stores and announces progress, and stops the work when it is obsolete.

Asyncio. Owned by the task that works on the job.

Overload: progress is announced every `PROGRESS_S` at most. Crash, or the database unavailable: the work goes on, and
its result counts if the lease is still valid at the end. Shutdown: when `run` is cancelled, the job is released before
anything else is waited for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable
from omnisonic.models import Upload
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.exports import CannotRender, missing_source, progress_event
from omnisonic.studio.exports.export_queue import BEAT_S, ExportQueue, Job

PROGRESS_S: Final = 0.2
"""The time between two progress events of an export: with two exports at once there are ten a second."""
RELEASE_TIMEOUT_S: Final = 3.0
"""How long releasing a job may take; after that its lease runs out by itself."""

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Announce: TypeAlias = Callable[[RoomSaid], Awaitable[None]]
"""Sends an event to its room. Never raises."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class JobLost(Exception):
    """The export was removed, or another worker has the job: the result of this attempt is not needed."""


class Heartbeat:
    """Keeps `job` leased while its owner works on it.

    `sources` are the uploads that must stay in the session meanwhile.
    """

    def __init__(self, queue: ExportQueue, job: Job, announce: Announce, *, sleep: Sleep) -> None:
        self.sources: list[Upload] = []
        self._queue = queue
        self._job = job
        self._announce = announce
        self._sleep = sleep
        self._progress = 0
        self._is_ending = False

    def set_progress(self, percent: float) -> None:
        """Set how far the export is. It never goes back."""
        self._progress = max(self._progress, min(99, int(percent)))

    async def check(self) -> None:
        """Renew the lease, and check that the result is still needed.

        Raises:
            JobLost: The export was removed, or another worker has the job.
            CannotRender: One of the sources was removed.
            Unavailable: The database does not answer.
        """
        if not await self._queue.renew(self._job, self._progress):
            raise JobLost
        missing = await self._queue.find_missing(self._job, self.sources) if self.sources else None
        if missing is not None:
            raise missing_source(missing.file_name)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """While the block ends the job, a failing check is expected and does not stop the work."""
        self._is_ending = True
        try:
            yield
        finally:
            self._is_ending = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` with a heartbeat, and return its result.

        Raises:
            JobLost: As `check`; the work was cancelled.
            CannotRender: As `check`; the work was cancelled.
            Exception: Whatever `work` raises.
        """
        working = asyncio.create_task(work)
        tasks: list[asyncio.Task[Any]] = [
            working,
            asyncio.create_task(self._keep_checking()),
            asyncio.create_task(self._announce_progress()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                for task in tasks:
                    if task.done():
                        task.result()  # raises
            return await working
        except asyncio.CancelledError:
            working.cancel()
            await self.release()
            raise
        finally:
            for task in tasks:
                if not task.cancelling():  # a second cancellation would interrupt its cleanup
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def release(self) -> None:
        """Give the job back, so that others can take it at once. Never raises."""
        await run_shielded(self._release())

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._queue.release(self._job)
                waiting = msgspec.structs.replace(self._job.export, status="pending", progress=0)
                await self._announce(progress_event(waiting))
        except (TimeoutError, Unavailable):
            _log.warning("export.not_released", extra={"export": self._job.export.id})

    async def _keep_checking(self) -> None:
        while True:
            await self._sleep(BEAT_S)
            try:
                await self.check()
            except (TimeoutError, Unavailable) as problem:
                _log.warning("export.heartbeat_failed", extra={"reason": str(problem) or "It took too long."})
            except (JobLost, CannotRender):
                if not self._is_ending:
                    raise

    async def _announce_progress(self) -> None:
        announced = 0
        while True:
            await self._sleep(PROGRESS_S)
            if self._progress > announced:
                announced = self._progress
                await self._announce(progress_event(msgspec.structs.replace(self._job.export, progress=announced)))
