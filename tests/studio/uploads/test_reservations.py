"""What arrives is reserved before it does: a quota holds for what is on the way, too (`UploadStore.reserve`)."""

from functools import partial
from typing import Final

import pytest

from omnisonic.errors import Unavailable
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import QuotaExceeded, TooManyUploads
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.studio.asking import at_once
from tests.studio.uploading import SIZE, Call, Studio, new_key, received

QUOTA_BYTES: Final = 3 * SIZE
MANY: Final = 20
FEW: Final = 2
MOST: Final = 3
OVER: Final = "UPDATE loose_objects SET reserved_until = now() WHERE object_key = $1"


async def begun(studio: Studio, store: UploadStore, size: int, name: str = "ada") -> Key:
    """The key of something that `name` sends, of which `size` bytes are reserved."""
    key = new_key()
    await store.begin(studio.logins[name], key, session=None, size=size)
    return key


async def test_of_many_that_begin_at_once_no_more_than_fit_may_arrive(studio: Studio) -> None:
    """Twenty that would each fit alone; others have their own."""
    store, ada = studio.uploads_under(QUOTA_BYTES), studio.logins["ada"]
    acts: list[Call] = [partial(store.begin, ada, new_key(), session=None, size=SIZE) for _ in range(MANY)]
    assert await at_once(acts) == ["done"] * 3 + ["upload_quota_exceeded"] * (MANY - 3)
    await begun(studio, store, QUOTA_BYTES, "bo")


async def test_what_is_not_said_beforehand_is_reserved_as_it_arrives(studio: Studio) -> None:
    """As much as is left, up to what is wanted; less than is needed is refused, and nothing of it stays reserved."""
    store = studio.uploads_under(QUOTA_BYTES)
    first, second = await begun(studio, store, 0), await begun(studio, store, 0)
    assert await store.reserve(first, least=1, most=2 * SIZE) == 2 * SIZE
    assert await store.reserve(second, least=1, most=2 * SIZE) == SIZE
    with pytest.raises(QuotaExceeded):
        await store.reserve(second, least=SIZE + 1, most=2 * SIZE)
    assert await store.reserve(first, least=2 * SIZE, most=3 * SIZE) == 2 * SIZE


async def test_of_many_that_grow_at_once_no_more_than_fits_is_granted(studio: Studio) -> None:
    """To the byte."""
    store = studio.uploads_under(QUOTA_BYTES)
    keys = [await begun(studio, store, 0) for _ in range(MANY)]
    await at_once([partial(store.reserve, key, least=1, most=SIZE - 7) for key in keys])
    assert await studio.base.number("SELECT sum(reserved_bytes)::bigint FROM loose_objects") == QUOTA_BYTES


async def test_what_was_reserved_does_not_count_twice_when_it_is_kept(studio: Studio) -> None:
    """And what is stored of less than was reserved leaves the rest to others."""
    store, ada = studio.uploads_under(QUOTA_BYTES), studio.logins["ada"]
    key = await begun(studio, store, QUOTA_BYTES)
    await store.commit(ada, "6d9bd2d4-22ab-4c8e-9c37-5a0a9a6ddf4d", key, received(SIZE), session=None)
    with pytest.raises(QuotaExceeded):
        await begun(studio, store, 2 * SIZE + 1)
    await begun(studio, store, 2 * SIZE)


async def test_a_reservation_ends_with_its_lease(studio: Studio) -> None:
    """As when the process was killed that took the file in; renewed, it goes on, and what is given up has ended."""
    store = studio.uploads_under(QUOTA_BYTES)
    key = await begun(studio, store, QUOTA_BYTES)
    await studio.base.sql(OVER, key)
    other = await begun(studio, store, SIZE)
    with pytest.raises(QuotaExceeded):
        await store.reserve(key, least=QUOTA_BYTES, most=QUOTA_BYTES)
    await studio.base.sql(OVER, other)
    assert await store.reserve(key, least=QUOTA_BYTES, most=QUOTA_BYTES) == QUOTA_BYTES
    with pytest.raises(QuotaExceeded):
        await begun(studio, store, 1)
    await store.abandon(key)
    with pytest.raises(Unavailable):
        await store.reserve(key, least=1, most=1)


async def test_what_is_given_up_counts_no_more(studio: Studio) -> None:
    """At once, alone or as a piece, also while nothing can be deleted: whoever sends it again has the room."""
    store, resumables, ada = (
        studio.uploads_under(QUOTA_BYTES),
        studio.resumables_under(QUOTA_BYTES),
        studio.logins["ada"],
    )
    await store.abandon(await begun(studio, store, QUOTA_BYTES))
    await store.abandon(await begun(studio, store, QUOTA_BYTES))
    resumable = await resumables.create(ada, "take.wav", None, None)
    for _ in range(2):
        piece = new_key()
        await store.begin(ada, piece, session=None, size=QUOTA_BYTES, resumable=resumable.id)
        await store.abandon(piece)
    await begun(studio, store, QUOTA_BYTES)
    assert await studio.base.number("SELECT count(*) FROM loose_objects WHERE doomed") == 4


async def test_a_piece_counts_as_what_its_upload_was_said_to_be(studio: Studio) -> None:
    """Once; what is sent twice at the same time counts twice, and what has arrived is not sent again."""
    store, resumables, ada = studio.uploads_under(SIZE + 2), studio.resumables_under(SIZE + 2), studio.logins["ada"]
    resumable = await resumables.create(ada, "take.wav", SIZE, None)
    begin = partial(store.begin, ada, session=None, resumable=resumable.id)
    key = new_key()
    await begin(key, size=SIZE)
    with pytest.raises(QuotaExceeded):
        await begin(new_key(), size=3)
    await begin(new_key(), size=2)
    await resumables.append(ada, resumable.id, key, writer=0, offset=0, size=SIZE)
    with pytest.raises(QuotaExceeded):
        await begin(new_key(), size=1)
    await resumables.remove(ada, resumable.id)
    await begun(studio, store, SIZE)


async def test_so_many_files_of_a_user_arrive_at_once(studio: Studio) -> None:
    """In whichever way; one that is here, given up or lost with its process makes room, and a copy takes none."""
    base, ada = studio.base, studio.logins["ada"]
    store = base.of(UploadStore(base.database, most_active=FEW))
    acts: list[Call] = [partial(store.begin, ada, new_key(), session=None, size=None) for _ in range(MANY)]
    assert await at_once(acts) == ["done"] * FEW + ["too_many_uploads"] * (MANY - FEW)
    await begun(studio, store, 0, "bo")
    first, second = [row[0] for row in await base.sql(
        "SELECT object_key FROM loose_objects WHERE user_id = $1", studio.persons["ada"].id
    )]  # fmt: skip
    await store.begin_copy(new_key())
    await store.abandon(first)
    third = await begun(studio, store, 0)
    await base.sql(OVER, second)
    await begun(studio, store, 0)
    with pytest.raises(TooManyUploads, match="2 files"):
        await begun(studio, store, 0)
    await store.commit(ada, "6d9bd2d4-22ab-4c8e-9c37-5a0a9a6ddf4d", third, received(SIZE), session=None)
    await begun(studio, store, 0)


async def test_so_many_uploads_of_a_user_may_be_unfinished(studio: Studio) -> None:
    """One that is finished, removed or a day old makes room. Others have their own."""
    base, ada = studio.base, studio.logins["ada"]
    store = base.of(ResumableStore(base.database, most_unfinished=MOST))
    begin = partial(store.create, ada, "take.wav", SIZE, None)
    assert await at_once([begin] * MANY) == ["done"] * MOST + ["too_many_uploads"] * (MANY - MOST)
    await store.create(studio.logins["bo"], "take.wav", None, None)
    ids = await base.sql("SELECT id::text FROM resumable_uploads WHERE user_id = $1", studio.persons["ada"].id)
    first, second, third = (row[0] for row in ids)
    await studio.add_chunk(await store.get(ada, first), size=SIZE)
    await store.finish(ada, first, await studio.begun(), received(SIZE), offset=SIZE)
    await store.remove(ada, second)
    await studio.expire(third)
    assert await at_once([begin] * MANY) == ["done"] * MOST + ["too_many_uploads"] * (MANY - MOST)
    with pytest.raises(TooManyUploads, match=r"^3 uploads of yours are not finished"):
        await begin()
