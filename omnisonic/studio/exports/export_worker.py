"""The export worker: takes requested exports from the queue, makes them, and tells their rooms (SPEC 5.2). Asyncio.

It makes several exports at once; several workers may share the queue (`omnisonic.studio.exports.export_queue`). A
failure that is a file's fault, or a mix that takes too long, is permanent and has a sentence for the user. Other
failures are retried later. While the storage or the database is unavailable no other jobs are taken, and the attempt
does not count.

Overload: `at_once` exports, each with bounded stems (`omnisonic.studio.exports.transfer`). Crash: the job is taken
again when its lease has run out. Shutdown: cancel at any time; unfinished jobs are released at once.
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
from omnisonic.models import AudioFormat, Export
from omnisonic.stores.storage import Storage, StorageFull
from omnisonic.studio.exports import DISK_FULL, CannotRender, RenderLater, progress_event
from omnisonic.studio.exports.export_queue import CRASHED, ExportQueue, Job
from omnisonic.studio.exports.heartbeat import Announce, Heartbeat, JobLost, Sleep
from omnisonic.studio.exports.stems_job import check_room, select_tracks, song_of
from omnisonic.studio.exports.telemetry import ExportTelemetry
from omnisonic.studio.exports.transfer import COPY_S, RETRY_S, ExportPublisher, copy_stems, select_audible, stem_of
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.mixdown import Mixed, MixFailed, Project, TooLong, UnusableStem
from omnisonic.studio.stems import Song
from omnisonic.studio.stems.exporter import export_stems
from omnisonic.studio.uploads import StoredUpload

AT_ONCE: Final = 2
MIX_S: Final = 600.0
COPIED_PERCENT: Final = 5
"""Progress when the stems are copied."""
MIXED_PERCENT: Final = 95
"""Progress when only publishing is left."""

_log = logging.getLogger(__name__)


class Mixer(Protocol):
    """Mixes `files` into `output`: `omnisonic.studio.mixdown.mixer.mix`, or a fake in tests. Cancelling ends it.

    Args:
        project: Tempo, and the mix settings of the stems.
        files: The stems in the order of the project.
        output: Where the mixdown is written.
        format_: The file format.
        on_progress: Called with the part that is done, from 0 to 1.
        within_s: Longest time.

    Raises:
        UnusableStem: One of the files cannot be mixed.
        TooLong: It took longer than `within_s`.
        MixFailed: There is no mixdown, and no file is to blame.
        OSError: The mixdown cannot be written.
    """

    def __call__(
        self,
        project: Project,
        files: Sequence[BinaryIO],
        output: BinaryIO,
        format_: AudioFormat,
        /,
        *,
        on_progress: Callable[[float], None],
        within_s: float,
    ) -> Awaitable[Mixed]: ...


class StemExporter(Protocol):
    """Writes every track as a WAV into an archive: `omnisonic.studio.stems.exporter.export_stems`.

    Args, errors and cancelling are those of a `Mixer`.
    """

    def __call__(
        self,
        song: Song,
        files: Sequence[BinaryIO],
        output: BinaryIO,
        /,
        *,
        on_progress: Callable[[float], None],
        within_s: float,
    ) -> Awaitable[Mixed]: ...


class ExportWorker:
    """Makes the exports in `queue`.

    Args:
        queue: Where the jobs are.
        storage: Where the stems are and the mixdowns go.
        mix: Mixes one export.
        announce: Sends an event to a room.
        export_stems: Makes an archive of stems.
        at_once: How many exports are made at once.
        mix_s: Longest time for mixing one export.
        copy_s: Longest time for copying its stems.
        sleep: Waits; another clock in tests.
        telemetry: Spans and metrics.
    """

    def __init__(
        self,
        queue: ExportQueue,
        storage: Storage,
        mix: Mixer,
        announce: Announce,
        *,
        export_stems: StemExporter = export_stems,
        at_once: int = AT_ONCE,
        mix_s: float = MIX_S,
        copy_s: float = COPY_S,
        sleep: Sleep = asyncio.sleep,
        telemetry: ExportTelemetry | None = None,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._mix = mix
        self._export_stems = export_stems
        self._announce = announce
        self._mix_s = mix_s
        self._copy_s = copy_s
        self._sleep = sleep
        self._telemetry = telemetry or ExportTelemetry()
        self._jobs = JobLoop(
            self.render_next,
            storage,
            postponed="export.postponed",
            failed="export.failed",
            at_once=at_once,
            retry_s=RETRY_S,
            sleep=sleep,
        )
        self._publisher = ExportPublisher(queue, storage, sleep=sleep)

    async def run(self) -> None:
        """Make all exports that are requested. Never returns."""
        await self._jobs.run()

    async def render_next(self) -> bool:
        """Make the next export, or end it with a reason. False when no job waits.

        Raises:
            Unavailable: The storage or the database does not answer; the job was released.
        """
        taken = await self._queue.take()
        if taken is None:
            return False
        if isinstance(taken, Export):
            await self._announce(progress_event(taken))
            return True
        with self._telemetry.trace_attempt(taken) as attempt:
            ended = await self._make_export(taken)
            attempt.end(ended)
            if ended is not None:
                await self._announce(progress_event(ended))
        return True

    async def _make_export(self, job: Job) -> Export | None:
        """Make one attempt; the export as it is afterwards, None when it is not ours any more."""
        heartbeat = Heartbeat(self._queue, job, self._announce, sleep=self._sleep)
        try:
            return await heartbeat.run(self._render(job, heartbeat))
        except JobLost:
            _log.info("export.lease_lost", extra={"export": job.export.id})
            return None
        except (CannotRender, UnusableStem, TooLong) as problem:
            return await self._end_job(job, self._queue.fail, problem.message, problem)
        except (RenderLater, StorageFull, MixFailed) as problem:
            return await self._end_job(job, self._queue.postpone, problem.message, problem)
        except Unavailable:
            await heartbeat.release()
            raise
        except OSError as problem:
            reason = DISK_FULL if problem.errno in (errno.ENOSPC, errno.EDQUOT) else CRASHED
            return await self._end_job(job, self._queue.postpone, reason, problem)
        except Exception as problem:  # noqa: BLE001 - it is retried, and then has failed
            return await self._end_job(job, self._queue.postpone, CRASHED, problem)

    async def _end_job(
        self, job: Job, end: Callable[[Job, str], Awaitable[Export | None]], reason: str, problem: Exception
    ) -> Export | None:
        is_expected = isinstance(problem, OmnisonicError)
        _log.warning(
            "export.incomplete",
            extra={"export": job.export.id, "reason": reason},
            exc_info=None if is_expected else problem,
        )
        return await self._publisher.retry_until_answered(partial(end, job, reason))

    async def _render(self, job: Job, heartbeat: Heartbeat) -> Export | None:
        """Tell the room, copy the stems, make the file, and publish it."""
        await self._announce(progress_event(job.export))
        stems = select_tracks(job.stems) if job.export.format == "stems" else select_audible(job.stems)
        if job.export.format == "stems":
            await asyncio.to_thread(check_room, stems)
        heartbeat.sources = [stored.upload for stored in stems]

        def on_copy(part: float) -> None:
            heartbeat.set_progress(part * COPIED_PERCENT)

        def on_mix(part: float) -> None:
            heartbeat.set_progress(COPIED_PERCENT + part * (MIXED_PERCENT - COPIED_PERCENT))

        with tempfile.TemporaryFile(prefix="omnisonic-") as opened:
            output = cast("BinaryIO", opened)
            async with AsyncExitStack() as copies:
                with self._telemetry.trace_step("copy"):
                    copying = copy_stems(self._storage, stems, on_copy, within_s=self._copy_s)
                    files = await copies.enter_async_context(copying)
                with self._telemetry.trace_step("mix"):
                    mixed = await self._make_file(job, stems, files, output, on_mix)
            heartbeat.set_progress(MIXED_PERCENT)
            await self._publisher.retry_until_answered(heartbeat.check)
            with self._telemetry.trace_step("deliver"):
                return await self._publisher.publish(job, output, mixed, heartbeat)

    def _make_file(
        self,
        job: Job,
        stems: Sequence[StoredUpload],
        files: Sequence[BinaryIO],
        output: BinaryIO,
        on_progress: Callable[[float], None],
    ) -> Awaitable[Mixed]:
        format_, within_s = job.export.format, self._mix_s
        if format_ == "stems":
            return self._export_stems(song_of(job, stems), files, output, on_progress=on_progress, within_s=within_s)
        project = Project(job.tempo_bpm, job.beats_per_bar, [stem_of(stored) for stored in stems])
        return self._mix(project, files, output, format_, on_progress=on_progress, within_s=within_s)
