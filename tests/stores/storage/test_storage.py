"""What every storage promises (`omnisonic.stores.storage`), held on each of them."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
import trio

from omnisonic.stores.storage import CHUNK_BYTES, LINK_S, NoSuchObject
from omnisonic.stores.storage.s3_upload import PART_BYTES
from tests.stores.storage.shelves import STEM, Feed, Shelf, reading

MIB = 1_048_576


def noise(size: int) -> bytes:
    """Bytes that are not twice the same in a row, and the same each time."""
    return random.Random(size).randbytes(size)


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


@pytest.mark.parametrize("size", [0, 1, MIB, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 100_000_000])
async def test_what_is_read_is_what_was_put(shelf: Shelf, size: int) -> None:
    """Bit for bit, whatever the size; nothing else is left in the store."""
    data = noise(size)
    await shelf.do(shelf.store.put, "uploads/a-1", in_chunks(data, 65_536), STEM)
    assert hashlib.sha256(await shelf.read("uploads/a-1")).digest() == hashlib.sha256(data).digest()
    assert shelf.place.objects() == {"uploads/a-1": size}
    assert not shelf.place.unfinished()


@pytest.mark.parametrize("size", [1, 4099, CHUNK_BYTES - 1, CHUNK_BYTES * 3 + 7])
async def test_it_does_not_matter_how_the_bytes_come(shelf: Shelf, size: int) -> None:
    """Chunks smaller and larger than the blocks that are written, and empty ones."""
    data = noise(100_000 if size == 1 else 2 * MIB)
    size = 7 if size == 1 else size
    chunks = [data[begin : begin + size] for begin in range(0, len(data), size)]
    await shelf.put("pieces/a-1", b"", *chunks, b"")
    assert await shelf.read("pieces/a-1") == data


@pytest.mark.parametrize(
    ("begin", "end"),
    [(0, 1), (0, None), (1, 2), (MIB - 1, MIB), (MIB - 1, None), (17, 700_001), (5, MIB + 99), (7, 7), (MIB, None)],
)
async def test_a_range_is_read_without_the_rest(shelf: Shelf, begin: int, end: int | None) -> None:
    """The first byte and the last, some in between, none at all, and more than there are."""
    data = noise(MIB)
    await shelf.put("uploads/a-1", data)
    assert await shelf.read("uploads/a-1", begin, end) == data[begin:end]


async def test_a_read_that_is_not_ended_lets_go(shelf: Shelf) -> None:
    """A reader that has enough closes the iterator; the object is there for the next, and can be deleted."""
    data = noise(4 * MIB)
    await shelf.put("uploads/a-1", data)

    async def first_bytes() -> bytes:
        async with aclosing(reading(shelf.store, "uploads/a-1")) as blocks:
            return bytes(await anext(blocks))

    for _ in range(20):
        assert data.startswith(await shelf.do(first_bytes))
    await shelf.delete("uploads/a-1")
    assert shelf.is_empty()


async def test_an_object_that_is_not_there_is_told_at_first(shelf: Shelf) -> None:
    """Never put, or put and deleted."""
    with pytest.raises(NoSuchObject):
        await shelf.read("uploads/a-1")
    await shelf.put("uploads/a-1", b"x")
    await shelf.delete("uploads/a-1")
    with pytest.raises(NoSuchObject):
        await shelf.read("uploads/a-1", 5, 9)


async def test_deleting_is_for_one_object_and_may_be_repeated(shelf: Shelf) -> None:
    """What is not there is no error, and what has a longer name stays."""
    await shelf.delete("uploads/a-1")
    await shelf.put("uploads/a-1", b"x")
    await shelf.put("uploads/a-12", b"xy")
    await shelf.delete("uploads/a-1")
    await shelf.delete("uploads/a-1")
    assert shelf.place.objects() == {"uploads/a-12": 2}


async def test_deleting_removes_what_a_killed_put_has_left(shelf: Shelf) -> None:
    """And only that of the same key."""
    shelf.place.leave_unfinished("uploads/a-1", noise(5 * MIB))
    shelf.place.leave_unfinished("uploads/a-12", noise(5 * MIB))
    assert len(shelf.place.unfinished()) == 2
    await shelf.delete("uploads/a-1")
    assert [key.removesuffix(".part") for key in shelf.place.unfinished()] == ["uploads/a-12"]


async def test_a_key_whose_put_was_killed_can_be_put_again(shelf: Shelf) -> None:
    """What was left is no part of it."""
    shelf.place.leave_unfinished("uploads/a-1", noise(5 * MIB))
    await shelf.put("uploads/a-1", b"anew")
    assert await shelf.read("uploads/a-1") == b"anew"


@pytest.mark.parametrize("count", [0, 3, 40])
async def test_a_put_whose_bytes_end_badly_keeps_nothing(shelf: Shelf, count: int) -> None:
    """At the start, in a small object, in the parts of a large one: what was raised goes on, also an `OSError`."""
    for problem in (RuntimeError("the client is gone"), ConnectionResetError()):
        feed = Feed(noise(CHUNK_BYTES), count, problem)
        with pytest.raises(type(problem)) as raised:
            await shelf.do(shelf.store.put, "uploads/a-1", feed)
        assert raised.value is problem
        assert shelf.is_empty()


@pytest.mark.parametrize("count", [0, 3, 33])
async def test_a_put_that_is_cancelled_keeps_nothing(shelf: Shelf, count: int) -> None:
    """While it waits for bytes, with none, some, or a part already sent."""

    async def cancelled() -> None:
        feed = Feed(noise(CHUNK_BYTES), count)
        putting = asyncio.create_task(shelf.store.put("uploads/a-1", feed))
        await feed.is_waiting.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting

    await shelf.do(cancelled)
    assert shelf.is_empty()


async def test_a_put_that_is_cancelled_anywhere_keeps_nothing(shelf: Shelf) -> None:
    """After any number of turns of the loop, also while it writes, sends and finishes."""

    async def cancelled(turns: int) -> bool:
        putting = asyncio.create_task(shelf.store.put(f"uploads/a-{turns}", in_chunks(data, CHUNK_BYTES)))
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        return isinstance((await asyncio.gather(putting, return_exceptions=True))[0], asyncio.CancelledError)

    data = noise(MIB)
    given_up = set()
    for turns in [*range(0, 60, 3), *range(60, 400, 37)]:
        if await shelf.do(cancelled, turns):
            given_up.add(f"uploads/a-{turns}")
    assert given_up
    assert not given_up & shelf.place.objects().keys()
    assert not shelf.place.unfinished()


async def test_many_are_put_and_read_at_once(shelf: Shelf) -> None:
    """None gets a byte of another."""
    stems = {f"uploads/a-{number}": noise(MIB + number) for number in range(12)}
    async with trio.open_nursery() as nursery:
        for key, data in stems.items():
            nursery.start_soon(shelf.put, key, data)
    contents: dict[str, bytes] = {}

    async def hear(key: str) -> None:
        contents[key] = await shelf.read(key)

    async with trio.open_nursery() as nursery:
        for key in stems:
            nursery.start_soon(hear, key)
    assert contents == stems


async def test_a_ping_leaves_nothing(shelf: Shelf) -> None:
    """Many at once neither."""
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(shelf.ping)
    assert shelf.is_empty()


async def test_it_may_be_closed_twice(shelf: Shelf) -> None:
    """After use and without."""
    await shelf.ping()
    await shelf.do(shelf.store.aclose)
    await shelf.do(shelf.store.aclose)


async def test_a_link_downloads_the_object_as_its_label_says(shelf: Shelf, kind: str) -> None:
    """With its name and type, for 15 minutes; a changed one is refused. Local files have none."""
    await shelf.put("uploads/a-1", b"RIFF", label=STEM)
    link = await shelf.link("uploads/a-1", STEM)
    if kind == "local":
        assert link is None
        return
    assert link is not None
    assert f"X-Amz-Expires={LINK_S}&" in link
    async with httpx.AsyncClient() as client:
        answer = await client.get(link)
        assert (answer.status_code, answer.content) == (200, b"RIFF")
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        assert "filename*=UTF-8''B%C3%B8%27s%20%22take%22.wav" in answer.headers["content-disposition"]
        assert (await client.get(link.replace("a-1", "a-2"))).status_code == 403
        assert (await client.get(link.replace("wav", "html"))).status_code == 403
