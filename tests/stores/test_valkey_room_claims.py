"""Leases and claims on servers that lose something: all of it, one server of a cluster, or the last writes.

Whoever relied on what is lost is told before anybody else gets its rooms (`omnisonic.stores.room_memory.valkey`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
import trio
import trio.lowlevel
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import RECORD_TTL_S, Claimed, Held, Outcome, RoomMemoryStore, RoomWrite, Unsettled
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import BUCKETS, ValkeyRoomMemory
from omnisonic.stores.room_memory.valkey_scripts import continue_history, history_key
from omnisonic.stores.valkey import bucket_of
from tests.stores.conftest import DEADLINE_S
from tests.valkey_cluster import PRIMARIES, ValkeyCluster
from tests.valkey_server import ValkeyServer, running_valkey

LEASE_S: Final = 60.0
"""Longer than any test."""
SHORT_S: Final = 1.0
VALUES: Final = {"epoch": b"one"}
QUICK: Final = ("--repl-diskless-sync-delay", "0")
"""A replica gets its first copy at once."""
LEASES: Final = 0
"""The bucket with the leases."""


@asynccontextmanager
async def store_at(url: str, thread: AsyncioThread, *, settle_s: float) -> AsyncIterator[RoomMemoryStore]:
    """The store at `url`, closed with the block."""
    store = ThreadedRoomMemory(thread, ValkeyRoomMemory(url, settle_s=settle_s))
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def settling_stores(
    url: str, thread: AsyncioThread
) -> AsyncIterator[tuple[RoomMemoryStore, RoomMemoryStore, RoomMemoryStore]]:
    """Three gateways at one store: the first two see what began during the test as settled, the third one does not."""
    async with (
        store_at(url, thread, settle_s=0.0) as first,
        store_at(url, thread, settle_s=0.0) as second,
        store_at(url, thread, settle_s=LEASE_S) as third,
    ):
        yield first, second, third


async def begin(store: RoomMemoryStore, run: str) -> None:
    """Let this run begin."""
    assert (await store.renew(run, begins=True, ttl_s=LEASE_S)).is_alive


async def lives(store: RoomMemoryStore, run: str) -> bool:
    """Renew the lease of this run, once the servers answer."""
    while True:
        try:
            return (await store.renew(run, ttl_s=LEASE_S)).is_alive
        except Unavailable:
            await trio.lowlevel.checkpoint()


def server_of(bucket: int) -> int:
    """Which of the primaries has this bucket."""
    return key_slot(history_key(bucket).encode()) * PRIMARIES // REDIS_CLUSTER_HASH_SLOTS


def room_in(bucket: int) -> str:
    """A room in this bucket."""
    return next(room for room in map(str, range(100 * BUCKETS)) if bucket_of(room, BUCKETS) == bucket)


ELSEWHERE: Final = next(bucket for bucket in range(BUCKETS) if server_of(bucket) != server_of(LEASES))
ON_FIRST: Final = next(bucket for bucket in range(BUCKETS) if server_of(bucket) == 0)


async def test_no_key_is_ever_without_a_time_to_live(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """A held record is kept long, also when nothing was said in its room; a released one as the release says."""
    record = "omnisonic:memory:{0}:record:jam"
    keep_s = 600.0
    with trio.fail_after(DEADLINE_S):
        async with store_at(valkey.url, thread, settle_s=0.0) as store:
            await begin(store, "ada")
            [claim] = await store.claim_unless_held(["jam"], "ada")
            assert isinstance(claim, Claimed)
            await store.write([RoomWrite("jam", claim.fence, 1, VALUES, is_whole=True, keep_s=keep_s)])
            await store.write([RoomWrite("jam", claim.fence, 2, VALUES, keep_s=keep_s)])
            lives_ms = valkey.lives_ms()
            assert lives_ms.keys() == {history_key(), record}
            assert all(0 < left_ms <= RECORD_TTL_S * 1000 for left_ms in lives_ms.values())
            assert lives_ms[record] > (RECORD_TTL_S - 60) * 1000
            await store.write([RoomWrite("jam", claim.fence, 3, is_release=True, keep_s=keep_s)])
            assert keep_s - 60 < valkey.lives_ms()[record] / 1000 <= keep_s
            await store.claim_unless_held(["jam"], "ada")
            assert valkey.lives_ms()[record] > (RECORD_TTL_S - 60) * 1000
            await store.forget(["jam"])
            await store.end("ada")
            assert valkey.lives_ms().keys() == {history_key()}


async def test_the_keys_of_a_cluster_are_on_all_of_its_servers(
    valkey_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """Each of a room's keys with the others, and none without a time to live."""
    rooms = [room_in(bucket) for bucket in range(BUCKETS)]
    with trio.fail_after(DEADLINE_S):
        async with store_at(valkey_cluster.url, thread, settle_s=0.0) as store:
            await begin(store, "ada")
            claims = await store.claim_unless_held(rooms, "ada")
            fences = [claim.fence for claim in claims if isinstance(claim, Claimed)]
            writes = [
                RoomWrite(room, fence, 1, VALUES, [(1, b"!")], is_whole=True)
                for room, fence in zip(rooms, fences, strict=True)
            ]
            assert await store.write(writes) == [Outcome.WRITTEN] * BUCKETS
            servers = {valkey_cluster.primary_of(history_key(bucket)) for bucket in range(BUCKETS)}
            held = [len(server.lives_ms()) for server in servers]
            assert len(held) == PRIMARIES
            assert sum(held) == 3 * BUCKETS
            assert min(held) > BUCKETS // 2
            assert min(valkey_cluster.lives_ms().values()) > 0
            await store.forget(rooms)
            assert len(valkey_cluster.lives_ms()) == BUCKETS


async def test_a_run_is_dead_when_a_server_has_lost_its_claims(
    valkey_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """Its lease, on another server, is still there. It claims nothing any more, and nobody new gets what was lost."""
    lost, kept = room_in(ELSEWHERE), room_in(LEASES)
    with trio.fail_after(DEADLINE_S):
        async with settling_stores(valkey_cluster.url, thread) as (ada, bob, new):
            await begin(ada, "ada")
            [claim, _] = await ada.claim_unless_held([lost, kept], "ada")
            assert isinstance(claim, Claimed)
            valkey_cluster.primary_of(history_key(ELSEWHERE)).flush()
            with pytest.raises(Unavailable, match="ended"):
                await ada.claim_unless_held([lost], "ada")
            await begin(new, "new")
            answers = await new.claim_unless_held([lost, kept], "new")
            assert [type(answer) for answer in answers] == [Unsettled, Held]
            assert not await lives(ada, "ada")
            assert await bob.live(["ada"]) == [True]  # until it acts no more, and says so
            await ada.end("ada")
            assert not await lives(ada, "ada")
            await begin(new, "ada again")
            answers = await new.claim_unless_held([lost, kept], "ada again", fences={lost: claim.fence})
            assert [type(answer) for answer in answers] == [Claimed, Unsettled]
            await begin(bob, "bob")
            assert await bob.claim_unless_held([lost], "bob") == [Held("ada again")]
            [answer] = await bob.claim_unless_held([kept], "bob")
            assert isinstance(answer, Claimed)


async def test_nobody_is_taken_for_dead_because_the_leases_are_lost(
    valkey_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """The records, on another server, still say whose the rooms are. Nor are free rooms given in a hurry."""
    held, free = room_in(ELSEWHERE), room_in(LEASES)
    with trio.fail_after(DEADLINE_S):
        async with settling_stores(valkey_cluster.url, thread) as (ada, bob, new):
            await begin(ada, "ada")
            await ada.claim_unless_held([held], "ada")
            valkey_cluster.primary_of(history_key(LEASES)).flush()
            await begin(new, "new")
            answers = await new.claim_unless_held([held, free], "new")
            assert [type(answer) for answer in answers] == [Unsettled, Unsettled]
            assert not await lives(ada, "ada")
            await begin(bob, "bob")
            [answer] = await bob.claim_unless_held([held], "bob")
            assert isinstance(answer, Claimed)


async def test_a_replica_that_takes_over_without_the_last_claims_is_unsettled(thread: AsyncioThread) -> None:
    """It has the lease, and the record as another left it. Its own run tells that it is another server."""
    with trio.fail_after(DEADLINE_S), running_valkey(options=QUICK) as first, running_valkey() as spare:
        with spare.client as client:
            client.replicaof("127.0.0.1", str(first.port))
            while client.info("replication")["master_link_status"] != "up":
                await trio.lowlevel.checkpoint()
        url = f"redis://127.0.0.1:{first.port},127.0.0.1:{spare.port}"
        async with settling_stores(url, thread) as (ada, bob, new):
            await begin(ada, "ada")
            await begin(bob, "bob")
            [before] = await bob.claim_unless_held(["jam"], "bob")
            assert isinstance(before, Claimed)
            release = RoomWrite("jam", before.fence, 1, VALUES, is_whole=True, is_release=True)
            assert await bob.write([release]) == [Outcome.WRITTEN]
            with first.client as client:
                assert client.wait(1, 5000) == 1
            with spare.client as client:
                client.replicaof("NO", "ONE")
            [claim] = await ada.claim_unless_held(["jam"], "ada")
            assert isinstance(claim, Claimed)
            first.kill()
            assert not await lives(ada, "ada")
            await begin(new, "new")
            [answer] = await new.claim_unless_held(["jam"], "new")
            assert isinstance(answer, Unsettled)
            await begin(new, "ada again")
            [again] = await new.claim_unless_held(["jam"], "ada again", fences={"jam": claim.fence})
            assert isinstance(again, Claimed)
            assert again.record is not None
            assert not again.record.is_clean
            assert not await lives(bob, "bob")


async def test_a_spare_of_a_cluster_that_takes_over_without_the_last_claims_is_unsettled(
    failing_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """The other servers go on, and the run is dead nevertheless: what it held there is lost."""
    room = room_in(ON_FIRST)
    first, spare = failing_cluster.first, failing_cluster.spare
    with trio.fail_after(3 * DEADLINE_S):
        async with settling_stores(failing_cluster.url, thread) as (ada, bob, new):
            await begin(ada, "ada")
            with first.client as client, spare.client as replica:
                assert client.wait(1, 5000) == 1
                replica.config_set("masterauth", "refused")  # it stays away once it is cut off
                client.execute_command("CLIENT", "KILL", "TYPE", "replica")
                while replica.info("replication")["master_link_status"] == "up":
                    await trio.lowlevel.checkpoint()
            try:
                [claim] = await ada.claim_unless_held([room], "ada")
                assert isinstance(claim, Claimed)
                first.kill()
                failing_cluster.promote()
                assert not await lives(ada, "ada")
                await begin(new, "new")
                [answer] = await new.claim_unless_held([room], "new")
                assert isinstance(answer, Unsettled)
                await begin(bob, "bob")
                [answer] = await bob.claim_unless_held([room], "bob")
                assert isinstance(answer, Claimed)
                assert answer.before == 0
            finally:
                with spare.client as client:
                    client.config_set("masterauth", "")


async def test_a_server_that_kept_everything_over_its_restart_has_lost_no_lease(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Its supervisor says so, before anybody is served."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with store_at(valkey.url, thread, settle_s=0.0) as store:
            for is_told in (True, False):
                await begin(store, f"ada {is_told}")
                await store.claim_unless_held(["jam"], f"ada {is_told}")
                copies = {key: client.dump(key) or b"" for key in valkey.lives_ms()}
                valkey.kill()
                valkey.start()
                for key, copy in copies.items():
                    client.restore(key, 60_000, copy, replace=True)
                if is_told:
                    client.execute_command(*continue_history())
                assert await lives(store, f"ada {is_told}") is is_told
                await store.end(f"ada {is_told}")


async def test_a_clock_that_is_set_back_neither_ends_a_lease_nor_makes_it_endless(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """What was renewed in the future was renewed now; and what began there has begun now."""
    day_ms = 86_400_000
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with store_at(valkey.url, thread, settle_s=SHORT_S) as store:
            assert (await store.renew("ada", b"info", begins=True, ttl_s=SHORT_S)).is_alive
            seconds, _ = client.time()
            future_ms = int(seconds) * 1000 + day_ms
            client.hset(history_key(), "lease:ada", f"{future_ms} {round(SHORT_S * 1000)} info")
            client.hset(history_key(), "began", str(future_ms))
            assert await store.gateways() == {"ada": b"info"}
            assert 0 < (await store.renew("bob", begins=True, ttl_s=LEASE_S)).settled_in_s <= SHORT_S
            while await store.live(["ada"]) == [True]:
                await trio.lowlevel.checkpoint()
            while (await store.renew("bob", ttl_s=LEASE_S)).settled_in_s > 0:
                await trio.lowlevel.checkpoint()


async def test_a_server_that_does_not_tell_its_run_has_no_leases(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Nobody would know when it went back to an older state. The error says what to permit."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        client.execute_command("ACL", "SETUSER", "band", "on", ">pw", "~*", "+@all", "-info")
        async with store_at(f"redis://band:pw@127.0.0.1:{valkey.port}/0", thread, settle_s=0.0) as store:
            with pytest.raises(Unavailable, match="INFO"):
                await store.renew("ada", begins=True)
            assert await store.gateways() == {}
        client.acl_deluser("band")


async def test_a_claim_that_is_done_after_a_later_one_changes_nothing(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """It was given up while the server hung. The number of the later one goes on."""
    memory = ValkeyRoomMemory(valkey.url, settle_s=0.0)
    store = ThreadedRoomMemory(thread, memory)
    with trio.fail_after(DEADLINE_S):
        await begin(store, "ada")
        [claim] = await store.claim_unless_held(["jam"], "ada")
        assert isinstance(claim, Claimed)
        memory._call -= 1  # what is sent next was counted before
        assert await store.claim_unless_held(["jam"], "ada") == [Held("ada")]
        write = RoomWrite("jam", claim.fence, 1, VALUES, is_whole=True)
        assert await store.write([write]) == [Outcome.WRITTEN]
        await store.aclose()


async def test_who_writes_over_an_older_state_does_not_make_its_owner_the_holder(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """The record went back to when another had it. Then nobody holds it, and the number of the writer stays."""
    record = "omnisonic:memory:{0}:record:jam"
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with store_at(valkey.url, thread, settle_s=0.0) as store:
            for run in ("ada", "bob", "cy"):
                await begin(store, run)
            [first] = await store.claim_unless_held(["jam"], "ada")
            assert isinstance(first, Claimed)
            await store.write([RoomWrite("jam", first.fence, 1, VALUES, is_whole=True, is_release=True)])
            copy = client.dump(record) or b""
            [second] = await store.claim_unless_held(["jam"], "bob")
            assert isinstance(second, Claimed)
            client.restore(record, 60_000, copy, replace=True)
            assert await store.write([RoomWrite("jam", second.fence, 1, VALUES, is_whole=True)]) == [Outcome.WRITTEN]
            [third] = await store.claim_unless_held(["jam"], "cy")
            assert isinstance(third, Claimed)
            assert third.before == second.fence


async def test_a_claim_that_was_given_up_may_be_done_later(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """The server hung. Then others find the room held, and the run that asked has it when it asks again."""
    with trio.fail_after(DEADLINE_S):
        async with settling_stores(valkey.url, thread) as (ada, bob, _):
            await begin(ada, "ada")
            await begin(bob, "bob")
            valkey.pause()
            with pytest.raises(Unavailable, match="in time"):
                await ada.claim_unless_held(["jam"], "ada")
            with pytest.raises(Unavailable):
                await bob.renew("bob")
            valkey.resume()
            while await bob.claim_unless_held(["jam"], "bob") != [Held("ada")]:
                await bob.forget(["jam"])  # it was faster than what had been given up
            [claim] = await ada.claim_unless_held(["jam"], "ada")
            assert isinstance(claim, Claimed)
            valkey.kill()
            for call in (
                lambda: ada.renew("ada"),
                lambda: ada.claim_unless_held(["jam"], "ada"),
                lambda: ada.live(["ada"]),
                ada.gateways,
                lambda: ada.end("ada"),
            ):
                with pytest.raises(Unavailable):
                    await call()
