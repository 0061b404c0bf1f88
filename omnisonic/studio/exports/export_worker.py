"""Makes the exports that were asked for, and tells their rooms (SPEC 5.2). Asyncio; run by the worker.

Several at a time, the others wait in the queue (`omnisonic.studio.exports.queue`); several workers may do so at once.
What is a file's fault, or takes too long, has failed for good, with a sentence; what is nobody's is tried again later;
while the storage or the database is away no others are taken, and that counts as no try. Overload: so many at once,
their stems bounded (`omnisonic.studio.exports.sources`). Crash: the job is taken again when its lease is over.
Shutdown: cancel at any time; what was being made is given back at once.
"""

import asyncio
import errno
import logging
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import BinaryIO, Final, Protocol, cast

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.models import Export, ExportFormat
from omnisonic.stores.storage import Storage, StorageFull
from omnisonic.studio.exports.events import progressed
from omnisonic.studio.exports.failures import CannotRender, RenderLater
from omnisonic.studio.exports.heartbeat import Heartbeat, JobLost, Sleep, Tell
from omnisonic.studio.exports.publishing import ExportPublisher
from omnisonic.studio.exports.queue import CRASHED, ExportQueue, Job
from omnisonic.studio.exports.sources import COPY_S, audible, copied
from omnisonic.studio.exports.telemetry import ExportTelemetry
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.mixdown import Mixed, MixFailed, Project, Stem, TooLong, UnusableStem
from omnisonic.studio.uploads import StoredUpload

AT_ONCE: Final = 2
MIX_S: Final = 600.0
RETRY_S: Final = 5.0
"""How long after the storage or the database was away."""
COPIED_PERCENT: Final = 5
"""How far an export is when its stems are there."""
MIXED_PERCENT: Final = 95
"""And when it only has to be put."""
DISK_FULL: Final = "The studio's disk is full. Ask whoever runs it to make room, then render again."

_log = logging.getLogger(__name__)


class Mixer(Protocol):
    """Mixes files as the project's stems say, in their order, into `output`.

    `told` hears which part is done, from 0 to 1. Cancelling ends it at once.
    Errors: `UnusableStem`; `TooLong` when it took more than `within_s`; `MixFailed`; `OSError`.
    """

    def __call__(
        self,
        project: Project,
        files: Sequence[BinaryIO],
        output: BinaryIO,
        format_: ExportFormat,
        /,
        *,
        told: Callable[[float], None],
        within_s: float,
    ) -> Awaitable[Mixed]: ...


class ExportWorker:
    """Takes jobs from `queue`, mixes what is in `storage` by `mix`, and puts it there. Tells the rooms by `tell`.

    `at_once` of them, each `mix_s` at most.
    """

    def __init__(
        self,
        queue: ExportQueue,
        storage: Storage,
        mix: Mixer,
        tell: Tell,
        *,
        at_once: int = AT_ONCE,
        mix_s: float = MIX_S,
        copy_s: float = COPY_S,
        sleep: Sleep = asyncio.sleep,
        instruments: ExportTelemetry | None = None,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._mix = mix
        self._tell = tell
        self._mix_s = mix_s
        self._copy_s = copy_s
        self._sleep = sleep
        self._instruments = instruments or ExportTelemetry()
        self._jobs = JobLoop(
            self.render_next,
            storage,
            postponed="export.postponed",
            failed="export.failed",
            at_once=at_once,
            retry_s=RETRY_S,
            sleep=sleep,
        )
        self._delivery = ExportPublisher(queue, storage, sleep=sleep)

    async def run(self) -> None:
        """Make all that is asked for. Never returns."""
        await self._jobs.run()

    async def render_next(self) -> bool:
        """Make the export that has waited longest, or say why not; whether there was one.

        Errors: `Unavailable`, once the job is given back.
        """
        taken = await self._queue.take()
        if taken is None:
            return False
        if isinstance(taken, Export):
            await self._tell(progressed(taken))
            return True
        with self._instruments.rendering(taken) as attempt:
            await self._tell(progressed(taken.export))
            ended = await self._ended(taken)
            attempt.ended(ended)
            if ended is not None:
                await self._tell(progressed(ended))
        return True

    async def _ended(self, job: Job) -> Export | None:
        """The export as it is when this try is over; None when it is not ours any more. Errors: `Unavailable`."""
        heart = Heartbeat(self._queue, job, self._tell, sleep=self._sleep)
        try:
            return await heart.keep(self._mix_stems(job, heart))
        except JobLost:
            _log.info("export.lease_lost", extra={"export": job.export.id})
            return None
        except (CannotRender, UnusableStem, TooLong) as problem:
            return await self._settled(job, self._queue.fail, problem.message, problem)
        except (RenderLater, StorageFull, MixFailed) as problem:
            return await self._settled(job, self._queue.postpone, problem.message, problem)
        except Unavailable:
            await heart.release()
            raise
        except OSError as problem:
            reason = DISK_FULL if problem.errno in (errno.ENOSPC, errno.EDQUOT) else CRASHED
            return await self._settled(job, self._queue.postpone, reason, problem)
        except Exception as problem:  # noqa: BLE001 - it is tried again, and then has failed
            return await self._settled(job, self._queue.postpone, CRASHED, problem)

    async def _settled(
        self, job: Job, settle: Callable[[Job, str], Awaitable[Export | None]], reason: str, problem: Exception
    ) -> Export | None:
        is_told = isinstance(problem, OmnisonicError)
        _log.warning(
            "export.incomplete",
            extra={"export": job.export.id, "reason": reason},
            exc_info=None if is_told else problem,
        )
        return await self._delivery.until_answered(partial(settle, job, reason))

    async def _mix_stems(self, job: Job, heart: Heartbeat) -> Export | None:
        """Copy, mix, deliver."""
        stems = audible(job.stems)
        heart.sources = [kept.upload for kept in stems]
        project = Project(job.tempo_bpm, job.beats_per_bar, [_stem(kept) for kept in stems])

        def copying(part: float) -> None:
            heart.reach(part * COPIED_PERCENT)

        def mixing(part: float) -> None:
            heart.reach(COPIED_PERCENT + part * (MIXED_PERCENT - COPIED_PERCENT))

        with tempfile.TemporaryFile(prefix="omnisonic-") as opened:
            output = cast("BinaryIO", opened)
            async with AsyncExitStack() as copies:
                with self._instruments.step("copy"):
                    copying_all = copied(self._storage, stems, copying, within_s=self._copy_s)
                    files = await copies.enter_async_context(copying_all)
                with self._instruments.step("mix"):
                    mixed = await self._mix(
                        project, files, output, job.export.format, told=mixing, within_s=self._mix_s
                    )
            heart.reach(MIXED_PERCENT)
            await self._delivery.until_answered(heart.check)
            with self._instruments.step("deliver"):
                return await self._delivery.publish(job, output, mixed, heart)


def _stem(kept: StoredUpload) -> Stem:
    upload = kept.upload
    return Stem(upload.file_name, upload.gain_db, upload.pan, upload.offset_seconds)
