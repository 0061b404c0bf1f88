"""Leases and claims on a cluster, one server of which loses something: all of it, or the last writes.

Whoever relied on what is lost is told before anybody else gets its rooms (`omnisonic.stores.room_memory.valkey`).
"""

from typing import Final

import pytest
import trio
import trio.lowlevel
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import Claimed, Held, Outcome, RoomWrite, Unsettled
from omnisonic.stores.room_memory.valkey import BUCKETS
from omnisonic.stores.room_memory.valkey_scripts import history_key
from omnisonic.stores.valkey import bucket_of
from tests.stores.conftest import DEADLINE_S
from tests.stores.room_memory_stage import begin, lives, settling_stores, store_at
from tests.valkey_cluster import PRIMARIES, ValkeyCluster

VALUES: Final = {"epoch": b"one"}
LEASES: Final = 0
"""The bucket with the leases."""


def server_of(bucket: int) -> int:
    """Which of the primaries has this bucket."""
    return key_slot(history_key(bucket).encode()) * PRIMARIES // REDIS_CLUSTER_HASH_SLOTS


def flush_bucket(cluster: ValkeyCluster, bucket: int) -> None:
    """Empty the server that has this bucket."""
    key = history_key(bucket)
    cluster.primaries_of([key])[key].flush()


def room_in(bucket: int) -> str:
    """A room in this bucket."""
    return next(room for room in map(str, range(100 * BUCKETS)) if bucket_of(room, BUCKETS) == bucket)


ELSEWHERE: Final = next(bucket for bucket in range(BUCKETS) if server_of(bucket) != server_of(LEASES))
ON_FIRST: Final = next(bucket for bucket in range(BUCKETS) if server_of(bucket) == 0)


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
            servers = set(valkey_cluster.primaries_of(list(map(history_key, range(BUCKETS)))).values())
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
            flush_bucket(valkey_cluster, ELSEWHERE)
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
            flush_bucket(valkey_cluster, LEASES)
            await begin(new, "new")
            answers = await new.claim_unless_held([held, free], "new")
            assert [type(answer) for answer in answers] == [Unsettled, Unsettled]
            assert not await lives(ada, "ada")
            await begin(bob, "bob")
            [answer] = await bob.claim_unless_held([held], "bob")
            assert isinstance(answer, Claimed)


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
