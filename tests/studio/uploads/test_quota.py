"""What a user may keep: counted whole, whoever asks at the same time (`omnisonic.studio.uploads`, `.resumable`)."""

from functools import partial
from typing import Final
from uuid import uuid4

import pytest

from omnisonic.models import LoginId
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import QuotaExceeded
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.studio.asking import at_once
from tests.studio.uploading import SIZE, STEM, Call, Studio, new_key, received

QUOTA_BYTES: Final = 3 * SIZE


async def commit(studio: Studio, store: UploadStore, size: int, name: str = "ada") -> None:
    """Upload so much to `store`, whose quota may refuse it."""
    key = await studio.begun(name)
    await store.commit(studio.logins[name], str(uuid4()), key, received(size), session=None)


async def reserved(studio: Studio, store: UploadStore, size: int, name: str = "ada") -> Key:
    """The key of something that `name` has begun to upload and given up, while its bytes are still there."""
    key = new_key()
    await store.begin(studio.logins[name], key, session=None, size=size)
    await store.abandon(key)
    return key


def beginnings(store: UploadStore, login: LoginId, size: int) -> Call:
    return partial(store.begin, login, new_key(), session=None, size=size)


async def test_the_quota_is_what_all_uploads_of_a_user_add_up_to(studio: Studio) -> None:
    """To the byte, in a session or in none, by what is said before and by what has come; others have their own."""
    store, ada = studio.uploads_under(QUOTA_BYTES), studio.logins["ada"]
    await studio.upload("ada", studio.session)
    await studio.upload("ada")
    await studio.upload("bo", studio.session)
    for call in (beginnings(store, ada, SIZE + 1), partial(commit, studio, store, SIZE + 1)):
        with pytest.raises(QuotaExceeded):
            await call()
    await studio.retention.forget_unreferenced([await reserved(studio, store, SIZE)])
    await commit(studio, store, SIZE)
    await store.begin(ada, new_key(), session=None, size=None)
    with pytest.raises(QuotaExceeded):
        await commit(studio, store, 1)
    await commit(studio, store, 2 * SIZE, "bo")


async def test_a_removed_upload_makes_room(studio: Studio) -> None:
    """At once, though its object may still be there."""
    store, upload = studio.uploads_under(SIZE), await studio.upload("ada")
    with pytest.raises(QuotaExceeded):
        await commit(studio, store, 1)
    await studio.uploads.remove(studio.logins["ada"], upload.id)
    await commit(studio, store, SIZE)


async def test_of_many_at_once_no_more_than_fit_are_taken(studio: Studio) -> None:
    """Each fits alone: uploads and promises of chunks together stay within the quota."""
    store, ada = studio.uploads_under(QUOTA_BYTES), studio.logins["ada"]
    resumables = studio.resumables_under(QUOTA_BYTES)
    keys = [await studio.begun() for _ in range(5)]
    acts: list[Call] = [partial(store.commit, ada, str(uuid4()), key, STEM, session=None) for key in keys]
    acts += [partial(resumables.create, ada, "take.wav", SIZE, None) for _ in range(4)]
    assert await at_once(acts) == ["done"] * 3 + ["upload_quota_exceeded"] * 6
    stored = await studio.base.number(
        "SELECT (SELECT count(*) FROM uploads) + (SELECT count(*) FROM resumable_uploads)",
    )
    assert stored == 3


async def test_what_is_promised_in_chunks_counts_until_its_time_is_over(studio: Studio) -> None:
    """From when it is begun, and not twice when it is finished; after a day, or removed, it counts no more."""
    store, resumables, ada = studio.uploads_under(SIZE), studio.resumables_under(SIZE), studio.logins["ada"]
    first = await resumables.create(ada, "take.wav", SIZE, None)
    for call in (beginnings(store, ada, 1), partial(resumables.create, ada, "take.wav", 1, None)):
        with pytest.raises(QuotaExceeded):
            await call()
    await resumables.remove(ada, first.id)
    second = await resumables.create(ada, "take.wav", SIZE, None)
    await studio.expire(second.id)
    third = await resumables.create(ada, "take.wav", SIZE, None)
    upload = await resumables.finish(ada, third.id, await studio.begun(), STEM, offset=0)
    with pytest.raises(QuotaExceeded):
        await resumables.create(ada, "take.wav", 1, None)
    await studio.uploads.remove(ada, upload.id)
    await beginnings(store, ada, SIZE)()


async def test_without_a_quota_everything_is_taken(studio: Studio) -> None:
    """None is what 0 means."""
    store = studio.uploads_under(0)
    await commit(studio, store, 2**40)
    await commit(studio, store, 2**40)
