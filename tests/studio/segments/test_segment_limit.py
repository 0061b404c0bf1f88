"""How much room the segments of a user may take: a real database and a real storage."""

from pathlib import Path
from typing import Final

import pytest

from omnisonic.studio.segments import NoSegments, SegmentsPending
from omnisonic.studio.segments.segment_limit import NO_SPACE, TIMES_QUOTA
from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_store import SegmentStore
from tests.studio.media.test_analysis_worker import within_deadline
from tests.studio.mixdown.sounds import file_of, noise
from tests.studio.segments.bench import Bench, bench_at
from tests.studio.segments.test_process import cut

SHORT: Final = file_of(noise(0.1), subtype="PCM_16").read()
SEGMENT_BYTES: Final = len(cut(SHORT)[0][0])


def under(bench: Bench, quota_bytes: int) -> None:
    """From now on users have this quota."""
    bench.segments = SegmentStore(bench.database, quota_bytes=quota_bytes)
    bench.queue = SegmentQueue(bench.database, quota_bytes=quota_bytes)


async def assert_no_room(bench: Bench, upload: str) -> None:
    """Whoever asks is told so, and nothing is made for it."""
    for _ in range(2):
        with pytest.raises(NoSegments) as reported:
            await bench.segments.describe(bench.login, upload)
        assert reported.value.message == NO_SPACE
        assert not await bench.worker().make_next()


def test_segments_are_made_while_there_is_room(database_url: str, tmp_path: Path) -> None:
    """After an analysis and on request. Those in the bin take room; once they are gone for good, others are made."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            under(bench, SEGMENT_BYTES // TIMES_QUOTA)
            first = await bench.upload(SHORT)
            assert await bench.worker().make_next()
            second, alone = await bench.upload(SHORT), await bench.upload(SHORT, alone=True)
            assert await bench.worker().make_next()
            for upload in (second, alone):
                await assert_no_room(bench, upload)
            await bench.uploads.remove(bench.login, first)
            await assert_no_room(bench, second)
            await bench.database.row("DELETE FROM uploads WHERE id = $1", first)
            with pytest.raises(SegmentsPending):
                await bench.segments.describe(bench.login, second)
            assert await bench.worker().make_next()
            assert await bench.read(second) == cut(SHORT)[0]
            await assert_no_room(bench, alone)

    within_deadline(run())


@pytest.mark.parametrize("quota_bytes", [0, SEGMENT_BYTES // TIMES_QUOTA + 1])
def test_more_are_made_with_more_quota_or_without_one(database_url: str, tmp_path: Path, quota_bytes: int) -> None:
    """To the byte: room is left while the others take less than so many times the quota."""

    async def run() -> None:
        async with bench_at(database_url, tmp_path) as bench:
            under(bench, quota_bytes)
            uploads = [await bench.upload(SHORT) for _ in range(2)]
            for _ in uploads:
                assert await bench.worker().make_next()
            for upload in uploads:
                assert await bench.read(upload) == cut(SHORT)[0]

    within_deadline(run())
