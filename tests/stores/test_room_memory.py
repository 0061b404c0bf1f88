"""What every room memory store promises (`omnisonic.stores.room_memory`), held on each of them."""

import time
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.room_memory import RECORD_TTL_S, Claimed, Outcome, RoomMemoryStore, RoomRecord, RoomWrite
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from tests.stores.conftest import DEADLINE_S, Clock
from tests.stores.room_memory_stage import BLOCKS_TTL_S, Stage, memory_at, open_stage
from tests.valkey_server import ValkeyServer

VALUES: Final = {"epoch": b"one", "offset": b"2"}
BLOCKS: Final = [(1, b"hello"), (2, b"\x00\xff\r\n world")]
SHORT_S: Final = 0.1
MILLISECOND_S: Final = 0.002
"""What a store's clock leaves out."""
KEPT_S: Final = 2.0
"""Long enough for a busy machine to do something with a record before it is gone."""


@pytest.fixture
async def stage(place: str, thread: AsyncioThread, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The room memory store at this `place`, empty."""
    async with open_stage(place, thread, request) as stage:
        yield stage


def whole(fence: int, number: int = 1, *, is_release: bool = False) -> RoomWrite:
    """A write of everything that `VALUES` and `BLOCKS` say."""
    return RoomWrite("jam", fence, number, VALUES, BLOCKS, is_whole=True, is_release=is_release)


async def test_a_room_that_nobody_has_written_has_no_record(stage: Stage) -> None:
    """Also when it was claimed before, by an owner who never wrote."""
    with trio.fail_after(DEADLINE_S):
        first = await stage.claim()
        second = await stage.claim(owner="another")
        assert first.record is None
        assert second.record is None
        assert second.fence > first.fence
        assert await stage.store.claim([], "gateway") == []
        assert await stage.store.write([]) == []


async def test_a_released_record_is_read_back_as_it_was_written(stage: Stage) -> None:
    """Binary content, any room's name, in the order of the offsets, and clean."""
    room = "a:b %{\n"
    with trio.fail_after(DEADLINE_S):
        claimed = await stage.claim(room)
        written = RoomWrite(room, claimed.fence, 1, VALUES, BLOCKS, is_whole=True)
        assert await stage.write(written) is Outcome.WRITTEN
        last = RoomWrite(room, claimed.fence, 2, {"offset": b"3"}, [(3, b"")], is_release=True)
        assert await stage.write(last) is Outcome.WRITTEN
        record = (await stage.claim(room, "another")).record
        assert record == RoomRecord({"epoch": b"one", "offset": b"3"}, [*BLOCKS, (3, b"")], is_clean=True)


async def test_a_record_is_clean_only_when_its_last_owner_released_it(stage: Stage) -> None:
    """An owner that was killed did not; one that claimed after the release, and was killed, did not either."""
    with trio.fail_after(DEADLINE_S):
        first = await stage.claim()
        await stage.write(whole(first.fence))
        second = await stage.claim(owner="another")
        assert second.record == RoomRecord(VALUES, BLOCKS, is_clean=False)
        await stage.write(RoomWrite("jam", second.fence, 1, is_release=True))
        assert (await stage.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=True)
        assert (await stage.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=False)


async def test_of_two_who_claim_at_once_one_owns_the_room(stage: Stage) -> None:
    """Each gets a number of its own, and only the higher one may write."""
    claims: list[Claimed] = []

    async def claim(owner: str) -> None:
        claims.append(await stage.claim(owner=owner))

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(claim, f"gateway {number}")
        fences = sorted(each.fence for each in claims)
        assert len(set(fences)) == 8
        outcomes = [await stage.write(whole(fence)) for fence in fences]
        assert outcomes == [Outcome.LOST] * 7 + [Outcome.WRITTEN]


async def test_an_owner_who_claims_again_goes_on(stage: Stage) -> None:
    """A room that was empty and forgotten is made again; or a claim that was given up is done late."""
    with trio.fail_after(DEADLINE_S):
        first = await stage.claim()
        await stage.write(whole(first.fence, is_release=True))
        again = await stage.claim()
        assert again == Claimed(first.fence, RoomRecord(VALUES, BLOCKS, is_clean=True), before=first.fence)
        assert await stage.write(RoomWrite("jam", again.fence, 2, {"offset": b"3"}, [(3, b"!")])) is Outcome.WRITTEN
        assert await stage.write(whole(first.fence)) is Outcome.WRITTEN  # late, and not applied
        record = (await stage.claim(owner="another")).record
        assert record == RoomRecord(VALUES | {"offset": b"3"}, [*BLOCKS, (3, b"!")])


async def test_a_beat_tells_whether_the_store_was_emptied(stage: Stage, place: str) -> None:
    """What was written before is gone then, and has to be written again. In this process nothing is lost."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.beat("gateway")
        assert await stage.store.beat("gateway")
        stage.empty()
        assert await stage.store.beat("gateway") is (place == "memory")
        assert stage.store.outlives_process is (place != "memory")


async def test_an_earlier_owner_is_refused_and_changes_nothing(stage: Stage) -> None:
    """Whatever it writes: it slept while another one took the room."""
    with trio.fail_after(DEADLINE_S):
        slept = await stage.claim(owner="slept")
        await stage.write(whole(slept.fence))
        awake = await stage.claim(owner="awake")
        late = RoomWrite("jam", slept.fence, 2, {"offset": b"9"}, [(9, b"late")], forget_before=9)
        for write in (late, RoomWrite("jam", slept.fence, 3, is_release=True), whole(slept.fence, 4)):
            assert await stage.write(write) is Outcome.LOST
        assert await stage.write(RoomWrite("jam", awake.fence, 1, {"offset": b"2"})) is Outcome.WRITTEN
        assert (await stage.claim()).record == RoomRecord(VALUES, BLOCKS, is_clean=False)


async def test_a_repeated_write_has_the_same_result(stage: Stage) -> None:
    """A caller that got no answer does not know whether it was done."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        change = RoomWrite("jam", fence, 2, {"offset": b"3"}, [(3, b"three")], forget_before=2)
        for write in (whole(fence), whole(fence), change, change, whole(fence)):
            assert await stage.write(write) is Outcome.WRITTEN
        record = (await stage.claim()).record
        assert record == RoomRecord({"epoch": b"one", "offset": b"3"}, [BLOCKS[1], (3, b"three")])


async def test_a_write_that_arrives_after_a_later_one_is_not_applied(stage: Stage) -> None:
    """It was given up, and the later one said everything that it said."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence))
        await stage.write(RoomWrite("jam", fence, 3, {"offset": b"4"}, [(3, b"three"), (4, b"four")]))
        await stage.write(RoomWrite("jam", fence, 2, {"offset": b"3"}, [(3, b"three")]))
        record = (await stage.claim()).record
        assert record == RoomRecord({"epoch": b"one", "offset": b"4"}, [*BLOCKS, (3, b"three"), (4, b"four")])


async def test_a_block_that_is_there_is_not_added_again(stage: Stage) -> None:
    """A write that was given up may have brought it; the one that replaces it brings it again, with more."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence))
        await stage.write(RoomWrite("jam", fence, 2, blocks=[(4, b"three, four")]))
        await stage.write(RoomWrite("jam", fence, 3, {"offset": b"4"}, blocks=[(4, b"three, four")]))
        await stage.write(RoomWrite("jam", fence, 4, blocks=[(4, b"three, four"), (5, b"five")], forget_before=3))
        await stage.write(RoomWrite("jam", fence, 5, blocks=[(5, b"five")], forget_before=6))
        await stage.write(RoomWrite("jam", fence, 6, blocks=[(5, b"five"), (6, b"six")], forget_before=6))
        assert (await stage.claim()).record == RoomRecord(VALUES | {"offset": b"4"}, [(6, b"six")])


async def test_a_whole_write_leaves_nothing_of_before(stage: Stage) -> None:
    """A new epoch counts from the beginning again."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence))
        await stage.write(RoomWrite("jam", fence, 2, {"epoch": b"two"}, [(1, b"again")], is_whole=True))
        assert (await stage.claim()).record == RoomRecord({"epoch": b"two"}, [(1, b"again")])


async def test_messages_that_are_forgotten_are_gone(stage: Stage) -> None:
    """All of them, and more than there are; what is appended with it stays."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence))
        await stage.write(RoomWrite("jam", fence, 2, blocks=[(7, b"seven")], forget_before=7))
        await stage.write(RoomWrite("jam", fence, 3, forget_before=100))
        await stage.write(RoomWrite("jam", fence, 4, blocks=[(101, b"more")]))
        assert (await stage.claim()).record == RoomRecord(VALUES, [(101, b"more")])


async def test_a_store_that_was_emptied_says_so_until_it_gets_everything(stage: Stage) -> None:
    """What changed alone would be a record with a hole."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence))
        stage.empty()
        change = RoomWrite("jam", fence, 2, {"offset": b"3"}, [(3, b"three")])
        assert await stage.write(change) is Outcome.EMPTIED
        assert await stage.write(change) is Outcome.EMPTIED
        assert await stage.write(whole(fence, 3)) is Outcome.WRITTEN
        assert await stage.write(RoomWrite("jam", fence, 4, {"offset": b"3"}, [(3, b"3")])) is Outcome.WRITTEN
        assert (await stage.claim()).record == RoomRecord(VALUES | {"offset": b"3"}, [*BLOCKS, (3, b"3")])


async def test_who_claims_after_the_store_was_emptied_is_the_owner(stage: Stage) -> None:
    """The number of the owner before does not come round again."""
    with trio.fail_after(DEADLINE_S):
        before = await stage.claim(owner="before")
        await stage.write(whole(before.fence))
        stage.empty()
        after = await stage.claim(owner="after")
        assert after.record is None
        assert after.fence > before.fence
        assert await stage.write(whole(before.fence, 2)) is Outcome.LOST
        assert await stage.write(whole(after.fence)) is Outcome.WRITTEN


async def test_a_forgotten_room_has_no_record(stage: Stage) -> None:
    """Neither messages nor values; forgetting what is not there is no error."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence, is_release=True))
        await stage.store.forget(["jam", "never"])
        await stage.store.forget([])
        assert await stage.write(RoomWrite("jam", fence, 2, {"offset": b"3"})) is Outcome.EMPTIED
        assert (await stage.claim()).record is None


async def test_many_rooms_are_written_and_claimed_in_one_call(stage: Stage) -> None:
    """Each with an outcome of its own, in their order; one that is lost does not hinder the others."""
    rooms = [f"room {number}" for number in range(50)]
    with trio.fail_after(DEADLINE_S):
        claims = await stage.store.claim(rooms, "gateway")
        await stage.store.claim(["room 7"], "another")
        writes = [
            RoomWrite(room, claim.fence, 1, {"epoch": room.encode()}, BLOCKS, is_whole=True)
            for room, claim in zip(rooms, claims, strict=True)
        ]
        outcomes = await stage.store.write(writes)
        assert outcomes == [Outcome.LOST if room == "room 7" else Outcome.WRITTEN for room in rooms]
        records = [claim.record for claim in await stage.store.claim(rooms, "gateway")]
        assert [record and record.values["epoch"].decode() for record in records] == [
            None if room == "room 7" else room for room in rooms
        ]


async def test_a_big_record_comes_back_whole(stage: Stage) -> None:
    """A megabyte of messages, and the largest map that a room may have."""
    blocks = [(offset, bytes([offset % 256]) * 2048) for offset in range(1, 513)]
    values = {"state": bytes(range(256)) * 256}
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        assert await stage.write(RoomWrite("jam", fence, 1, values, blocks, is_whole=True)) is Outcome.WRITTEN
        assert (await stage.claim()).record == RoomRecord(values, blocks)


async def test_messages_have_their_time_and_the_rest_has_longer(thread: AsyncioThread, valkey: ValkeyServer) -> None:
    """Nobody asks for messages that old. What counts on stays clean, and says that messages are missing."""
    clock = Clock()
    shared = memory_at(valkey.url, thread, blocks_ttl_s=BLOCKS_TTL_S)
    stores: list[RoomMemoryStore] = [InProcessRoomMemory(blocks_ttl_s=BLOCKS_TTL_S, clock=clock), shared]
    with trio.fail_after(DEADLINE_S):
        for store in stores:
            [claimed] = await store.claim(["jam"], "gateway")
            await store.write([whole(claimed.fence, is_release=True)])
        clock.now_s += BLOCKS_TTL_S
        while "omnisonic:memory:{0}:blocks:jam" in valkey.lives_ms():
            await trio.lowlevel.checkpoint()
        for store in stores:
            [claimed] = await store.claim(["jam"], "gateway")
            assert claimed.record == RoomRecord(VALUES, [], has_all_blocks=False, is_clean=True)
            change = RoomWrite("jam", claimed.fence, 1, {"offset": b"3"}, [(3, b"three")])
            assert await store.write([change]) == [Outcome.EMPTIED]
        await shared.aclose()
    clock.now_s += RECORD_TTL_S
    [claimed] = await stores[0].claim(["jam"], "gateway")
    assert claimed.record is None


async def test_a_record_is_kept_as_long_as_its_last_write_says(stage: Stage) -> None:
    """A room in which nothing happened goes soon; once something has happened, it stays."""
    with trio.fail_after(DEADLINE_S):
        for room in ("blank", "used"):
            fence = (await stage.claim(room)).fence
            write = RoomWrite(room, fence, 1, VALUES, is_whole=True, is_release=True, keep_s=SHORT_S)
            assert await stage.write(write) is Outcome.WRITTEN
        await stage.write(RoomWrite("used", fence, 2, is_release=True))
        if stage.clock is not None:
            stage.clock.now_s += SHORT_S
        while (await stage.claim("blank")).record is not None:
            await trio.lowlevel.checkpoint()
        assert (await stage.claim("used")).record is not None


async def test_the_released_records_in_this_process_are_bounded(thread: AsyncioThread) -> None:
    """The oldest go first; rooms that somebody is in are not counted."""
    store = InProcessRoomMemory(max_bytes=10_000, max_records=3)
    del thread
    rooms = ["in use", "one", "two", "three", "four"]
    for room, claim in zip(rooms, await store.claim(rooms, "gateway"), strict=True):
        content = bytes(8_000) if room == "in use" else b"x"
        change = RoomWrite(room, claim.fence, 1, {"a": b"b"}, [(1, content)], is_whole=True)
        await store.write([change])
        if room != "in use":
            await store.write([RoomWrite(room, claim.fence, 2, is_release=True)])
    found = [claim.record is not None for claim in await store.claim(rooms, "gateway")]
    assert found == [True, False, True, True, True]
    [claim] = await store.claim(["large"], "gateway")
    await store.write([RoomWrite("large", claim.fence, 1, {"a": bytes(20_000)}, is_whole=True, is_release=True)])
    assert (await store.claim(["large"], "gateway"))[0].record is None


async def test_a_record_tells_how_old_it_is(stage: Stage) -> None:
    """By the clock of the store, since the last write; to touch it is none."""
    with trio.fail_after(DEADLINE_S):
        fence = (await stage.claim()).fence
        await stage.write(whole(fence))
        if stage.clock is None:
            await trio.sleep(SHORT_S)
        else:
            stage.clock.now_s += SHORT_S
        await stage.store.touch({"jam": fence})
        assert await _age_s(stage) >= SHORT_S * 0.99
        began_s = time.monotonic()
        await stage.write(RoomWrite("jam", fence, 2, {"offset": b"3"}, after=1))
        assert await _age_s(stage) <= time.monotonic() - began_s + MILLISECOND_S


async def _age_s(stage: Stage) -> float:
    """How old the record is."""
    record = (await stage.claim()).record
    assert record is not None
    assert record.age_s is not None
    return record.age_s


async def test_a_record_that_is_touched_is_kept_for_longer(stage: Stage) -> None:
    """Its owner says nothing for longer than the record is kept, and all is there; that of another room is not."""
    rooms = ["jam", "other"]
    with trio.fail_after(DEADLINE_S):
        for room in rooms:
            fence = (await stage.claim(room)).fence
            await stage.write(RoomWrite(room, fence, 1, VALUES, is_whole=True, is_release=True, keep_s=KEPT_S))
        jam, other = [(await stage.claim(room)).fence for room in rooms]
        assert await stage.store.touch({"jam": jam}) == {"jam": Outcome.WRITTEN}
        assert await stage.store.touch({"jam": jam}, SHORT_S) == {"jam": Outcome.WRITTEN}
        assert await stage.store.touch({}) == {}
        if stage.clock is not None:
            stage.clock.now_s += KEPT_S
        change = RoomWrite("other", other, 1, after=1)
        while await stage.write(change) is not Outcome.EMPTIED:
            await trio.lowlevel.checkpoint()
        assert await stage.write(RoomWrite("jam", jam, 2, {"offset": b"1"}, after=1)) is Outcome.WRITTEN
        assert (await stage.claim(owner="another")).record == RoomRecord(VALUES | {"offset": b"1"}, [])


async def test_who_touches_a_record_is_told_what_has_become_of_it(stage: Stage) -> None:
    """Another owner has claimed it, or it is gone; and a record that was released is kept for no longer."""
    with trio.fail_after(DEADLINE_S):
        first = await stage.claim()
        await stage.write(RoomWrite("jam", first.fence, 1, VALUES, is_whole=True))
        second = await stage.claim(owner="another")
        gone = await stage.claim("gone")
        await stage.store.forget(["gone"])
        fences = {"jam": first.fence, "gone": gone.fence}
        assert await stage.store.touch(fences) == {"jam": Outcome.LOST, "gone": Outcome.EMPTIED}
        await stage.write(RoomWrite("jam", second.fence, 1, VALUES, is_whole=True, is_release=True, keep_s=SHORT_S))
        assert await stage.store.touch({"jam": second.fence}) == {"jam": Outcome.WRITTEN}
        await _gone(stage, second.fence)


async def _gone(stage: Stage, fence: int) -> None:
    """Wait until the record is gone, `SHORT_S` where a test moves the time."""
    if stage.clock is not None:
        stage.clock.now_s += SHORT_S
    while await stage.store.touch({"jam": fence}) != {"jam": Outcome.EMPTIED}:
        await trio.lowlevel.checkpoint()
