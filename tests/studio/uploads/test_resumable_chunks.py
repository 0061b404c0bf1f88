"""What the store of resumable uploads promises (`omnisonic.studio.uploads.resumable_store`), on a real Postgres."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec
import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.identity.logins import login_id, new_token
from omnisonic.studio.sessions import ListenersChangeNothing, NoSuchSession, NotSignedIn
from omnisonic.studio.uploads import NoSuchUpload, QuotaExceeded, TooManyUploads
from omnisonic.studio.uploads.resumable_store import RESUMABLE_S, ResumableStore
from omnisonic.studio.uploads.resumables import (
    MAX_CHUNKS,
    NextChunk,
    NoSuchResumable,
    OffsetConflict,
    Resumable,
    TakenOver,
    TooManyChunks,
)
from omnisonic.studio.uploads.upload_store import UploadStore
from tests.studio.asking import CLOCKS_S, NOBODY, at_once, outcome
from tests.studio.databases import DEAD_URL, base_at
from tests.studio.uploading import SIZE, STEM, Call, Studio, calls_about_resumable, new_key, received

STRANGER: Final = login_id(new_token())
AT_ONCE: Final = 20


async def test_chunks_become_one_upload(studio: Studio) -> None:
    """In their order, under the id that they came under; then they are unreferenced, due, and in nobody's way."""
    ada = studio.logins["ada"]
    begun = await studio.resumable("ada", studio.session)
    assert (begun.session, begun.file_name, begun.size) == (studio.session, STEM.file_name, SIZE)
    assert (begun.received, await studio.resumables.chunks(ada, begun.id)) == (0, [])
    life = timedelta(seconds=RESUMABLE_S)
    assert abs(begun.expires_at - datetime.now(UTC) - life) < timedelta(seconds=CLOCKS_S)
    chunks = [await studio.add_chunk(begun, offset=offset, size=size) for offset, size in ((0, 900), (900, 99))]
    last, key = await studio.begun(), await studio.begun()
    await studio.resumables.append(ada, begun.id, last, writer=0, offset=999, size=1)
    assert (await studio.resumables.get(ada, begun.id)).received == SIZE
    assert await studio.resumables.chunks(ada, begun.id) == [*chunks, last]
    upload = await studio.resumables.finish(ada, begun.id, key, STEM, offset=SIZE)
    assert (upload.id, upload.session_id, upload.file_size) == (begun.id, studio.session, SIZE)
    assert (await studio.uploads.get(studio.logins["bo"], begun.id)).key == key
    assert await studio.unreferenced() == await studio.unreferenced(due=True) == {*chunks, last}
    for call in calls_about_resumable(studio.resumables, ada, begun.id, last):
        with pytest.raises(NoSuchResumable):
            await call()


async def test_whoever_becomes_a_listener_on_the_way_finishes_nothing(studio: Studio) -> None:
    """What they have begun as an editor does not arrive in the session, and they begin nothing there."""
    begun, bo = await studio.resumable("bo", studio.session), studio.logins["bo"]
    await studio.add_chunk(begun, "bo", size=SIZE)
    key = await studio.begun("bo")
    await studio.people.store.change_role(studio.logins["ada"], studio.session, studio.persons["bo"].id, "listener")
    for act in (
        partial(studio.resumables.finish, bo, begun.id, key, STEM, offset=SIZE),
        partial(studio.resumables.create, bo, "take.wav", SIZE, studio.session),
        partial(studio.begun, "bo", studio.session),
    ):
        with pytest.raises(ListenersChangeNothing):
            await act()
    assert (await studio.uploads.list(bo, studio.session, limit=10)).uploads == []


async def test_an_unfinished_upload_is_its_uploaders_alone(studio: Studio) -> None:
    """Also in a shared session, and by an id that is none; it is no upload yet."""
    begun, ada = await studio.resumable("ada", studio.session), studio.logins["ada"]
    chunk = await studio.add_chunk(begun, size=1)
    for name, resumable in (("bo", begun.id), ("cy", begun.id), ("ada", NOBODY), ("ada", begun.id.upper() + "\0")):
        key = await studio.begun(name)
        for call in calls_about_resumable(studio.resumables, studio.logins[name], resumable, key):
            with pytest.raises(NoSuchResumable):
                await call()
        assert key in await studio.unreferenced()
    with pytest.raises(NoSuchUpload):
        await studio.uploads.get(ada, begun.id)
    assert await studio.resumables.chunks(ada, begun.id) == [chunk]


@pytest.mark.parametrize("who", ["a stranger", "signs_out", "falls_idle"])
async def test_without_a_sign_in_no_chunk_is_taken(studio: Studio, who: str) -> None:
    """And nothing is begun, or told apart."""
    begun, key, login = await studio.resumable("bo"), await studio.begun("bo"), STRANGER
    if who != "a stranger":
        login = studio.logins["bo"]
        await getattr(studio.people, who)(login)
    for resumable in (begun.id, NOBODY, "no uuid"):
        calls = calls_about_resumable(studio.resumables, login, resumable, key)
        calls.append(partial(studio.resumables.create, login, "take.wav", SIZE, None))
        for call in calls:
            with pytest.raises(NotSignedIn):
                await call()
    assert await studio.base.number("SELECT count(*) FROM resumable_uploads") == 1


async def test_one_begins_only_where_one_has_a_role(studio: Studio) -> None:
    """Another's session is as one that was never made."""
    for session in (studio.session, NOBODY, "no uuid"):
        with pytest.raises(NoSuchSession):
            await studio.resumable("cy", session)
    assert (await studio.resumable("bo", studio.session)).session == studio.session


async def test_a_chunk_begins_where_the_last_one_ended(studio: Studio) -> None:
    """Nothing is taken twice, left out or too much, and what is not taken stays unreferenced."""
    begun, ada = await studio.resumable(), studio.logins["ada"]
    first, key = await studio.add_chunk(begun, size=10), await studio.begun()
    for offset, size in ((0, 10), (9, 1), (11, 1), (-1, 1), (10, SIZE - 9)):
        with pytest.raises(OffsetConflict):
            await studio.resumables.append(ada, begun.id, key, writer=0, offset=offset, size=size)
    assert (await studio.resumables.get(ada, begun.id)).received == 10
    assert await studio.resumables.chunks(ada, begun.id) == [first]
    assert await studio.unreferenced() == {key}


async def test_of_the_same_chunk_sent_many_times_at_once_one_is_taken(studio: Studio) -> None:
    """The objects of the others stay unreferenced."""
    begun, keys = await studio.resumable(), [await studio.begun() for _ in range(AT_ONCE)]
    append, ada = studio.resumables.append, studio.logins["ada"]
    acts: list[Call] = [partial(append, ada, begun.id, key, writer=0, offset=0, size=7) for key in keys]
    assert await at_once(acts) == ["done"] + ["offset_conflict"] * (AT_ONCE - 1)
    assert (await studio.resumables.get(ada, begun.id)).received == 7
    (taken,) = await studio.resumables.chunks(ada, begun.id)
    assert await studio.unreferenced() == set(keys) - {taken}


async def test_an_upload_has_so_many_chunks_and_all_are_unreferenced_at_once(studio: Studio) -> None:
    """One more is refused, and stays unreferenced. The last one makes it whole, and removing it is quick."""
    ada, other = studio.logins["ada"], await studio.resumable("bo")
    whole, given_up = [await with_most_chunks(studio) for _ in range(2)]
    for begun in (whole, given_up):
        key = await studio.begun()
        with pytest.raises(TooManyChunks):
            await studio.resumables.append(ada, begun.id, key, writer=0, offset=MAX_CHUNKS, size=1)
        assert key in await studio.unreferenced()
        assert (await studio.resumables.get(ada, begun.id)).received == MAX_CHUNKS
    size = MAX_CHUNKS + 1
    received_all = msgspec.structs.replace(STEM, file_size=size)
    await studio.resumables.finish(ada, whole.id, await studio.begun(), received_all, offset=MAX_CHUNKS)
    assert len(await studio.resumables.remove(ada, given_up.id)) == MAX_CHUNKS
    assert await studio.base.number("SELECT count(*) FROM loose_objects WHERE doomed") == 2 * MAX_CHUNKS
    assert (await studio.resumables.get(studio.logins["bo"], other.id)).received == 0


async def with_most_chunks(studio: Studio) -> Resumable:
    """An upload that lacks one byte, and came byte by byte."""
    begun = await studio.resumables.create(studio.logins["ada"], "a.flac", MAX_CHUNKS + 1, None)
    await studio.base.number(
        f"""
        WITH piece AS (
            INSERT INTO upload_pieces (resumable_id, begins_at, size, object_key)
            SELECT '{begun.id}', number, 1, 'pieces/{begun.id}/' || number
            FROM generate_series(0, {MAX_CHUNKS - 1}) AS number
        )
        UPDATE resumable_uploads SET received = {MAX_CHUNKS}, piece_count = {MAX_CHUNKS}
        WHERE id = '{begun.id}' RETURNING received
        """
    )
    return begun


async def test_whoever_claims_it_last_is_its_only_writer(studio: Studio) -> None:
    """Whoever was there before adds no chunk any more, wherever it begins; it may still finish what it has whole."""
    begun, ada = await studio.resumable(), studio.logins["ada"]
    first = await studio.resumables.claim(ada, begun.id, offset=0)
    await studio.add_chunk(begun, size=10, writer=first.writer)
    with pytest.raises(OffsetConflict):
        await studio.resumables.claim(ada, begun.id, offset=0)
    await studio.resumables.check(ada, begun.id, writer=first.writer)
    second = await studio.resumables.claim(ada, begun.id, offset=10)
    key = await studio.begun()
    for offset in (10, 11):
        with pytest.raises(TakenOver):
            await studio.resumables.append(ada, begun.id, key, writer=first.writer, offset=offset, size=1)
    with pytest.raises(TakenOver):
        await studio.resumables.check(ada, begun.id, writer=first.writer)
    await studio.resumables.append(ada, begun.id, key, writer=second.writer, offset=10, size=1)
    assert (await studio.resumables.get(ada, begun.id)).received == 11
    whole = await studio.begun()
    with pytest.raises(OffsetConflict):
        await studio.resumables.finish(ada, begun.id, whole, STEM, offset=10)
    assert (await studio.resumables.finish(ada, begun.id, whole, STEM, offset=11)).id == begun.id


async def test_of_many_that_claim_it_at_once_one_writes(studio: Studio) -> None:
    """Each has a number of its own, and only the highest may add a chunk."""
    begun, ada = await studio.resumable(), studio.logins["ada"]
    writers: list[int] = []

    async def claim() -> None:
        writers.append((await studio.resumables.claim(ada, begun.id, offset=0)).writer)

    assert await at_once([claim] * AT_ONCE) == ["done"] * AT_ONCE
    assert len(set(writers)) == AT_ONCE
    keys = [await studio.begun() for _ in writers]
    acts: list[Call] = [
        partial(studio.resumables.append, ada, begun.id, key, writer=writer, offset=0, size=7)
        for key, writer in zip(keys, writers, strict=True)
    ]
    assert await at_once(acts) == ["done"] + ["upload_taken_over"] * (AT_ONCE - 1)
    ((writer,),) = await studio.base.sql("SELECT writer FROM resumable_uploads")
    assert writer == max(writers)


async def test_a_claim_says_whether_another_request_sends(studio: Studio) -> None:
    """As long as the lease of its reservation lasts."""
    begun, ada, key = await studio.resumable(), studio.logins["ada"], new_key()
    assert not (await studio.resumables.claim(ada, begun.id, offset=0)).is_contested
    await studio.uploads.begin(ada, key, session=None, size=SIZE, resumable=begun.id)
    assert (await studio.resumables.claim(ada, begun.id, offset=0)).is_contested
    await studio.uploads.abandon(key)
    assert not (await studio.resumables.claim(ada, begun.id, offset=0)).is_contested


async def test_what_follows_a_chunk_takes_its_place(studio: Studio) -> None:
    """Among the files that arrive at once, and in the quota: to the byte, and no more than there is."""
    most_active = studio.base.of(UploadStore(studio.base.database, quota_bytes=SIZE, most_active=1))
    resumables, ada = studio.resumables_under(SIZE), studio.logins["ada"]
    begun = await resumables.create(ada, "take.wav", SIZE, None)
    key, following, beyond = new_key(), new_key(), new_key()
    await most_active.begin(ada, key, session=None, size=900, resumable=begun.id)
    append = partial(resumables.append, ada, begun.id, writer=0)
    assert await append(key, offset=0, size=900, following=NextChunk(following, 100)) == 100
    with pytest.raises(TooManyUploads):
        await most_active.begin(ada, new_key(), session=None, size=0, resumable=begun.id)
    assert await append(following, offset=900, size=50, following=NextChunk(beyond, 60)) == 50
    with pytest.raises(QuotaExceeded):
        await most_active.reserve(beyond, least=51, most=60)
    assert await studio.unreferenced() == {beyond}


async def test_what_is_not_unreferenced_is_no_chunk(studio: Studio) -> None:
    """Never begun, given up, an upload or a chunk already: nothing has arrived."""
    begun, ada, given_up = await studio.resumable(), studio.logins["ada"], await studio.begun()
    await studio.uploads.abandon(given_up)
    chunk, mine = await studio.add_chunk(begun, size=1), await studio.key_of((await studio.upload()).id)
    for key in (new_key(), given_up, chunk, mine):
        with pytest.raises(Unavailable):
            await studio.resumables.append(ada, begun.id, key, writer=0, offset=1, size=1)
        with pytest.raises(Unavailable):
            await studio.resumables.finish(ada, begun.id, key, STEM, offset=1)
    assert (await studio.resumables.get(ada, begun.id)).received == 1


async def test_only_what_is_whole_is_finished(studio: Studio) -> None:
    """A file of another size than was promised is not these chunks'; it can go on."""
    begun, ada, key = await studio.resumable(), studio.logins["ada"], await studio.begun()
    for size in (SIZE - 1, SIZE + 1):
        with pytest.raises(OffsetConflict):
            await studio.resumables.finish(ada, begun.id, key, received(size), offset=0)
    with pytest.raises(OffsetConflict):
        await studio.resumables.finish(ada, begun.id, key, STEM, offset=1)
    assert (await studio.resumables.finish(ada, begun.id, key, STEM, offset=0)).id == begun.id


async def test_of_many_that_finish_at_once_one_does(studio: Studio) -> None:
    """There is one upload, whose object is not unreferenced; all the others are."""
    begun, ada = await studio.resumable("ada", studio.session), studio.logins["ada"]
    chunk, keys = await studio.add_chunk(begun, size=10), [await studio.begun() for _ in range(AT_ONCE)]
    acts: list[Call] = [partial(studio.resumables.finish, ada, begun.id, key, STEM, offset=10) for key in keys]
    assert await at_once(acts) == ["done"] + ["upload_not_found"] * (AT_ONCE - 1)
    stored = await studio.uploads.get(ada, begun.id)
    assert await studio.unreferenced() == {chunk, *keys} - {stored.key}


async def test_what_has_expired_is_gone(studio: Studio) -> None:
    """No call finds it; housekeeping drops it in batches, and its chunks are due."""
    begun, key, ada = [await studio.resumable() for _ in range(3)], await studio.begun(), studio.logins["ada"]
    chunks = {await studio.add_chunk(each, size=1) for each in begun}
    lives = await studio.resumable()
    for each in begun:
        await studio.expire(each.id)
        for call in calls_about_resumable(studio.resumables, ada, each.id, key):
            with pytest.raises(NoSuchResumable):
                await call()
    assert [await studio.retention.drop_expired(2) for _ in range(3)] == [2, 1, 0]
    assert await studio.unreferenced(due=True) == chunks
    assert await studio.resumables.get(ada, lives.id) == lives


async def test_what_is_removed_says_its_chunks(studio: Studio) -> None:
    """In order, unreferenced and due; it is removed once."""
    begun, ada = await studio.resumable(), studio.logins["ada"]
    chunks = [await studio.add_chunk(begun, offset=offset, size=1) for offset in range(11)]
    assert await studio.resumables.remove(ada, begun.id) == chunks
    assert await studio.unreferenced(due=True) == set(chunks)
    with pytest.raises(NoSuchResumable):
        await studio.resumables.remove(ada, begun.id)


@pytest.mark.parametrize("what", ["session", "account"])
async def test_without_its_session_or_uploader_it_is_gone(studio: Studio, what: str) -> None:
    """There is nothing to bring it into, or nobody who does; its chunks are due."""
    begun = await studio.resumable("bo", studio.session)
    chunk = await studio.add_chunk(begun, "bo", size=1)
    if what == "session":
        await studio.people.store.delete(studio.logins["ada"], studio.session)
        with pytest.raises(NoSuchResumable):
            await studio.resumables.get(studio.logins["bo"], begun.id)
    else:
        await studio.lose_account("bo")
    assert await studio.base.number("SELECT count(*) FROM resumable_uploads") == 0
    assert await studio.unreferenced(due=True) == {chunk}


async def test_who_has_lost_their_role_finishes_nothing(studio: Studio) -> None:
    """The session is not theirs any more, and its band sees nothing of it."""
    begun, bo = await studio.resumable("bo", studio.session), studio.logins["bo"]
    key = await studio.begun("bo")
    await studio.people.store.remove(studio.logins["ada"], studio.session, studio.persons["bo"].id)
    with pytest.raises(NoSuchSession):
        await studio.resumables.finish(bo, begun.id, key, STEM, offset=0)
    assert (await studio.uploads.list(studio.logins["ada"], studio.session, limit=10)).uploads == []
    assert await studio.unreferenced() == {key}


async def test_finishing_and_deleting_the_session_do_not_wait_for_each_other(studio: Studio) -> None:
    """The deletion, which came first, is done, and there is nothing to finish: neither is told to try again."""
    begun, key = await studio.resumable("bo", studio.session), await studio.begun("bo")
    outcomes: dict[str, str] = {}

    async def do(name: str, act: Awaitable[object]) -> None:
        outcomes[name] = await outcome(act)

    # The deletion has the session and waits for its members, before it comes to what is being uploaded.
    holding = studio.base.holding("SELECT FROM session_members WHERE session_id = $1 FOR UPDATE", studio.session)
    async with trio.open_nursery() as nursery, holding:
        nursery.start_soon(do, "delete", studio.people.store.delete(studio.logins["ada"], studio.session))
        await studio.base.once_waiting(1)
        nursery.start_soon(do, "finish", studio.resumables.finish(studio.logins["bo"], begun.id, key, STEM, offset=0))
        await studio.base.once_waiting(2)
    assert outcomes == {"delete": "done", "finish": "upload_not_found"}
    assert await studio.unreferenced() == {key}


async def test_without_a_database_no_chunk_is_lost_sight_of(thread: AsyncioThread) -> None:
    """Each call says that it does not answer now, not that there is nothing."""
    async with base_at(DEAD_URL, thread) as dead:
        store = dead.of(ResumableStore(dead.database))
        calls = calls_about_resumable(store, STRANGER, NOBODY, new_key())
        calls.append(partial(store.create, STRANGER, "take.wav", SIZE, None))
        for call in calls:
            with pytest.raises(Unavailable):
                await call()
