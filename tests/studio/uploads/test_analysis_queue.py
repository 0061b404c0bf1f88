"""What the queue of uploads to analyse promises (`omnisonic.studio.uploads.analysis_queue`), on a real Postgres."""

from datetime import timedelta
from functools import partial
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.models import Upload
from omnisonic.studio.uploads import Analysis, NoPeaks, Peaks, PeaksPending, StoredUpload
from omnisonic.studio.uploads.analysis_queue import LEASE_S, TRIES, AnalysisQueue
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.uploading import Studio, received

ANALYSIS: Final = Analysis(2, Peaks(48_000, 12.5, [0.0, 0.5, 1.0]))
LISTENERS: Final = 10


async def lease_ends(studio: Studio) -> None:
    """As if whoever took an upload had been silent for long."""
    lease = timedelta(seconds=LEASE_S)
    await studio.base.sql("UPDATE uploads SET analysis_due_at = analysis_due_at - $1::interval", lease)


async def peaks(studio: Studio, upload: Upload) -> Peaks:
    return await studio.uploads.peaks(studio.logins["ada"], upload.id)


async def test_what_was_heard_is_there_for_all(studio: Studio) -> None:
    """Before, the waveform is pending; after, it comes to within what an eye can see, and the upload has the rest."""
    upload = await studio.upload("bo", studio.session)
    taken = await studio.queue.take()
    assert taken is not None
    assert (taken.upload, taken.key) == (upload, await studio.key_of(upload.id))
    with pytest.raises(PeaksPending):
        await peaks(studio, upload)
    changed = await studio.queue.finish(taken.upload, ANALYSIS)
    assert changed is not None
    assert (changed.channels, changed.sample_rate, changed.duration_seconds) == (2, 48_000, 12.5)
    assert (await studio.uploads.get(studio.logins["bo"], upload.id)).upload == changed
    seen = await peaks(studio, upload)
    assert (seen.sample_rate, seen.duration_seconds) == (48_000, 12.5)
    assert seen.peaks == pytest.approx(ANALYSIS.peaks.peaks, abs=0.003)
    assert await studio.queue.take() is None


async def test_what_is_missing_is_kept_with_what_was_heard(studio: Studio) -> None:
    """The sentence is the upload's from then on; before, and without any, there is none."""
    upload = await studio.upload("bo", studio.session)
    assert upload.warning is None
    sentence = "This file was cut off: 2.0 of 4.0 seconds are there."
    changed = await studio.queue.finish(upload, Analysis(2, ANALYSIS.peaks, sentence))
    assert changed is not None
    assert changed.warning == sentence
    assert (await studio.uploads.get(studio.logins["bo"], upload.id)).upload == changed


async def test_peaks_beyond_full_scale_are_full_scale(studio: Studio) -> None:
    """A decoder's overshoot fits in a byte."""
    upload = await studio.upload()
    await studio.queue.finish(upload, Analysis(1, Peaks(8000, 0.1, [1.5, -0.1])))
    assert (await peaks(studio, upload)).peaks == [1.0, 0.0]


async def test_no_sound_is_told_from_not_listened_to_yet(studio: Studio) -> None:
    """Images are not analysed at all; a film may turn out to be silent."""
    picture, film = [await studio.upload(file=received(mime_type=mime)) for mime in ("image/png", "video/mp4")]
    taken = await studio.queue.take()
    assert taken is not None
    assert taken.upload == film
    with pytest.raises(PeaksPending):
        await peaks(studio, film)
    assert await studio.queue.finish(film, None) == film
    for upload in (picture, film):
        with pytest.raises(NoPeaks):
            await peaks(studio, upload)
    assert await studio.queue.take() is None


async def test_each_is_taken_once_the_longest_waiting_first(studio: Studio) -> None:
    """However many workers ask at the same time."""
    uploads = [await studio.upload() for _ in range(LISTENERS - 2)]
    first = await studio.queue.take()
    assert first is not None
    assert first.upload == uploads[0]
    taken: list[str | None] = []

    async def take() -> None:
        stored = await studio.queue.take()
        taken.append(None if stored is None else stored.upload.id)

    async with trio.open_nursery() as nursery:
        for _ in range(LISTENERS):
            nursery.start_soon(take)
    messages = [upload for upload in taken if upload is not None]
    assert len(messages) == len(uploads) - 1
    assert set(messages) == {upload.id for upload in uploads[1:]}


async def test_what_a_worker_dropped_is_taken_again_but_not_for_ever(studio: Studio) -> None:
    """After the lease, three times in all; then it counts as having no sound, and the next one is not held up."""
    poison, upload = await studio.upload(), await studio.upload()
    await studio.base.sql("UPDATE uploads SET analysis_due_at = now() + interval '1 day' WHERE id = $1", upload.id)
    for _ in range(TRIES):
        taken = await studio.queue.take()
        assert taken is not None
        assert taken.upload == poison
        assert await studio.queue.take() is None
        await lease_ends(studio)
        with pytest.raises(PeaksPending):
            await peaks(studio, poison)
    await studio.base.sql("UPDATE uploads SET analysis_due_at = now() WHERE id = $1", upload.id)
    taken = await studio.queue.take()
    assert taken is not None
    assert taken.upload == upload
    with pytest.raises(NoPeaks):
        await peaks(studio, poison)


async def test_a_try_that_is_given_back_does_not_count(studio: Studio) -> None:
    """However often. It waits as long as it was told, and only whoever has it gives it back."""
    upload = await studio.upload()
    for _ in range(TRIES + 2):
        taken = await studio.queue.take()
        assert taken is not None
        assert (taken.upload, taken.tries) == (upload, 1)
        await studio.queue.release(taken, LEASE_S)
        assert await studio.queue.take() is None
        await lease_ends(studio)
    slow = await studio.queue.take()
    await lease_ends(studio)
    second = await studio.queue.take()
    assert slow is not None
    assert second is not None
    await studio.queue.release(slow, 0.0)
    assert await studio.queue.take() is None
    await studio.queue.release(second, 0.0)
    third = await studio.queue.take()
    assert third is not None
    assert third.tries == 2
    await studio.queue.finish(upload, ANALYSIS)
    await studio.queue.release(third, 0.0)
    assert await studio.queue.take() is None


async def test_a_worker_that_comes_late_takes_nothing_away(studio: Studio) -> None:
    """Another one took its upload and analysed it; that the first one found nothing does not count."""
    upload = await studio.upload()
    messages = await studio.queue.finish(upload, ANALYSIS)
    assert await studio.queue.finish(upload, None) == messages
    assert (await peaks(studio, upload)).sample_rate == 48_000


async def test_what_was_removed_meanwhile_is_nobodys(studio: Studio) -> None:
    """The worker gets None, and has nothing to publish."""
    upload = await studio.upload()
    taken = await studio.queue.take()
    assert taken is not None
    await studio.uploads.remove(studio.logins["ada"], upload.id)
    assert await studio.queue.finish(taken.upload, ANALYSIS) is None
    assert await studio.queue.take() is None


async def test_without_a_database_there_is_nothing_to_listen_to(thread: AsyncioThread, studio: Studio) -> None:
    """All calls say so."""
    upload = await studio.upload()
    async with base_at(DEAD_URL, thread) as dead:
        queue = dead.of(AnalysisQueue(dead.database))
        taken = StoredUpload(upload, "uploads/a", tries=1)
        for call in (queue.take, partial(queue.finish, upload, None), partial(queue.release, taken, 0.0)):
            with pytest.raises(Unavailable):
                await call()
