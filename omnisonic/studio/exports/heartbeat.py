"""The heartbeat of a job: it renews the lease, notes and tells how far the export is, and stops the work when there is
no use in it any more. Asyncio. Owned by whoever has the job.

Overload: progress is told every `TELL_S` at most, and never waits for. Crash, or a database that does not answer: the
work goes on; it counts if the lease still holds when it is done. Shutdown: when `keep` is cancelled, the job is given
back before anything else is waited for.
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
from omnisonic.studio.exports.events import progressed
from omnisonic.studio.exports.failures import CannotRender, source_gone
from omnisonic.studio.exports.queue import BEAT_S, ExportQueue, Job

TELL_S: Final = 0.2
"""The time between two words to the room: with two exports at once they are ten a second."""
GIVE_BACK_S: Final = 3.0
"""How long giving a job back may take; then its lease runs out by itself."""

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Tell: TypeAlias = Callable[[RoomSaid], Awaitable[None]]
"""Tells a room. Never raises."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class JobLost(Exception):
    """The export was removed, or another worker has it: nobody waits for what is made here."""


class Heartbeat:
    """Keeps `job` the caller's while it works. `sources`: the uploads that have to stay there meanwhile."""

    def __init__(self, queue: ExportQueue, job: Job, tell: Tell, *, sleep: Sleep) -> None:
        self.sources: list[Upload] = []
        self._queue = queue
        self._job = job
        self._tell = tell
        self._sleep = sleep
        self._progress = 0
        self._is_held = False

    def reach(self, progress: float) -> None:
        """The export is so far, in percent. It never goes back."""
        self._progress = max(self._progress, min(99, int(progress)))

    async def check(self) -> None:
        """Renew the lease, and see that there is still use in the work.

        Errors: `JobLost`; `CannotRender` when one of the sources is gone; `Unavailable`.
        """
        if not await self._queue.beat(self._job, self._progress):
            raise JobLost
        gone = await self._queue.gone(self._job, self.sources) if self.sources else None
        if gone is not None:
            raise source_gone(gone.file_name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the work says what has become of the job, it is no news that it is not being worked on any more."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    async def keep(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of `work`. Errors: its own; `JobLost`; `CannotRender` when one of the sources is gone."""
        working = asyncio.create_task(work)
        tasks: list[asyncio.Task[Any]] = [
            working,
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._say()),
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
                if not task.cancelling():  # a second time would cut its tidying up short
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def release(self) -> None:
        """Let others take the job at once. Never raises."""
        await run_shielded(self._release())

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(GIVE_BACK_S):
                await self._queue.release(self._job)
                waiting = msgspec.structs.replace(self._job.export, status="pending", progress=0)
                await self._tell(progressed(waiting))
        except (TimeoutError, Unavailable):
            _log.warning("export.not_released", extra={"export": self._job.export.id})

    async def _beat(self) -> None:
        while True:
            await self._sleep(BEAT_S)
            try:
                await self.check()
            except (TimeoutError, Unavailable) as problem:
                _log.warning("export.heartbeat_failed", extra={"reason": str(problem) or "It took too long."})
            except (JobLost, CannotRender):
                if not self._is_held:
                    raise

    async def _say(self) -> None:
        told = 0
        while True:
            await self._sleep(TELL_S)
            if self._progress > told:
                told = self._progress
                await self._tell(progressed(msgspec.structs.replace(self._job.export, progress=told)))
