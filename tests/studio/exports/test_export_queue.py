"""What the queue of exports promises its workers (`omnisonic.studio.exports.export_queue`), on a real Postgres."""

from datetime import timedelta
from functools import partial
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.studio.exports.export_queue import LEASE_S, MOST_STEMS, ExportQueue, Job
from omnisonic.studio.sessions import Change
from omnisonic.studio.uploads import Mix
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.exporting import Mixing, opened_mixing
from tests.studio.uploading import Studio, received

WORKERS: Final = 10
SLACK_S: Final = 1.5
"""What a busy machine may take between a statement and the next."""
MONTH: Final = timedelta(days=30)


@pytest.fixture
def mixing(studio: Studio) -> Mixing:
    """A session of Ada's and Bo's, without exports."""
    return opened_mixing(studio)


async def test_each_is_taken_once_the_longest_waiting_first(mixing: Mixing) -> None:
    """However many workers ask at the same time."""
    exports = [await mixing.request() for _ in range(WORKERS - 2)]
    first = await mixing.take()
    assert first.export.id == exports[0].id
    taken: list[Job] = []

    async def take() -> None:
        job = await mixing.queue.take()
        if isinstance(job, Job):
            taken.append(job)

    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS):
            nursery.start_soon(take)
    assert sorted(job.export.id for job in taken) == sorted(export.id for export in exports[1:])
    assert len({job.lease for job in taken}) == len(taken)


async def test_a_job_is_the_session_as_it_is_when_it_is_taken(mixing: Mixing) -> None:
    """Its tempo and its stems as they are mixed, oldest first, but muted ones last; nothing of elsewhere."""
    studio, ada = mixing.studio, mixing.logins["ada"]
    export = await mixing.request()
    second = await studio.upload("bo", studio.session)
    first, third = [await studio.upload("ada", studio.session) for _ in range(2)]
    await studio.upload("ada")
    mix = Mix(gain_db=-3, pan=1, muted=True, offset_seconds=2.5)
    second = (await studio.uploads.change(ada, second.id, mix)).upload
    await studio.people.store.change(ada, studio.session, Change(tempo_bpm=93.5, beats_per_bar=7))
    job = await mixing.take()
    assert (job.tempo_bpm, job.beats_per_bar) == (93.5, 7)
    assert [stem.upload for stem in job.stems] == [first, third, second]
    assert [stem.key for stem in job.stems] == [await studio.key_of(stem.id) for stem in (first, third, second)]
    assert (job.export.id, job.export.status, job.export.progress) == (export.id, "processing", 0)
    assert await mixing.get(export.id) == job.export


async def test_what_may_hold_sound_is_a_stem(mixing: Mixing) -> None:
    """No picture, and no film that is known to be silent; but a silent sound file, for the mixdown reports it."""
    studio = mixing.studio
    types = ("image/png", "video/mp4", "audio/x-wav", "video/webm")
    _, silent, wav, film = [await studio.upload("ada", studio.session, received(mime_type=mime)) for mime in types]
    for upload in (silent, wav):
        await studio.queue.finish(upload, None)
    await mixing.request()
    assert [stem.upload.id for stem in (await mixing.take()).stems] == [wav.id, film.id]


async def test_a_session_without_uploads_has_no_stems(mixing: Mixing) -> None:
    """It is a job all the same."""
    await mixing.request()
    assert (await mixing.take()).stems == []


async def test_a_job_has_at_most_one_stem_more_than_can_be_mixed(mixing: Mixing) -> None:
    """One more than can be mixed."""
    await mixing.studio.upload("ada", mixing.session)
    await mixing.studio.base.sql(
        "WITH track AS (INSERT INTO tracks (id, name, position, chosen_id) "
        "SELECT id, 'take', 1, id FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1::int)) AS new "
        "RETURNING id) "
        "INSERT INTO uploads (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256, track_id) "
        "SELECT track.id, user_id, session_id, object_key || track.id, file_name, file_size, mime_type, sha256, "
        "track.id FROM uploads, track",
        MOST_STEMS + 5,
    )
    await mixing.request()
    assert len((await mixing.take()).stems) == MOST_STEMS + 1


async def test_renewing_extends_the_lease_and_stores_the_progress(mixing: Mixing) -> None:
    """Everybody sees how far it is; it is nobody else's as long as it beats."""
    export = await mixing.request()
    job = await mixing.take()
    assert LEASE_S - SLACK_S < await mixing.due_in_s(export.id) <= LEASE_S
    await mixing.studio.base.sql("UPDATE exports SET due_at = now() + interval '1 second'")
    assert await mixing.queue.renew(job, 42)
    assert LEASE_S - SLACK_S < await mixing.due_in_s(export.id) <= LEASE_S
    assert (await mixing.get(export.id)).progress == 42
    assert await mixing.queue.take() is None


async def test_a_stem_that_is_gone_is_found(mixing: Mixing) -> None:
    """The first of those that are asked for, by its name; nothing while all are there."""
    studio, ada = mixing.studio, mixing.logins["ada"]
    uploads = [await studio.upload("ada", studio.session, received(name=name)) for name in ("a", "b", "c")]
    await mixing.request()
    job = await mixing.take()
    assert await mixing.queue.find_missing(job, uploads) is None
    assert await mixing.queue.find_missing(job, []) is None
    await studio.uploads.remove(ada, uploads[2].id)
    await studio.uploads.remove(ada, uploads[1].id)
    assert await mixing.queue.find_missing(job, uploads) == uploads[1]
    assert await mixing.queue.find_missing(job, [uploads[2], uploads[0]]) == uploads[2]
    assert await mixing.queue.find_missing(job, uploads[:1]) is None


async def test_what_is_over_and_old_is_dropped_in_batches(mixing: Mixing) -> None:
    """Made or failed, oldest first, with its object; what is young, waits or is being made stays."""
    old = [(await mixing.make_export())[0] for _ in range(2)]
    await mixing.request()
    failed = await mixing.queue.fail(await mixing.take(), "No.")
    assert failed is not None
    young, _ = await mixing.make_export()
    await mixing.request()
    processing = (await mixing.take()).export
    waiting = await mixing.request()
    for days, export in zip((31, 33, 32, 29.9, 40, 40), (*old, failed, young, processing, waiting), strict=True):
        await mixing.age(export.id, days)
    assert [await mixing.queue.drop_old(MONTH, 2) for _ in range(3)] == [2, 1, 0]
    left = {export.id for export in await mixing.exports.list(mixing.logins["ada"], mixing.session)}
    assert left == {young.id, processing.id, waiting.id}
    assert len(await mixing.studio.unreferenced(due=True)) == len(old)


async def test_without_a_database_every_call_is_unavailable(thread: AsyncioThread, mixing: Mixing) -> None:
    """No job is taken for lost, and no export for made."""
    await mixing.request()
    job, finished = await mixing.take(), await mixing.put()
    async with base_at(DEAD_URL, thread) as dead:
        queue = dead.of(ExportQueue(dead.database))
        for call in (
            queue.take,
            partial(queue.renew, job, 1),
            partial(queue.find_missing, job, []),
            partial(queue.note, finished.key),
            partial(queue.abandon, finished.key),
            partial(queue.complete, job, finished),
            partial(queue.postpone, job, "No."),
            partial(queue.fail, job, "No."),
            partial(queue.release, job),
            partial(queue.drop_old, MONTH, 1),
        ):
            with pytest.raises(Unavailable):
                await call()
