"""The bin: what is removed can be restored for 30 days, and is nowhere else meanwhile (`omnisonic.studio.uploads`)."""

from functools import partial
from typing import Final

import pytest

from omnisonic.studio.uploads import BIN_DAYS, Mix, NoSuchUpload, QuotaExceeded, UploaderOnly
from tests.studio.asking import NOBODY, at_once, outcome
from tests.studio.exporting import opened_mixing
from tests.studio.uploading import SIZE, Call, Studio, received

AGE: Final = "UPDATE uploads SET removed_at = removed_at - $1::float8 * interval '1 day'"


async def test_what_is_removed_comes_back_as_it_was(studio: Studio) -> None:
    """Mixed as before, and in its place in the lists; restoring it twice is no harm."""
    ada, bo = studio.logins["ada"], studio.logins["bo"]
    first, second = [await studio.upload("bo", studio.session) for _ in range(2)]
    first = (await studio.uploads.change(ada, first.id, Mix(gain_db=-6, muted=True))).upload
    await studio.uploads.remove(ada, first.id)
    for _ in range(2):
        assert (await studio.uploads.restore(bo, first.id)).upload == first
    for session in (studio.session, None):
        listed = (await studio.uploads.list(bo, session, limit=10)).uploads
        assert [stored.upload for stored in listed] == [second, first]


async def test_in_the_bin_it_is_nowhere_else(studio: Studio) -> None:
    """No list and no call finds it but the one that restores it, and no mixdown has it."""
    ada, mixing = studio.logins["ada"], opened_mixing(studio)
    upload, kept = [await studio.upload("ada", studio.session) for _ in range(2)]
    await mixing.request()
    before = await mixing.take()
    await studio.uploads.remove(ada, upload.id)
    calls: list[Call] = [
        partial(studio.uploads.get, ada, upload.id),
        partial(studio.uploads.peaks, ada, upload.id),
        partial(studio.uploads.change, ada, upload.id, Mix(muted=True)),
        partial(studio.uploads.remove, ada, upload.id),
    ]
    assert [await outcome(call()) for call in calls] == [NoSuchUpload.code] * len(calls)
    for session in (studio.session, None):
        assert [stored.upload for stored in (await studio.uploads.list(ada, session, limit=10)).uploads] == [kept]
    assert await mixing.queue.find_missing(before, [kept, upload]) == upload
    await mixing.request()
    assert [stored.upload for stored in (await mixing.take()).stems] == [kept]
    assert await studio.uploads.is_in_bin(await studio.key_of(upload.id))
    assert not await studio.uploads.is_in_bin(await studio.key_of(kept.id))
    assert await studio.unreferenced(due=True) == set()


async def test_who_may_remove_it_may_restore_it(studio: Studio) -> None:
    """Its uploader and the session's owner; another collaborator is told why not, and for all others there is none."""
    adas, bos = [await studio.upload(name, studio.session) for name in ("ada", "bo")]
    alone = await studio.upload("bo")
    for name, upload in (("ada", adas), ("bo", bos), ("bo", alone)):
        await studio.uploads.remove(studio.logins[name], upload.id)
    with pytest.raises(UploaderOnly):
        await studio.uploads.restore(studio.logins["bo"], adas.id)
    for name, upload_id in (("cy", adas.id), ("ada", alone.id), ("ada", NOBODY)):
        with pytest.raises(NoSuchUpload):
            await studio.uploads.restore(studio.logins[name], upload_id)
    assert (await studio.uploads.restore(studio.logins["ada"], bos.id)).upload == bos
    assert (await studio.uploads.restore(studio.logins["bo"], alone.id)).upload == alone


async def test_who_has_left_may_remove_what_they_have_brought_and_not_bring_it_back(studio: Studio) -> None:
    """The session is not theirs any more; its owner may bring it back, and what was never in it is still theirs."""
    store, bo = studio.uploads, studio.logins["bo"]
    shared, removed = [await studio.upload("bo", studio.session) for _ in range(2)]
    alone = await studio.upload("bo")
    for upload in (removed, alone):
        await store.remove(bo, upload.id)
    await studio.people.store.remove(studio.logins["ada"], studio.session, studio.persons["bo"].id)
    await store.remove(bo, shared.id)
    for upload in (removed, shared):
        assert await outcome(store.restore(bo, upload.id)) == NoSuchUpload.code
    assert (await store.restore(bo, alone.id)).upload == alone
    restored = await store.restore(studio.logins["ada"], shared.id)
    assert (restored.upload, restored.is_changed) == (shared, True)
    assert await outcome(store.restore(bo, shared.id)) == NoSuchUpload.code
    assert not (await store.restore(studio.logins["ada"], shared.id)).is_changed


async def test_after_thirty_days_it_is_gone_for_good(studio: Studio) -> None:
    """To the day for whoever wants it back, and soon after from the storage; housekeeping leaves the others."""
    ada = studio.logins["ada"]
    old, young, kept = [await studio.upload("ada", studio.session) for _ in range(3)]
    key = await studio.key_of(old.id)
    await studio.uploads.remove(ada, old.id)
    await studio.base.sql(AGE, BIN_DAYS - 0.1)
    assert (await studio.uploads.restore(ada, old.id)).upload == old
    await studio.uploads.remove(ada, old.id)
    await studio.base.sql(AGE, BIN_DAYS)
    await studio.uploads.remove(ada, young.id)
    with pytest.raises(NoSuchUpload):
        await studio.uploads.restore(ada, old.id)
    assert await studio.retention.drop_removed(10) == 1
    assert await studio.unreferenced(due=True) == {key}
    assert (await studio.uploads.restore(ada, young.id)).upload == young
    assert (await studio.uploads.get(ada, kept.id)).upload == kept


@pytest.mark.parametrize("how", ["session", "account"])
async def test_a_session_takes_its_bin_along(studio: Studio, how: str) -> None:
    """What others have brought and nobody has removed is theirs again."""
    removed, kept = [await studio.upload("bo", studio.session) for _ in range(2)]
    key = await studio.key_of(removed.id)
    await studio.uploads.remove(studio.logins["bo"], removed.id)
    if how == "session":
        await studio.people.store.delete(studio.logins["ada"], studio.session)
    else:
        await studio.lose_account("ada")
    assert await studio.unreferenced(due=True) == {key}
    (stored,) = (await studio.uploads.list(studio.logins["bo"], None, limit=10)).uploads
    assert stored.upload.id == kept.id


async def test_the_bin_does_not_count_and_is_as_large_as_the_quota(studio: Studio) -> None:
    """What was removed first makes room; what comes back counts again, or does not come back."""
    store, ada = studio.uploads_under(2 * SIZE), studio.logins["ada"]
    uploads = []
    for _ in range(3):
        uploads.append(await studio.upload("ada"))
        await store.remove(ada, uploads[-1].id)
    bos = await studio.upload("bo", studio.session)
    await store.remove(ada, bos.id)
    first, second, third = uploads
    assert await outcome(store.restore(ada, first.id)) == NoSuchUpload.code
    assert len(await studio.unreferenced(due=True)) == 1
    assert (await store.restore(ada, second.id)).upload == second
    await studio.upload("ada", file=received(SIZE))
    with pytest.raises(QuotaExceeded):
        await store.restore(ada, third.id)
    await store.remove(ada, second.id)
    assert (await store.restore(ada, third.id)).upload == third
    assert (await store.restore(ada, bos.id)).upload == bos


async def test_removed_and_restored_at_once_it_is_one_or_the_other(studio: Studio) -> None:
    """Nothing waits for ever, whoever does it, in the same session and in others."""
    uploads = [await studio.upload(name, studio.session) for name in ("ada", "bo")]
    store = studio.uploads_under(2 * SIZE)
    acts: list[Call] = [
        partial(act, studio.logins["ada"], upload.id) for upload in uploads for act in (store.remove, store.restore)
    ]
    assert set(await at_once(acts * 5)) <= {"done", NoSuchUpload.code}
    for upload in uploads:
        assert (await store.restore(studio.logins["ada"], upload.id)).upload == upload
