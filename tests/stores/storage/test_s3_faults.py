"""What an S3 server's failures look like from the store (RELIABILITY 13): nothing is kept, and nothing is left."""

import asyncio
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.storage import CHUNK_BYTES, StorageRefused
from omnisonic.stores.storage.s3 import PING_S
from omnisonic.stores.storage.s3_upload import PART_BYTES
from tests.s3_server import SECRET_KEY, S3Server
from tests.stores.storage.s3_proxy import Fault, Way, open_s3_proxy
from tests.stores.storage.shelves import DEADLINE_S, STEM, Feed, Shelf, bucket_at, s3_shelf
from tests.stores.storage.test_storage import noise

SLACK_S: Final = 2.0
"""What a busy machine may add to a deadline."""
QUIET_S: Final = 1.25
"""How long a server may say nothing to a client that expects it to be quick."""
PARTS: Final = noise(2 * PART_BYTES + 1)
"""Enough for three parts."""
SMALL: Final = noise(70_000)

BEGIN, SECOND, LAST, COMPLETE = "POST .*uploads", "PUT .*partNumber=2", "PUT .*partNumber=3", "POST .*uploadId="
WHOLE = "PUT /uploads/uploads/a-1\\b"


def in_blocks_of(data: bytes) -> list[bytes]:
    """`data`, as it comes."""
    return [data[begin : begin + CHUNK_BYTES] for begin in range(0, len(data), CHUNK_BYTES)]


@pytest.mark.parametrize("way", ["500", "reset", "lost answer"])
@pytest.mark.parametrize("request_line", [WHOLE, BEGIN, SECOND])
async def test_a_request_that_fails_once_is_made_again(
    thread: AsyncioThread, s3: S3Server, request_line: str, way: Way
) -> None:
    """The object is there, bit for bit; what began twice leaves nothing once the key is deleted."""
    data = SMALL if request_line == WHOLE else PARTS
    async with open_s3_proxy(s3.port) as proxy, s3_shelf(thread, s3, bucket_at(proxy.port)) as shelf:
        proxy.fault = Fault(request_line, way, times=1)
        await shelf.put("uploads/a-1", *in_blocks_of(data), label=STEM)
        assert proxy.fault.times == 0
        assert await shelf.read("uploads/a-1") == data
        await shelf.delete("uploads/a-1")
        assert shelf.is_empty()


@pytest.mark.parametrize("way", ["500", "reset", "lost answer"])
@pytest.mark.parametrize("request_line", [WHOLE, BEGIN, SECOND, LAST, COMPLETE])
async def test_a_request_that_always_fails_is_unavailable_and_leaves_nothing(
    thread: AsyncioThread, s3: S3Server, request_line: str, way: Way
) -> None:
    """No object, and no multipart upload, though the server may have done what it was asked."""
    async with open_s3_proxy(s3.port) as proxy, s3_shelf(thread, s3, bucket_at(proxy.port)) as shelf:
        proxy.fault = Fault(request_line, way)
        with pytest.raises(Unavailable, match=r"^The studio's storage does not answer now\. Try again in a moment\.$"):
            await shelf.put("uploads/a-1", *in_blocks_of(SMALL if request_line == WHOLE else PARTS))
        proxy.fault = None
        assert shelf.is_empty()


@pytest.mark.parametrize("request_line", [WHOLE, SECOND])
async def test_what_arrives_changed_is_refused_by_the_server(
    thread: AsyncioThread, s3: S3Server, request_line: str
) -> None:
    """The checksums are sent, and looked at: with one bit flipped, nothing becomes an object."""
    async with open_s3_proxy(s3.port) as proxy, s3_shelf(thread, s3, bucket_at(proxy.port)) as shelf:
        proxy.fault = Fault(request_line, "flipped bit")
        with pytest.raises(Unavailable) as reported:
            await shelf.put("uploads/a-1", *in_blocks_of(SMALL if request_line == WHOLE else PARTS))
        assert "BadDigest" in str(reported.value.__cause__)
        assert shelf.is_empty()


@pytest.mark.timing
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret_key": "another"}, "does not accept the secret key"),
        ({"access_key": "nobody"}, "does not know the access key"),
        ({"name": "missing"}, "has no bucket 'missing'"),
    ],
)
async def test_a_store_that_does_not_let_us_in_says_why_to_the_operator(
    thread: AsyncioThread, s3: S3Server, changes: dict[str, str], reason: str
) -> None:
    """Whatever is asked of it; users are told whom to ask, and nobody any key."""
    async with s3_shelf(thread, s3, bucket_at(s3.port, **changes)) as shelf:
        for asked in (
            shelf.ping(),
            shelf.put("uploads/a-1", SMALL),
            shelf.put("uploads/a-1", *in_blocks_of(PARTS)),
            shelf.read("uploads/a-1"),
            shelf.delete("uploads/a-1"),
        ):
            with pytest.raises(StorageRefused) as refused:
                await asked
            assert refused.value.reason == f"The S3 store 127.0.0.1:{s3.port} {reason}."
            assert refused.value.message == "The studio's storage does not work now. Ask whoever runs it."
    assert s3.objects() == {}
    assert SECRET_KEY not in repr(bucket_at(s3.port))


@pytest.mark.parametrize(
    ("request_line", "call"),
    [(WHOLE, "PutObject"), ("GET .*uploads&?.* ", "ListMultipartUploads"), ("DELETE .* ", "DeleteObject")],
    ids=["put", "list", "delete"],
)
async def test_a_store_that_lacks_a_call_is_told_with_its_name(
    thread: AsyncioThread, s3: S3Server, request_line: str, call: str
) -> None:
    """The operator can look it up in the store's own documents; this is what `doctor` prints."""
    async with open_s3_proxy(s3.port) as proxy, s3_shelf(thread, s3, bucket_at(proxy.port)) as shelf:
        proxy.fault = Fault(request_line, "501")

        async def put_and_delete() -> None:
            await shelf.put("uploads/a-1", SMALL)
            await shelf.delete("uploads/a-1")

        with pytest.raises(StorageRefused) as refused:
            await put_and_delete()
        server = f"127.0.0.1:{proxy.port}"
        expected = f"The S3 store {server} does not know the call {call}, which uploads need."
        assert refused.value.reason == expected
        proxy.fault = None
        await shelf.delete("uploads/a-1")


async def test_a_dead_server_is_unavailable_and_used_again_when_it_is_back(s3: S3Server, s3_only: Shelf) -> None:
    """Killed between two calls, and in the middle of a put; what was left then goes with its key."""
    await s3_only.put("uploads/a-1", SMALL)
    s3.kill()
    for asked in (
        s3_only.ping(),
        s3_only.put("uploads/a-2", SMALL),
        s3_only.read("uploads/a-1"),
        s3_only.delete("uploads/a-1"),
    ):
        with pytest.raises(Unavailable):
            await asked
    s3.start()
    await s3_only.ping()
    assert await s3_only.read("uploads/a-1") == SMALL


@pytest.mark.timing
async def test_what_a_put_left_when_the_server_died_goes_with_its_key(s3: S3Server, s3_only: Shelf) -> None:
    """It could not be removed at once."""
    feed = Feed(noise(CHUNK_BYTES), PART_BYTES // CHUNK_BYTES + 3)

    async def put() -> None:
        putting = asyncio.create_task(s3_only.store.put("uploads/a-1", feed))
        await feed.is_waiting.wait()
        await asyncio.to_thread(s3.kill)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting

    await s3_only.do(put)
    await trio.to_thread.run_sync(s3.start)
    assert s3_only.place.unfinished() == ["uploads/a-1"]
    await s3_only.delete("uploads/a-1")
    assert s3_only.is_empty()


@pytest.mark.timing
async def test_a_server_that_hangs_is_given_up(s3: S3Server, s3_only: Shelf) -> None:
    """SIGSTOP: a ping is for those who cannot wait."""
    await s3_only.ping()
    s3.pause()
    began_s = trio.current_time()
    with pytest.raises(Unavailable):
        await s3_only.ping()
    assert trio.current_time() - began_s < PING_S + SLACK_S
    s3.resume()
    await s3_only.ping()


@pytest.mark.timing
async def test_a_put_to_a_server_that_hangs_is_given_up(thread: AsyncioThread, s3: S3Server) -> None:
    """As often as it is tried, it waits no longer than the server may say nothing."""
    async with s3_shelf(thread, s3, bucket_at(s3.port), silence_s=0.25) as shelf:
        await shelf.ping()
        s3.pause()
        with trio.fail_after(20), pytest.raises(Unavailable):
            await shelf.put("uploads/a-1", SMALL)
        s3.resume()


async def test_no_more_is_asked_for_than_a_hung_server_takes(thread: AsyncioThread, s3: S3Server) -> None:
    """Whoever brings the bytes is held up, at one part and a block, until the server goes on."""
    async with s3_shelf(thread, s3, bucket_at(s3.port)) as shelf:
        await shelf.ping()
        feed = Feed(noise(CHUNK_BYTES), 4 * PART_BYTES // CHUNK_BYTES, RuntimeError("enough"))
        s3.pause()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_put_until_enough, shelf, feed)
            await shelf.do(feed.has_given, PART_BYTES // CHUNK_BYTES)
            with trio.move_on_after(0.5):
                await shelf.do(feed.has_given, PART_BYTES // CHUNK_BYTES + 2)
                pytest.fail("more was asked for")
            s3.resume()
        assert feed.given == 4 * PART_BYTES // CHUNK_BYTES
        assert shelf.is_empty()


async def _put_until_enough(shelf: Shelf, feed: Feed) -> None:
    with pytest.raises(RuntimeError, match="enough"):
        await shelf.do(shelf.store.put, "uploads/a-1", feed)


@pytest.mark.timing
async def test_a_slow_way_to_the_server_is_no_silence(thread: AsyncioThread, s3: S3Server) -> None:
    """A part that takes longer than the server may say nothing is sent to its end, and not again.

    It is a large one: the last megabytes wait in the kernel, while the server's silence is counted already.
    """
    data = noise(4 * PART_BYTES)
    async with (
        open_s3_proxy(s3.port) as proxy,
        s3_shelf(thread, s3, bucket_at(proxy.port), silence_s=QUIET_S) as shelf,
    ):
        await shelf.ping()
        proxy.delay_s = 0.006
        began_s = trio.current_time()
        await shelf.put("uploads/a-1", data)
        assert trio.current_time() - began_s > 2 * QUIET_S
        proxy.delay_s = 0
        assert await shelf.read("uploads/a-1") == data


@pytest.mark.parametrize("times", [1, 3])
async def test_a_read_that_is_cut_off_goes_on_where_it_was(thread: AsyncioThread, s3: S3Server, times: int) -> None:
    """Servers hang up on whoever reads slowly; nothing is read twice and nothing is missing."""
    data = noise(3_000_000)
    async with open_s3_proxy(s3.port) as proxy, s3_shelf(thread, s3, bucket_at(proxy.port)) as shelf:
        await shelf.put("uploads/a-1", data)
        proxy.fault = Fault("GET ", "cut answer", times)
        assert await shelf.read("uploads/a-1", 10, 2_900_000) == data[10:2_900_000]
        assert proxy.fault.times == 0


async def test_a_read_that_is_always_cut_off_is_unavailable(thread: AsyncioThread, s3: S3Server) -> None:
    """Whether before the first byte or after some."""
    async with open_s3_proxy(s3.port) as proxy, s3_shelf(thread, s3, bucket_at(proxy.port)) as shelf:
        await shelf.put("uploads/a-1", noise(3_000_000))
        for way in ("500", "reset"):
            proxy.fault = Fault("GET ", way)
            with pytest.raises(Unavailable):
                await shelf.read("uploads/a-1")


async def test_after_it_was_closed_it_is_unavailable(s3_only: Shelf) -> None:
    """It does not open again by itself."""
    await s3_only.put("uploads/a-1", SMALL)
    await s3_only.thread.call(s3_only.store.aclose, timeout_s=DEADLINE_S)
    with pytest.raises(Unavailable):
        await s3_only.read("uploads/a-1")
    with pytest.raises(Unavailable):
        await s3_only.put("uploads/a-2", SMALL)
