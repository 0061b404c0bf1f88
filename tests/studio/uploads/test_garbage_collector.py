"""Unreferenced objects go, the object first and then the note of it (`omnisonic.studio.uploads.garbage_collector`)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.storage import Key, Storage
from omnisonic.studio.sessions import NoSuchSession
from omnisonic.studio.uploads.garbage_collector import AT_ONCE, BATCH, DELETE_S, GarbageCollector
from omnisonic.studio.uploads.retention import TAKEN_S, UploadRetention
from tests.stores.conftest import DEADLINE_S
from tests.stores.storage.shelves import Shelf, local_shelf
from tests.studio.asking import NOBODY
from tests.studio.databases import DEAD_URL, Base, base_at
from tests.studio.uploading import STEM, Studio, new_key


class Shelves:
    """A storage that only deletes: it counts that, and for some objects does something else. Asyncio."""

    def __init__(self) -> None:
        self.deleted: Counter[Key] = Counter()
        self.raising: dict[Key, Exception] = {}
        self.hanging: set[Key] = set()
        self.is_away = False
        self.asked = 0
        self.most_at_once = 0
        self._at_once = 0

    async def delete(self, key: Key) -> None:
        self.asked += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)
            if key in self.hanging:
                await asyncio.Event().wait()
            if self.is_away:
                raise Unavailable("The storage is away.")
            if key in self.raising:
                raise self.raising[key]
            self.deleted[key] += 1
        finally:
            self._at_once -= 1


@pytest.fixture
def shelves() -> Shelves:
    """Nothing deleted yet."""
    return Shelves()


@pytest.fixture
async def shelf(thread: AsyncioThread, tmp_path: Path) -> AsyncIterator[Shelf]:
    """A folder, empty."""
    async with local_shelf(thread, tmp_path / "uploads") as shelf:
        yield shelf


class Collecting:
    """A garbage collector in the asyncio thread."""

    def __init__(self, base: Base, storage: object, *, delete_s: float = DELETE_S) -> None:
        self._base = base
        self._collector = GarbageCollector(UploadRetention(base.database), cast("Storage", storage), delete_s=delete_s)

    @property
    def left(self) -> int:
        return self._collector.left

    async def collect(self, *keys: Key) -> None:
        await self._base.thread.call(self._collector.collect, [*keys], timeout_s=DEADLINE_S)

    async def sweep(self) -> int:
        return await self._base.thread.call(self._collector.sweep, timeout_s=DEADLINE_S)


async def abandon_objects(studio: Studio, count: int) -> list[Key]:
    """The keys of unreferenced objects that are due."""
    keys = [await studio.begun() for _ in range(count)]
    for key in keys:
        assert await studio.uploads.abandon(key)
    return keys


async def test_an_object_that_could_not_be_committed_is_swept(studio: Studio, shelf: Shelf) -> None:
    """It was stored, then there was no session for it, and the process died: in the end nothing is left of it."""
    ada, key, collecting = studio.logins["ada"], await studio.begun(), Collecting(studio.base, shelf.store)
    upload = await studio.upload()
    mine = await studio.key_of(upload.id)
    for each in (key, mine):
        await shelf.put(each, b"sound")
    with pytest.raises(NoSuchSession):
        await studio.uploads.commit(ada, NOBODY, key, STEM, session=NOBODY)
    assert await collecting.sweep() == 0
    assert set(shelf.place.objects()) == {key, mine}
    await studio.everything_is_due()
    assert await collecting.sweep() == 1
    assert set(shelf.place.objects()) == {mine}
    assert await studio.unreferenced() == set()
    await studio.uploads.remove(ada, upload.id)
    assert await collecting.sweep() == 0
    await studio.empty_bin()
    assert await collecting.sweep() == 1
    assert shelf.is_empty()


async def test_a_sweep_takes_batch_after_batch(studio: Studio, shelves: Shelves) -> None:
    """All that is due, each once, and only so many at the same time."""
    keys, collecting = await abandon_objects(studio, BATCH + 3), Collecting(studio.base, shelves)
    await studio.begun()
    assert await collecting.sweep() == len(keys)
    assert shelves.deleted == Counter(keys)
    assert shelves.most_at_once == AT_ONCE
    assert (len(await studio.unreferenced()), collecting.left) == (1, 0)


async def test_a_batch_is_done_before_others_may_take_it() -> None:
    """Even when each object takes the longest that it may."""
    assert BATCH / AT_ONCE * DELETE_S < TAKEN_S


async def test_two_sweeps_at_once_share_the_work(studio: Studio, shelves: Shelves) -> None:
    """No object is deleted twice, and together they are done."""
    keys, swept = await abandon_objects(studio, 2 * BATCH), []

    async def sweep() -> None:
        swept.append(await Collecting(studio.base, shelves).sweep())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep)
        nursery.start_soon(sweep)
    assert sum(swept) == len(keys)
    assert shelves.deleted == Counter(keys)


async def test_a_store_that_is_away_is_asked_next_time(studio: Studio, shelves: Shelves) -> None:
    """One batch shows it; nothing is forgotten, and when it is back all of it goes."""
    keys, collecting = await abandon_objects(studio, BATCH + 3), Collecting(studio.base, shelves)
    shelves.is_away = True
    assert await collecting.sweep() == 0
    assert (shelves.asked, collecting.left) == (BATCH, BATCH)
    assert await studio.unreferenced() == set(keys)
    shelves.is_away = False
    await studio.everything_is_due()
    assert await collecting.sweep() == len(keys)
    assert (await studio.unreferenced(), collecting.left) == (set(), 0)


async def test_one_object_that_cannot_be_deleted_holds_up_no_other(
    studio: Studio, shelves: Shelves, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, hanging or failing in a way that nobody knew of: it stays, the others go, and the log says so."""
    keys, collecting = await abandon_objects(studio, 6), Collecting(studio.base, shelves, delete_s=0.05)
    shelves.raising = {keys[0]: Unavailable("Not now."), keys[1]: ValueError("Whatever.")}
    shelves.hanging = {keys[2]}
    assert await collecting.sweep() == 3
    assert await studio.unreferenced() == set(keys[:3])
    assert collecting.left == 3
    assert (
        sorted(record.message for record in caplog.records)
        == ["garbage_collector.crashed"] + ["garbage_collector.failed"] * 2
    )
    assert {getattr(record, "key", None) for record in caplog.records} == set(keys[:3])


async def test_what_is_collected_is_gone_at_once(studio: Studio, shelf: Shelf) -> None:
    """The removed upload's object, and what was not there; what fails stays due."""
    upload, collecting = await studio.upload(), Collecting(studio.base, shelf.store)
    key = await studio.key_of(upload.id)
    await shelf.put(key, b"sound")
    await studio.uploads.remove(studio.logins["ada"], upload.id)
    await studio.empty_bin()
    await collecting.collect(key, *await abandon_objects(studio, 1))
    await collecting.collect()
    assert shelf.is_empty()
    assert await studio.unreferenced() == set()


async def test_collecting_never_raises(
    studio: Studio, shelves: Shelves, thread: AsyncioThread, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither without the store nor without the database, where sweeping does."""
    (key,) = await abandon_objects(studio, 1)
    shelves.is_away = True
    await Collecting(studio.base, shelves).collect(key)
    assert await studio.unreferenced(due=True) == {key}
    async with base_at(DEAD_URL, thread) as dead:
        shelves.is_away = False
        await Collecting(dead, shelves).collect(new_key())
        with pytest.raises(Unavailable):
            await Collecting(dead, shelves).sweep()
    assert [record.message for record in caplog.records] == ["garbage_collector.failed", "garbage_collector.postponed"]
