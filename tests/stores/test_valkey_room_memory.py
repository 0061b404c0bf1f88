"""What the room memory store keeps in Valkey: how long, and what it makes of a server that has lost something."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread, open_asyncio_thread
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import (
    CLAIM_TTL_S,
    RECORD_TTL_S,
    Claimed,
    Outcome,
    RoomMemoryStore,
    RoomRecord,
    RoomWrite,
)
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from omnisonic.stores.room_memory.valkey_scripts import continue_history
from tests.stores.conftest import DEADLINE_S
from tests.stores.room_memory_stage import memory_at
from tests.valkey_server import ValkeyServer

PREFIX: Final = "omnisonic:memory:{0}:"
RECORD: Final = f"{PREFIX}record:jam"
BLOCKS_KEY: Final = f"{PREFIX}blocks:jam"
VALUES: Final = {"epoch": b"one"}
BLOCKS: Final = [(1, b"hello"), (2, b"world")]


@pytest.fixture
async def store(valkey: ValkeyServer, thread: AsyncioThread) -> AsyncIterator[RoomMemoryStore]:
    """The store on the test's server."""
    store = memory_at(valkey.url, thread, blocks_ttl_s=60)
    yield store
    await store.aclose()


async def write_whole(store: RoomMemoryStore, *, is_release: bool = False) -> int:
    """Claim the room and write all of it. Returns the fencing number."""
    [claimed] = await store.claim(["jam"], "gateway")
    write = RoomWrite("jam", claimed.fence, 1, VALUES, BLOCKS, is_whole=True, is_release=is_release)
    assert await store.write([write]) == [Outcome.WRITTEN]
    return claimed.fence


async def claimed_again(store: RoomMemoryStore) -> Claimed:
    """The room, claimed by the next owner."""
    [claimed] = await store.claim(["jam"], "next")
    return claimed


async def test_no_key_is_ever_without_a_time_to_live(valkey: ValkeyServer, store: RoomMemoryStore) -> None:
    """Also of a room that was only claimed. Each write gives the whole time again."""
    with trio.fail_after(DEADLINE_S):
        await store.claim(["claimed"], "gateway")
        await store.beat("gateway")
        fence = await write_whole(store)
        lives_ms = valkey.lives_ms()
        assert lives_ms.keys() == {
            f"{PREFIX}history",
            f"{PREFIX}beat:gateway",
            f"{PREFIX}record:claimed",
            RECORD,
            BLOCKS_KEY,
        }
        longest_s = {BLOCKS_KEY: 60, f"{PREFIX}beat:gateway": 60, f"{PREFIX}record:claimed": CLAIM_TTL_S}
        for key, left_ms in lives_ms.items():
            longest_ms = longest_s.get(key, RECORD_TTL_S) * 1000
            assert longest_ms - 30_000 < left_ms <= longest_ms
        with valkey.client as client:
            for key in lives_ms:
                client.pexpire(key, 5_000)
        await store.write([RoomWrite("jam", fence, 2, {"epoch": b"one"})])
        assert all(valkey.lives_ms()[key] > 5_000 for key in (RECORD, BLOCKS_KEY, f"{PREFIX}history"))
        await store.forget(["jam", "claimed"])
        assert valkey.lives_ms().keys() == {f"{PREFIX}history", f"{PREFIX}beat:gateway"}


@pytest.mark.parametrize("dropped", [RECORD, BLOCKS_KEY])
async def test_a_server_that_drops_a_part_has_lost_the_record(
    valkey: ValkeyServer, store: RoomMemoryStore, dropped: str
) -> None:
    """As servers do that are short of memory: what is left is not taken for the whole."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        fence = await write_whole(store)
        client.delete(dropped)
        assert await store.write([RoomWrite("jam", fence, 2, blocks=[(3, b"!")])]) == [Outcome.EMPTIED]
        record = (await claimed_again(store)).record
        expected = None if dropped == RECORD else RoomRecord(VALUES, [], has_all_blocks=False)
        assert record == expected


@pytest.mark.parametrize("is_same_owner", [False, True])
async def test_a_server_that_went_back_to_an_older_state_gets_everything_again(
    valkey: ValkeyServer, store: RoomMemoryStore, *, is_same_owner: bool
) -> None:
    """It restarted from an older copy, which does not know the claim of the owner at work, or its last write."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        fence = await write_whole(store)
        copies = {key: client.dump(key) or b"" for key in (RECORD, BLOCKS_KEY)}
        if is_same_owner:
            await store.write([RoomWrite("jam", fence, 2, blocks=[(3, b"!")], after=1)])
        else:
            fence = (await claimed_again(store)).fence
            await store.write([RoomWrite("jam", fence, 2, blocks=[(3, b"!")])])
        for key, copy in copies.items():
            client.restore(key, 60_000, copy, replace=True)
        change = RoomWrite("jam", fence, 3, blocks=[(4, b"?")], after=2)
        assert await store.write([change]) == [Outcome.EMPTIED]
        again = RoomWrite("jam", fence, 4, VALUES, [*BLOCKS, (4, b"?")], is_whole=True)
        assert await store.write([again]) == [Outcome.WRITTEN]
        record = (await claimed_again(store)).record
        assert record == RoomRecord(VALUES, [*BLOCKS, (4, b"?")])


async def test_what_was_released_before_a_restart_of_the_server_is_not_clean(
    valkey: ValkeyServer, store: RoomMemoryStore
) -> None:
    """It may have come back with an older state, in which the room was released; unless its supervisor knows better."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        await write_whole(store, is_release=True)
        copies = {key: client.dump(key) or b"" for key in (RECORD, BLOCKS_KEY, f"{PREFIX}history")}

        def restart() -> None:
            valkey.kill()
            valkey.start()
            for key, copy in copies.items():
                client.restore(key, 60_000, copy, replace=True)

        restart()
        assert (await claimed_again(store)).record == RoomRecord(VALUES, BLOCKS, is_clean=False)
        restart()
        client.execute_command(*continue_history())
        assert (await claimed_again(store)).record == RoomRecord(VALUES, BLOCKS, is_clean=True)
        client.flushall()
        client.execute_command(*continue_history())
        await write_whole(store, is_release=True)
        assert (await claimed_again(store)).record == RoomRecord(VALUES, BLOCKS, is_clean=True)


async def test_a_server_that_does_not_tell_its_run_has_no_clean_records(
    valkey: ValkeyServer, store: RoomMemoryStore, thread: AsyncioThread
) -> None:
    """Nobody knows then whether it went back; everything else works."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        client.execute_command("ACL", "SETUSER", "band", "on", ">pw", "~*", "+@all", "-info")
        band = memory_at(f"redis://band:pw@127.0.0.1:{valkey.port}/0", thread)
        await write_whole(band, is_release=True)
        assert (await claimed_again(band)).record == RoomRecord(VALUES, BLOCKS, is_clean=False)
        await band.aclose()
        client.acl_deluser("band")


async def test_a_server_that_hangs_or_is_away_is_unavailable_to_trio(valkey: ValkeyServer) -> None:
    """Through the thread that the gateway uses; and what it does later does not undo what came after."""
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_thread() as thread:
            store = ThreadedRoomMemory(thread, ValkeyRoomMemory(valkey.url, blocks_ttl_s=60))
            await store.beat("gateway")
            fence = await write_whole(store)
            valkey.pause()
            with pytest.raises(Unavailable, match="did not answer in time"):
                await store.write([RoomWrite("jam", fence, 2, {"epoch": b"late"})])
            valkey.resume()
            await store.write([RoomWrite("jam", fence, 3, {"epoch": b"last"})])
            record = (await claimed_again(store)).record
            assert record is not None
            assert record.values == {"epoch": b"last"}
            valkey.kill()
            for call in (
                lambda: store.beat("gateway"),
                lambda: store.forget(["jam"]),
                lambda: store.claim(["jam"], "gateway"),
            ):
                with pytest.raises(Unavailable):
                    await call()
            await store.aclose()
