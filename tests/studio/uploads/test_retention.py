"""No object without a row, no row without an object, whatever happens (`omnisonic.studio.uploads.retention`)."""

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import uuid4

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.studio.uploads import NoSuchUpload
from omnisonic.studio.uploads.retention import TAKEN_S, Stale, UploadRetention
from omnisonic.studio.uploads.unreferenced_objects import UNREFERENCED_S
from tests.studio.asking import outcome
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.uploading import SIZE, STEM, Studio, new_key

MONTH: Final = timedelta(days=30)


class Committing:
    """A commit that is under way, and what came of it."""

    def __init__(self, studio: Studio) -> None:
        self.upload = str(uuid4())
        self.outcome: str | None = None
        self._studio = studio

    async def run(self, key: str) -> None:
        self.outcome = await outcome(
            self._studio.uploads.commit(
                self._studio.logins["ada"], self.upload, key, STEM, session=self._studio.session
            )
        )


async def test_what_is_being_put_is_unreferenced_until_it_is_an_upload(studio: Studio) -> None:
    """For two hours it is not due, so that nobody deletes it under whoever puts it."""
    key = await studio.begun()
    assert (await studio.unreferenced(), await studio.retention.take_unreferenced(10)) == ({key}, [])
    due = "SELECT extract(epoch FROM due_at - now())::int FROM loose_objects WHERE object_key = $1"
    assert abs(await studio.base.number(due, key) - UNREFERENCED_S) < 60
    await studio.uploads.commit(studio.logins["ada"], str(uuid4()), key, STEM, session=None)
    assert await studio.unreferenced() == set()


async def test_only_what_is_unreferenced_becomes_an_upload(studio: Studio) -> None:
    """Not what was never begun, what somebody took to delete it, or what is an upload already."""
    ada, taken = studio.logins["ada"], await studio.begun()
    await studio.everything_is_due()
    assert await studio.retention.take_unreferenced(10) == [taken]
    mine = await studio.key_of((await studio.upload()).id)
    for key in (new_key(), taken, mine):
        with pytest.raises(Unavailable):
            await studio.uploads.commit(ada, str(uuid4()), key, STEM, session=None)
    assert await studio.unreferenced() == {taken}
    assert len((await studio.uploads.list(ada, None, limit=10)).uploads) == 1


async def test_what_is_given_up_is_due_and_becomes_nothing(studio: Studio) -> None:
    """Also given up twice, or when a commit comes late."""
    key = await studio.begun()
    assert await studio.uploads.abandon(key)
    assert await studio.uploads.abandon(key)
    assert await studio.unreferenced(due=True) == {key}
    with pytest.raises(Unavailable):
        await studio.uploads.commit(studio.logins["ada"], str(uuid4()), key, STEM, session=None)


async def test_what_became_an_upload_is_not_given_up(studio: Studio) -> None:
    """Nor what became a chunk of one."""
    upload, resumable = await studio.upload(), await studio.resumable()
    for key in (await studio.key_of(upload.id), await studio.add_chunk(resumable, size=1)):
        assert not await studio.uploads.abandon(key)
    assert await studio.unreferenced() == set()
    assert (await studio.uploads.get(studio.logins["ada"], upload.id)).upload == upload


async def test_what_was_forgotten_while_it_was_put_is_unreferenced_again(studio: Studio) -> None:
    """Housekeeping deleted what was there; whoever then puts the rest and cannot commit leaves no orphan."""
    key = await studio.begun()
    await studio.everything_is_due()
    await studio.retention.forget_unreferenced(await studio.retention.take_unreferenced(10))
    assert await studio.unreferenced() == set()
    assert await studio.uploads.abandon(key)
    assert await studio.unreferenced(due=True) == {key}


async def test_giving_up_waits_for_a_commit_whose_end_is_not_known(studio: Studio) -> None:
    """What the commit has bound is an upload, and is not deleted under it."""
    key, committing = await studio.begun("ada", studio.session), Committing(studio)
    given_up: list[bool] = []

    async def give_up() -> None:
        given_up.append(await studio.uploads.abandon(key))

    holding = studio.base.holding("SELECT FROM sessions WHERE id = $1 FOR UPDATE", studio.session)
    async with trio.open_nursery() as nursery, holding:
        nursery.start_soon(committing.run, key)
        await studio.base.once_waiting(1)
        nursery.start_soon(give_up)
        await studio.base.once_waiting(2)
    assert (committing.outcome, given_up) == ("done", [False])
    assert (await studio.uploads.get(studio.logins["ada"], committing.upload)).key == key
    assert await studio.unreferenced() == set()


async def test_a_commit_that_comes_too_late_makes_nothing(studio: Studio) -> None:
    """It waits to count what its user keeps while the object is given up."""
    key, committing = await studio.begun("ada", studio.session), Committing(studio)
    holding = studio.base.holding("SELECT FROM users WHERE id = $1 FOR UPDATE", studio.persons["ada"].id)
    async with trio.open_nursery() as nursery, holding:
        nursery.start_soon(committing.run, key)
        await studio.base.once_waiting(1)
        assert await studio.uploads.abandon(key)
    assert committing.outcome == "unavailable"
    with pytest.raises(NoSuchUpload):
        await studio.uploads.get(studio.logins["ada"], committing.upload)
    assert await studio.unreferenced(due=True) == {key}


@pytest.mark.parametrize("how", ["removed", "account", "stale", "row"])
async def test_however_a_row_goes_its_object_is_due(studio: Studio, how: str) -> None:
    """Also in a cascade, and by hand."""
    upload = await studio.upload("bo", None if how == "stale" else studio.session)
    key = await studio.key_of(upload.id)
    await studio.age(upload.id, 31)
    if how == "removed":
        await studio.uploads.remove(studio.logins["bo"], upload.id)
        await studio.empty_bin()
    elif how == "account":
        await studio.lose_account("bo")
    elif how == "stale":
        await studio.retention.drop_stale(MONTH, 10)
    else:
        await studio.base.sql("DELETE FROM uploads")
    assert await studio.unreferenced(due=True) == {key}


async def test_what_is_due_is_taken_by_one_at_a_time(studio: Studio) -> None:
    """Those who take at once get different ones, and each gets no more than it wants."""
    keys = {await studio.begun() for _ in range(20)}
    later = await studio.begun()
    await studio.everything_is_due()
    await studio.base.sql("UPDATE loose_objects SET due_at = now() + interval '1 hour' WHERE object_key = $1", later)
    taken: list[list[str]] = []

    async def take() -> None:
        taken.append(await studio.retention.take_unreferenced(3))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take)
    while batch := await studio.retention.take_unreferenced(3):
        taken.append(batch)
    assert max(map(len, taken)) == 3
    everything = [key for batch in taken for key in batch]
    assert len(everything) == len(keys)
    assert set(everything) == keys


async def test_what_somebody_is_taking_is_passed_by(studio: Studio) -> None:
    """Nobody waits for it, and nobody takes it a second time."""
    keys = [await studio.begun() for _ in range(3)]
    await studio.everything_is_due()
    async with studio.base.holding("UPDATE loose_objects SET doomed = true WHERE object_key = $1", keys[0]):
        assert set(await studio.retention.take_unreferenced(10)) == set(keys[1:])


async def test_what_was_taken_and_not_deleted_is_due_again(studio: Studio) -> None:
    """After a minute, until it is forgotten, which may be said twice; what is not taken is not forgotten."""
    key, other = await studio.begun(), await studio.begun()
    await studio.uploads.abandon(key)
    assert await studio.retention.take_unreferenced(10) == [key]
    due = "SELECT extract(epoch FROM due_at - now())::int FROM loose_objects WHERE object_key = $1"
    assert abs(await studio.base.number(due, key) - TAKEN_S) < 30
    assert await studio.retention.take_unreferenced(10) == []
    passed = timedelta(seconds=TAKEN_S)
    await studio.base.sql("UPDATE loose_objects SET due_at = due_at - $2::interval WHERE object_key = $1", key, passed)
    assert await studio.retention.take_unreferenced(10) == [key]
    for _ in range(2):
        await studio.retention.forget_unreferenced([key, other])
    assert await studio.unreferenced() == {other}


async def test_what_is_due_longest_goes_first(studio: Studio) -> None:
    """So that nothing waits for ever behind what cannot be deleted."""
    keys = [await studio.begun() for _ in range(3)]
    for hours, key in enumerate(keys, 1):
        ago = timedelta(hours=hours)
        await studio.base.sql("UPDATE loose_objects SET due_at = now() - $2::interval WHERE object_key = $1", key, ago)
    assert [(await studio.retention.take_unreferenced(1))[0] for _ in keys] == keys[::-1]


async def test_stale_is_what_is_old_and_in_no_session(studio: Studio) -> None:
    """Counted first, then dropped, oldest first and in batches; younger ones and those in sessions stay."""
    stale = [await studio.upload(name) for name in ("ada", "bo", "cy")]
    young, shared = await studio.upload("ada"), await studio.upload("ada", studio.session)
    for days, upload in zip((30.1, 32, 31), stale, strict=True):
        await studio.age(upload.id, days)
    await studio.age(young.id, 29.9)
    await studio.age(shared.id, 300)
    assert await studio.retention.count_stale(MONTH) == Stale(3, 3 * SIZE)
    batches = [[upload.id for upload in await studio.retention.drop_stale(MONTH, 2)] for _ in range(3)]
    assert [set(batch) for batch in batches] == [{stale[1].id, stale[2].id}, {stale[0].id}, set()]
    assert await studio.retention.count_stale(MONTH) == Stale(0, 0)
    left = (await studio.uploads.list(studio.logins["ada"], None, limit=10)).uploads
    assert {stored.upload.id for stored in left} == {young.id, shared.id}


async def test_two_cleaners_at_once_drop_each_upload_once(studio: Studio) -> None:
    """What one is dropping, the other passes by without waiting."""
    uploads = [await studio.upload() for _ in range(4)]
    for upload in uploads:
        await studio.age(upload.id, 31)
    async with studio.base.holding("DELETE FROM uploads WHERE id = $1", uploads[0].id):
        dropped = await studio.retention.drop_stale(MONTH, 10)
    assert {upload.id for upload in dropped} == {upload.id for upload in uploads[1:]}
    assert len(await studio.unreferenced(due=True)) == len(uploads)


async def test_without_a_database_nothing_is_kept_up(thread: AsyncioThread) -> None:
    """Each call says so."""
    async with base_at(DEAD_URL, thread) as dead:
        retention = dead.of(UploadRetention(dead.database))
        for call in (
            partial(retention.take_unreferenced, 1),
            partial(retention.forget_unreferenced, [new_key()]),
            partial(retention.count_stale, MONTH),
            partial(retention.drop_stale, MONTH, 1),
            partial(retention.drop_expired, 1),
        ):
            with pytest.raises(Unavailable):
                await call()
