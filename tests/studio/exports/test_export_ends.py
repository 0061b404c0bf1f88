"""How jobs end, whoever ends them and however often (`omnisonic.studio.exports.export_queue`), on a real Postgres."""

from typing import Final

import pytest
import trio

from omnisonic.models import Export
from omnisonic.stores.storage import NoSuchObject
from omnisonic.studio.exports import NoSuchExport
from omnisonic.studio.exports.export_queue import BACKOFF_S, CRASHED, TRIES, Finished, Job
from tests.studio.exporting import SHA256, SIZE, WARNING, Mixing, opened_mixing
from tests.studio.uploading import Studio, new_key

SLACK_S: Final = 1.5
"""What a busy machine may take between a statement and the next."""


@pytest.fixture
def mixing(studio: Studio) -> Mixing:
    """A session of Ada's and Bo's, without exports."""
    return opened_mixing(studio)


@pytest.mark.parametrize("end", ["complete", "postpone", "fail", "give_back", "beat"])
async def test_whoever_comes_late_ends_nothing(mixing: Mixing, end: str) -> None:
    """The lease ran out, another has the job: what the first one reports is ignored."""
    export = await mixing.request()
    late = await mixing.take()
    await mixing.expire_leases()
    job, finished = await mixing.take(), await mixing.put()
    assert (job.export.id, job.lease != late.lease) == (export.id, True)
    assert not await _ended(mixing, end, late, finished)
    assert (await mixing.get(export.id)).status == "processing"
    assert await mixing.studio.unreferenced() == {finished.key}
    made = await mixing.queue.complete(job, finished)
    assert made is not None
    assert not await _ended(mixing, end, late, await mixing.put())
    assert await mixing.get(export.id) == made


async def _ended(mixing: Mixing, end: str, job: Job, finished: Finished) -> object:
    """What the queue returns at the end of a job."""
    match end:
        case "complete":
            return await mixing.queue.complete(job, finished)
        case "postpone":
            return await mixing.queue.postpone(job, "Too late.")
        case "fail":
            return await mixing.queue.fail(job, "Too late.")
        case "give_back":
            await mixing.queue.release(job)
            return None
        case _:
            return await mixing.queue.renew(job, 1)


async def test_what_is_made_is_bound_to_its_export(mixing: Mixing) -> None:
    """The row has what was put and measured, and the object is referenced: both or neither."""
    export = await mixing.request()
    job, finished = await mixing.take(), await mixing.put()
    made = await mixing.queue.complete(job, finished)
    assert made is not None
    assert (made.id, made.status, made.progress, made.error_message) == (export.id, "completed", 100, None)
    assert (made.file_size, made.duration_seconds, made.loudness_lufs, made.peak_dbfs) == (SIZE, 12.5, -14.25, -1.5)
    assert made.warning == WARNING
    assert made.completed_at is not None
    assert made.completed_at >= made.created_at
    kept = await mixing.exports.get(mixing.logins["bo"], export.id)
    assert (kept.export, kept.key, kept.sha256) == (made, finished.key, SHA256)
    assert await mixing.studio.unreferenced() == set()
    await mixing.expire_leases()
    assert await mixing.queue.take() is None


async def test_an_object_that_was_taken_for_forgotten_completes_nothing(mixing: Mixing) -> None:
    """Housekeeping is deleting it; put anew, the export is made."""
    export = await mixing.request()
    job, finished = await mixing.take(), await mixing.put()
    await mixing.studio.everything_is_due()
    assert await mixing.studio.retention.take_unreferenced(10) == [finished.key]
    with pytest.raises(NoSuchObject):
        await mixing.queue.complete(job, finished)
    assert (await mixing.get(export.id)).status == "processing"
    assert await mixing.queue.complete(job, await mixing.put())


async def test_a_call_whose_answer_was_lost_may_be_repeated(mixing: Mixing) -> None:
    """Completed, postponed or failed: the second call returns the same, and nothing changes."""
    await mixing.request()
    job, finished = await mixing.take(), await mixing.put()
    made = await mixing.queue.complete(job, finished)
    assert made == await mixing.queue.complete(job, finished)
    assert await mixing.queue.complete(job, await mixing.put()) is None
    assert await mixing.queue.fail(job, "No.") is None
    for end in (mixing.queue.postpone, mixing.queue.fail):
        await mixing.request()
        job = await mixing.take()
        settled = await end(job, "No.")
        assert settled is not None
        assert await end(job, "No.") == settled
        assert await mixing.queue.complete(job, finished) is None


async def test_what_became_an_export_is_not_given_up(mixing: Mixing) -> None:
    """Neither by a worker that does not know it, nor by an upload of that key; anything else is due at once."""
    _, key = await mixing.make_export()
    assert not await mixing.queue.abandon(key)
    assert not await mixing.studio.uploads.abandon(key)
    assert await mixing.studio.unreferenced() == set()
    other, forgotten = (await mixing.put()).key, new_key()
    for lost in (other, forgotten):
        assert await mixing.queue.abandon(lost)
    assert await mixing.studio.unreferenced(due=True) == {other, forgotten}


async def test_what_does_not_work_is_tried_again_each_time_later(mixing: Mixing) -> None:
    """Then it has failed, for the last reason; whoever looks sees it wait in between."""
    export = await mixing.request()
    for pause_s in BACKOFF_S:
        job = await mixing.take()
        await mixing.queue.renew(job, 50)
        waiting = await mixing.queue.postpone(job, "Not now.")
        assert waiting is not None
        assert (waiting.status, waiting.progress, waiting.error_message) == ("pending", 0, None)
        assert pause_s - SLACK_S < await mixing.due_in_s(export.id) <= pause_s
        assert await mixing.queue.take() is None
        await mixing.expire_leases()
    assert len(BACKOFF_S) == TRIES - 1
    failed = await mixing.queue.postpone(await mixing.take(), "Never.")
    assert failed is not None
    assert (failed.status, failed.error_message, failed.completed_at) == ("failed", "Never.", None)
    assert await mixing.queue.take() is None
    assert await mixing.get(export.id) == failed


async def test_what_cannot_be_made_has_failed_at_once(mixing: Mixing) -> None:
    """For a reason that all can read."""
    export = await mixing.request()
    failed = await mixing.queue.fail(await mixing.take(), "There is no sound in a.txt.")
    assert failed is not None
    assert (failed.status, failed.error_message) == ("failed", "There is no sound in a.txt.")
    assert await mixing.get(export.id) == failed
    await mixing.expire_leases()
    assert await mixing.queue.take() is None


async def test_what_is_given_back_is_taken_again_at_once_and_was_not_tried(mixing: Mixing) -> None:
    """However often: nobody could have made it."""
    export = await mixing.request()
    for _ in range(TRIES + 2):
        job = await mixing.take()
        await mixing.queue.renew(job, 30)
        await mixing.queue.release(job)
        waiting = await mixing.get(export.id)
        assert (waiting.status, waiting.progress) == ("pending", 0)
    job = await mixing.take()
    await mixing.queue.release(job, after_s=60)
    assert await mixing.queue.take() is None
    assert 60 - SLACK_S < await mixing.due_in_s(export.id) <= 60


async def test_what_kills_its_workers_again_and_again_has_failed(mixing: Mixing) -> None:
    """The next worker gets it, to tell the room; other jobs do not wait."""
    poison = await mixing.request()
    for _ in range(TRIES):
        assert (await mixing.take()).export.id == poison.id
        await mixing.expire_leases()
    other = await mixing.request()
    failed = await mixing.queue.take()
    assert isinstance(failed, Export)
    assert (failed.id, failed.status, failed.error_message) == (poison.id, "failed", CRASHED)
    assert await mixing.get(poison.id) == failed
    assert (await mixing.take()).export.id == other.id


@pytest.mark.parametrize("how", ["removed", "session deleted", "account deleted"])
async def test_a_job_that_is_gone_is_its_workers_no_more(mixing: Mixing, how: str) -> None:
    """Its lease cannot be renewed, and it ends in nothing; its object stays unreferenced."""
    export = await mixing.request("bo")
    job, finished = await mixing.take(), await mixing.put()
    if how == "removed":
        removed = await mixing.exports.remove(mixing.logins["bo"], export.id)
        assert (removed.export.status, removed.key) == ("processing", None)
    elif how == "session deleted":
        await mixing.studio.people.store.delete(mixing.logins["ada"], mixing.session)
    else:
        await mixing.studio.lose_account("ada")
    assert not await mixing.queue.renew(job, 10)
    assert await mixing.queue.complete(job, finished) is None
    for end in (mixing.queue.postpone, mixing.queue.fail):
        assert await end(job, "No.") is None
    await mixing.queue.release(job)
    assert await mixing.queue.take() is None
    assert await mixing.studio.unreferenced() == {finished.key}


async def test_an_export_removed_as_it_is_completed_leaves_its_object_due(mixing: Mixing) -> None:
    """Whichever comes first: no object without a row, and no row without an object."""
    for _ in range(5):
        export = await mixing.request()
        job, finished = await mixing.take(), await mixing.put()
        completed: list[Export | None] = []

        async def complete(
            job: Job = job, finished: Finished = finished, completed: list[Export | None] = completed
        ) -> None:
            completed.append(await mixing.queue.complete(job, finished))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(complete)
            nursery.start_soon(mixing.exports.remove, mixing.logins["ada"], export.id)
        with pytest.raises(NoSuchExport):
            await mixing.get(export.id)
        assert finished.key in await mixing.studio.unreferenced(due=completed != [None])
