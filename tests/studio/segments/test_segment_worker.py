"""Making segments: a real database, a real storage, and real processes in their sandbox."""

import asyncio
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from omnisonic.stores.storage.s3 import S3Storage
from omnisonic.studio.segments import CannotCut, NoSegments, NoSuchSegment, SegmentsPending
from omnisonic.studio.segments.cutting import TOO_SLOW, UNDECODABLE, Cutting, cutting_command
from omnisonic.studio.segments.messages import MOST_BYTES
from omnisonic.studio.segments.segment_queue import TRIES
from omnisonic.studio.segments.segment_worker import SegmentWorker
from tests.http.sounds import png
from tests.processes import ended_with_block
from tests.s3_server import S3Server
from tests.stores.storage.shelves import bucket_at
from tests.studio.media.test_analysis_worker import within_deadline
from tests.studio.mixdown.sounds import file_of, file_of_bytes, noise
from tests.studio.segments.bench import HANG, bench_at, files_in, one_segment_and, opened
from tests.studio.segments.hearing import STEP, heard_by_mixdown, heard_in_segments
from tests.studio.segments.test_process import cut

SOUND: Final = file_of(noise(10.2), subtype="PCM_16").read()
SHORT: Final = file_of(noise(0.1), subtype="PCM_16").read()
MADE: Final = "SELECT count(*) FROM upload_segments"
ONCE_THERE: Final = """
import time
while not os.path.exists({path!r}):
    time.sleep(0.01)
cut = b'{{"frames": 1, "channels": 1, "bits": 16, "gain": 1}}'
os.write(1, HEADER.pack(MessageType.DONE, len(cut)) + cut)
"""
"""Is done once there is something at a path."""
UNTIL_KILLED: Final = """
import asyncio, sys
from functools import partial
from pathlib import Path
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.segments.cutting import Cutting
from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_worker import SegmentWorker
from tests.postgres_server import PATIENT
from tests.studio.segments.bench import HANG, one_segment_and

async def work():
    database = Database(sys.argv[1], deadlines=PATIENT)
    await database.open()
    cut = partial(Cutting, command=one_segment_and(HANG))
    await SegmentWorker(SegmentQueue(database), LocalStorage(Path(sys.argv[2])), cut).make_next()

asyncio.run(work())
"""


async def half_put(folder: Path) -> None:
    """Wait until some segments of the only upload are being put."""
    while files_in(folder) != ["segments.part", "uploads"]:  # noqa: ASYNC110 - another process does it
        await asyncio.sleep(0.02)


def test_a_stem_of_a_session_is_cut_right_after_its_analysis(database_url: str, tmp_path: Path) -> None:
    """In a process in the sandbox; what comes out is what the mixdown hears, and goes with the upload."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            upload = await bench.upload(SOUND, is_analysed=False)
            assert not await bench.worker().make_next()
            with pytest.raises(SegmentsPending):
                await bench.segments.describe(bench.login, upload)
            await bench.analyse(upload)
            assert await bench.worker(cutting_command).make_next()
            assert not await bench.worker().make_next()
            segments, (wanted, made) = await bench.read(upload), cut(SOUND)
            about = await bench.segments.describe(bench.login, upload)
            assert (about.count, about.frames, about.channels, about.bits_per_sample) == (2, 489_600, 2, 16)
            assert segments == wanted
            apart = heard_in_segments(segments, made) - heard_by_mixdown(file_of_bytes(SOUND))
            assert abs(apart).max() < STEP
            with pytest.raises(NoSuchSegment, match="segments 0 to 1"):
                await bench.segments.get(bench.login, upload, 2)
            assert await bench.number("SELECT count(*) FROM loose_objects") == 0
            await bench.database.row("DELETE FROM uploads")
            await bench.sweep()
            assert files_in(tmp_path) == []

    within_deadline(run())


def test_other_uploads_are_cut_when_somebody_asks(database_url: str, tmp_path: Path) -> None:
    """Those without a session, and those that were there before there were segments; each once."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            alone = await bench.upload(SHORT, alone=True)
            old = await bench.upload(SHORT)
            await bench.database.row("UPDATE uploads SET segments_due_at = NULL WHERE id = $1", old)
            assert not await bench.worker().make_next()
            for _ in range(2):
                for upload in (alone, old):
                    with pytest.raises(SegmentsPending):
                        await bench.segments.get(bench.login, upload, 0)
            assert [await bench.worker().make_next() for _ in range(3)] == [True, True, False]
            assert await bench.read(alone) == await bench.read(old) == cut(SHORT)[0]

    within_deadline(run())


def test_two_workers_make_one_set(database_url: str, tmp_path: Path) -> None:
    """One takes it. When the other had it for so long that both make them, the first set counts."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            upload = await bench.upload(SHORT)
            worked = await asyncio.gather(*(bench.worker().make_next() for _ in range(3)))
            assert sorted(worked) == [False, False, True]
            await bench.database.row("DELETE FROM upload_segments")
            await bench.sweep()
            await bench.database.row("UPDATE uploads SET segments_due_at = now()")
            may_end = tmp_path / "may-end"
            then = ONCE_THERE.format(path=str(may_end))
            slow = asyncio.create_task(bench.worker(one_segment_and(then)).make_next())
            await half_put(tmp_path)
            await bench.lease_is_over()
            assert await bench.worker().make_next()
            may_end.mkdir()
            assert await slow
            assert await bench.number(MADE) == 1
            await bench.sweep()
            assert files_in(tmp_path) == ["segments", "uploads"]
            assert await bench.read(upload) == cut(SHORT)[0]

    within_deadline(run())


def test_a_worker_that_is_killed_half_way_leaves_nothing_half(database_url: str, tmp_path: Path) -> None:
    """With SIGKILL, while it puts a segment. The next worker makes all of them; what was left is deleted."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            upload = await bench.upload(SHORT)
            command = [sys.executable, "-c", UNTIL_KILLED, database_url, str(tmp_path)]
            with ended_with_block(subprocess.Popen(command)):  # noqa: ASYNC220 - it returns when it is executed
                await half_put(tmp_path)
            with pytest.raises(SegmentsPending):
                await bench.segments.describe(bench.login, upload)
            assert not await bench.worker().make_next()
            await bench.lease_is_over()
            assert await bench.worker().make_next()
            assert await bench.read(upload) == cut(SHORT)[0]
            await bench.sweep()
            assert files_in(tmp_path) == ["segments", "uploads"]

    within_deadline(run())


def test_a_worker_that_is_stopped_half_way_abandons_its_object(database_url: str, tmp_path: Path) -> None:
    """And ends its process."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            await bench.upload(SHORT)
            work = asyncio.create_task(bench.worker(one_segment_and(HANG)).make_next())
            await half_put(tmp_path)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert files_in(tmp_path) == ["uploads"]
            assert await bench.number("SELECT count(*) FROM loose_objects WHERE doomed AND due_at <= now()") == 1

    within_deadline(run())


def test_of_a_file_without_sound_it_is_said_for_good(database_url: str, tmp_path: Path) -> None:
    """By whoever finds out first: the analysis, or the cut."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            silent, mistaken = [await bench.upload(png(), is_analysed=False) for _ in range(2)]
            await bench.analyse(silent, None)
            await bench.analyse(mistaken)
            assert [await bench.worker().make_next() for _ in range(2)] == [True, False]
            for upload in (silent, mistaken):
                with pytest.raises(NoSegments, match="There is no sound in this file"):
                    await bench.segments.get(bench.login, upload, 0)
            assert not await bench.worker().make_next()
            await bench.sweep()
            assert files_in(tmp_path) == ["uploads", "uploads"]

    within_deadline(run())


def test_what_was_tried_too_often_is_tried_when_somebody_asks(database_url: str, tmp_path: Path) -> None:
    """A crash may not be the file's fault, so nothing is final."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            upload = await bench.upload(SHORT)
            for _ in range(TRIES):
                with pytest.raises(CannotCut):
                    await bench.worker(one_segment_and("sys.exit(1)")).make_next()
                await bench.lease_is_over()
            assert not await bench.worker().make_next()
            with pytest.raises(SegmentsPending):
                await bench.segments.describe(bench.login, upload)
            assert await bench.worker().make_next()
            assert await bench.read(upload) == cut(SHORT)[0]

    within_deadline(run())


async def fail(worker: SegmentWorker) -> None:
    """Let it take an upload that cannot be cut here."""
    with pytest.raises(CannotCut, match="No sandbox here"):
        await worker.make_next()


async def stop(worker: SegmentWorker, folder: Path) -> None:
    """Stop it half-way."""
    work = asyncio.create_task(worker.make_next())
    await half_put(folder)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


def test_outages_and_stopped_workers_use_up_no_tries(database_url: str, tmp_path: Path) -> None:
    """After an outage the upload waits for a while; when a worker was stopped, the next one takes it at once."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            upload = await bench.upload(SHORT)
            no_sandbox = one_segment_and("os.write(1, HEADER.pack(MessageType.FAILED, 15) + b'No sandbox here')")
            for _ in range(TRIES):
                await fail(bench.worker(no_sandbox))
                assert not await bench.worker().make_next()
                await bench.lease_is_over()
            for _ in range(TRIES):
                await stop(bench.worker(one_segment_and(HANG)), tmp_path)
            assert await bench.worker().make_next()
            assert await bench.read(upload) == cut(SHORT)[0]

    within_deadline(run())


def test_segments_whose_object_is_lost_are_made_again(database_url: str, tmp_path: Path) -> None:
    """They can be, from the upload."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            upload = await bench.upload(SHORT)
            await bench.worker().make_next()
            await bench.segments.forget((await bench.segments.get(bench.login, upload, 0)).key)
            with pytest.raises(SegmentsPending):
                await bench.segments.get(bench.login, upload, 0)
            assert await bench.worker().make_next()
            assert await bench.read(upload) == cut(SHORT)[0]

    within_deadline(run())


def test_segments_are_made_in_a_bucket_too(database_url: str, s3: S3Server) -> None:
    """On a real server: put as one object, read in parts."""

    async def run() -> None:
        async with bench_at(database_url, S3Storage(bucket_at(s3.port))) as bench:
            upload = await bench.upload(SOUND)
            assert await bench.worker().make_next()
            assert await bench.read(upload) == cut(SOUND)[0]

    within_deadline(run())


@pytest.mark.parametrize(
    ("then", "problem", "sentence"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", NoSegments, UNDECODABLE),
        ("os.write(1, b'\\x09' + bytes(4))", NoSegments, UNDECODABLE),
        (f"os.write(1, bytes([0]) + ({MOST_BYTES} + 1).to_bytes(4, 'little'))", NoSegments, UNDECODABLE),
        ("os.write(1, HEADER.pack(MessageType.DONE, 2) + b'{}')", NoSegments, UNDECODABLE),
        ("os.write(1, HEADER.pack(MessageType.FAILED, 2) + b'no')", CannotCut, "no"),
        ("os.kill(os.getpid(), signal.SIGKILL)", CannotCut, "exit code -9"),
        ("sys.exit(1)", CannotCut, "exit code 1"),
        (HANG, NoSegments, TOO_SLOW),
    ],
)
def test_what_a_process_does_is_not_believed(
    then: str, problem: type[Exception], sentence: str, tmp_path: Path
) -> None:
    """The file is at fault when its decoder crashes, says nonsense or takes too long; else it is tried again."""

    async def run() -> None:
        within_s = 1.0 if then == HANG else 10.0
        with opened(SHORT, tmp_path) as file:
            cutting = Cutting(file, command=one_segment_and(then), within_s=within_s, at_idle_priority=False)
            with pytest.raises(problem, match=sentence):
                async with aclosing(cutting.segments()) as segments:
                    assert [segment async for segment in segments] == []

    within_deadline(run())
