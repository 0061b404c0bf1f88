"""A server of the Valkey cluster fails over under gateways whose members talk (SPEC 5.5)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

import pytest
import trio

from omnisonic.operations.gateway_stores import open_presence_and_bus, open_room_memory
from omnisonic.stores.room_memory.valkey import BUCKETS
from omnisonic.stores.room_memory.valkey_words import keys_of
from omnisonic.stores.valkey import bucket_of
from tests.cluster.gateways import Stores, cluster_of, open_cluster, owners
from tests.cluster.ownership import judge_owners, owner_log
from tests.cluster.witnesses import Record, Witness
from tests.rooms import Stage, eventually
from tests.valkey_cluster import ValkeyCluster
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

AT_OWNER: Final = ("ada", "bob")
ELSEWHERE: Final = ("cy", "dan")
SAY_S: Final = 0.05
COMES_BACK_S: Final = 20.0
HISTORY_S: Final = 60.0


@pytest.mark.parametrize("is_behind", [False, True])
async def test_a_spare_that_takes_over_ends_no_room(failing_cluster: ValkeyCluster, *, is_behind: bool) -> None:
    """There is never a second owner, and claims come back. Members hear each message of each other once.

    A spare that is behind knows nothing of the room.
    """
    first, spare, room = failing_cluster.first, failing_cluster.spare, room_on_first(failing_cluster)
    record = Record()
    with owner_log() as log:
        async with (
            open_stores(failing_cluster.url) as stores,
            open_cluster("a", "b", stores=stores, grace_s=5) as stages,
            AsyncExitStack() as stack,
        ):
            if is_behind:
                stack.enter_context(cut_off(spare, first))
            witnesses = [
                Witness(name, await stack.enter_async_context(await stage.bare_member(name, room)), record)
                for stage, names in zip(stages, (AT_OWNER, ELSEWHERE), strict=True)
                for name in names
            ]
            assert owners(stages, room) == [0]
            async with trio.open_nursery() as nursery:
                for witness in witnesses:
                    nursery.start_soon(witness.listen)
                async with trio.open_nursery() as talking:
                    for witness in witnesses:
                        talking.start_soon(witness.talk, SAY_S)
                    await until_all_hear(witnesses, "before")
                    if not is_behind:
                        await trio.to_thread.run_sync(wait_for, spare, first)
                    runs = [cluster_of(stage).lease.run for stage in stages]
                    first.kill()
                    await trio.to_thread.run_sync(failing_cluster.promote)
                    await eventually(lambda: are_new(stages, runs), COMES_BACK_S)
                    await until_all_hear(witnesses, "after")
                    talking.cancel_scope.cancel()
                await eventually(lambda: not any(witness.unanswered for witness in witnesses), COMES_BACK_S)
                await until_all_hear(witnesses, "at last")
                nursery.cancel_scope.cancel()
            assert owners(stages, room) == [0]
    judge = judge_owners(log.events)
    assert judge.overlaps() == []
    assert len(judge.turns[room]) > 1
    assert record.problems == []
    assert len({epoch for epoch, _ in record.said}) == 1
    for witness in witnesses:
        assert witness.holes == witness.doubles == []
        assert witness.missed(witnesses) == []
        assert witness.told == 0


def room_on_first(cluster: ValkeyCluster) -> str:
    """A room with its keys on the server that has a replica."""
    records = {room: keys_of(bucket_of(room, BUCKETS), [room])[1] for room in map(str, range(BUCKETS))}
    places = cluster.primaries_of(list(records.values()))
    return next(room for room, key in records.items() if places[key] is cluster.first)


@asynccontextmanager
async def open_stores(url: str) -> AsyncIterator[Stores]:
    """What gateways share at this Valkey."""
    async with open_presence_and_bus(url) as (presence, bus), open_room_memory(url, HISTORY_S) as memory:
        stores = Stores(memory, bus)
        stores.presence = presence
        yield stores


@contextmanager
def cut_off(replica: ValkeyServer, primary: ValkeyServer) -> Iterator[None]:
    """Let `replica` fall behind until the block ends: it shows a password that nobody asked for, and is sent away."""
    with replica.client as client, primary.client as its_primary:
        client.config_set("masterauth", "nobody asked for it")
        its_primary.execute_command("CLIENT", "KILL", "TYPE", "replica")
        try:
            yield
        finally:
            client.config_set("masterauth", "")


def wait_for(replica: ValkeyServer, primary: ValkeyServer) -> None:
    """Return once `replica` has all that `primary` has now."""
    with replica.client as client, primary.client as its_primary:
        offset = its_primary.info("replication")["master_repl_offset"]
        while client.info("replication")["slave_repl_offset"] < offset:
            pass


def are_new(stages: list[Stage], runs: list[str]) -> bool:
    """Whether each gateway has a lease under another name."""
    leases = [cluster_of(stage).lease for stage in stages]
    return all(lease.is_valid and lease.run != run for lease, run in zip(leases, runs, strict=True))


async def until_all_hear(witnesses: list[Witness], word: str) -> None:
    """Return when each has heard each other say this."""
    with trio.fail_after(COMES_BACK_S):
        async with trio.open_nursery() as nursery:
            for witness in witnesses:
                nursery.start_soon(witness.say_until_heard, witnesses, word)
