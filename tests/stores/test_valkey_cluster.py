"""The client, the bus and the presence store on a cluster whose keys move and whose servers fail."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from redis.crc import key_slot

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.models import PresenceMember
from omnisonic.stores.bus import Delivery, Gap, round_trip
from omnisonic.stores.valkey import TIMEOUT_S, ValkeyClient, Words
from tests.ports import unused_port
from tests.stores.conftest import DEADLINE_S, PATIENT_S, SLACK_S, InThread, bus_at, presence_at
from tests.valkey_cluster import ValkeyCluster, cluster_server
from tests.valkey_server import ValkeyServer, running_valkey

PUT = "redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000) return redis.call('GET', KEYS[1])"
KEYS = [f"key {number}" for number in range(100)]
PUT_ALL: list[Words] = [("EVAL", PUT, 1, key, key) for key in KEYS]


@asynccontextmanager
async def client_at(url: str, thread: AsyncioThread, *, timeout_s: float = PATIENT_S) -> AsyncIterator[ValkeyClient]:
    """A client that a trio test can call, closed with the block."""
    client = cast("ValkeyClient", InThread(thread, ValkeyClient(url, timeout_s=timeout_s)))
    try:
        yield client
    finally:
        await client.aclose()


def key_at(server: ValkeyServer, cluster: ValkeyCluster, *, begins: str = "key") -> str:
    """A key, or a channel, that `server` has."""
    primaries = cluster.primaries_of([f"{begins} {number}" for number in range(100)])
    return next(key for key, primary in primaries.items() if primary is server)


async def once_answered(client: ValkeyClient, commands: list[Words]) -> list[Any]:
    """The answers once no command is refused any more; no attempt takes longer than its deadline."""
    while True:
        began_s = time.monotonic()
        answers = await client.commands_each(commands)
        assert time.monotonic() - began_s < TIMEOUT_S + 2 * SLACK_S
        if not any(isinstance(answer, Unavailable) for answer in answers):
            return answers
        await trio.lowlevel.checkpoint()


async def test_many_commands_go_to_all_servers_together(valkey_cluster: ValkeyCluster, thread: AsyncioThread) -> None:
    """Answers are in the order of the commands, and each server gets its own in one go, over one connection."""
    with trio.fail_after(DEADLINE_S):
        async with client_at(valkey_cluster.url, thread) as client:
            assert await client.is_cluster()
            assert await client.commands([]) == []
            assert await client.commands(PUT_ALL) == [key.encode() for key in KEYS]
            assert await client.commands([("GET", key) for key in KEYS]) == [key.encode() for key in KEYS]
            for server in valkey_cluster.servers:
                with server.client as beside:
                    ours = [each for each in beside.client_list() if each["cmd"] in ("get", "eval")]
                    assert len(ours) == (0 if server is valkey_cluster.spare else 1)


async def test_one_command_that_fails_leaves_the_others_their_answers(
    valkey_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """`commands_each` tells which; `commands` raises."""
    wrong: Words = ("EVAL", "return redis.error_reply('no')", 1, KEYS[0])
    with trio.fail_after(DEADLINE_S):
        async with client_at(valkey_cluster.url, thread) as client:
            first, last, *_ = await client.commands_each([wrong, PUT_ALL[1]])
            assert isinstance(first, Unavailable)
            assert last == KEYS[1].encode()
            with pytest.raises(Unavailable, match="answered with an error"):
                await client.commands([PUT_ALL[1], wrong])


async def test_keys_that_move_are_followed(failing_cluster: ValkeyCluster, thread: AsyncioThread) -> None:
    """While a slot moves (ASK) and when it has moved (MOVED), many calls at once get their answers."""
    source, target = failing_cluster.servers[1], failing_cluster.servers[2]
    key = key_at(source, failing_cluster)
    slot = key_slot(key.encode())
    gets: list[Words] = [("GET", key)] * 20
    results: list[Any] = []

    async def get() -> None:
        results.append(await client.command("GET", key))
        results.extend(await client.commands(gets))

    async def get_often() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(get)

    with trio.fail_after(DEADLINE_S), source.client as at_source, target.client as at_target:
        async with client_at(failing_cluster.url, thread) as client:
            await client.command("SET", key, "here", "PX", 60_000)
            names = [cast("bytes", each.execute_command("CLUSTER MYID")).decode() for each in (at_source, at_target)]
            at_target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
            at_source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
            try:
                await get_often()
                at_source.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
                await get_often()
                for each in (at_target, at_source):
                    each.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])
                await get_often()
                assert results == [b"here"] * len(results)
            finally:
                at_target.execute_command("FLUSHALL")
                for each in (at_source, at_target):
                    each.execute_command("CLUSTER SETSLOT", slot, "NODE", names[0])
                at_source.execute_command("CLUSTER BUMPEPOCH")


@pytest.mark.parametrize("fail", [ValkeyServer.kill, ValkeyServer.pause], ids=["dies", "hangs"])
@pytest.mark.timing
async def test_a_promoted_replica_is_found(
    failing_cluster: ValkeyCluster, thread: AsyncioThread, fail: Callable[[ValkeyServer], None]
) -> None:
    """The keys of the other servers are there all the time, those of the failed one once the replica has them."""
    failed = failing_cluster.first
    with trio.fail_after(DEADLINE_S):
        async with client_at(failing_cluster.url, thread, timeout_s=TIMEOUT_S) as client:
            await client.commands(PUT_ALL)
            its = {key for key, server in failing_cluster.primaries_of(KEYS).items() if server is failed}
            fail(failed)
            for _ in range(3):
                answers = dict(zip(KEYS, await client.commands_each(PUT_ALL), strict=True))
                assert {key for key, answer in answers.items() if isinstance(answer, Unavailable)} == its
                assert all(answer == key.encode() for key, answer in answers.items() if key not in its)
            failing_cluster.promote()
            assert await once_answered(client, PUT_ALL) == [key.encode() for key in KEYS]


async def test_a_program_that_starts_while_a_server_hangs_finds_the_others(
    failing_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """The URL names it first; it is not waited for."""
    other = failing_cluster.servers[1]
    key = key_at(other, failing_cluster)
    url = f"redis://127.0.0.1:{failing_cluster.first.port},127.0.0.1:{other.port}"
    with trio.fail_after(DEADLINE_S):
        failing_cluster.first.pause()
        async with client_at(url, thread) as client:
            assert await client.is_cluster()
            assert await client.command("EVAL", PUT, 1, key, key) == key.encode()


async def test_a_subscriber_goes_over_to_the_promoted_replica(
    failing_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """Its server lives on as a replica, then dies as a primary: a gap each time, then what is published."""
    channel = key_at(failing_cluster.first, failing_cluster, begins="channel")
    others = [key_at(server, failing_cluster, begins="channel") for server in failing_cluster.servers[1:3]]
    with trio.fail_after(2 * DEADLINE_S):
        async with (
            bus_at(failing_cluster.url, thread) as bus,
            bus.subscribe(channel) as events,
            bus.subscribe(channel, *others) as all_events,
        ):
            await bus.publish(channel, b"before")
            assert await anext(events) == await anext(all_events) == Delivery(channel, b"before")
            for turn in range(2):
                if turn:
                    failing_cluster.first.kill()
                failing_cluster.promote()
                for each in (events, all_events):
                    while await anext(each) != Gap():
                        pass
                while True:  # the publisher has to find it, too
                    try:
                        if await bus.publish(channel, b"after") == 2:
                            break
                    except Unavailable:
                        await trio.lowlevel.checkpoint()
                for each in (events, all_events):
                    while await anext(each) != Delivery(channel, b"after"):
                        pass
            for other in others:
                assert await bus.publish(other, b"") == 1
            await round_trip(bus)


async def test_one_server_that_comes_back_empty_has_forgotten_the_owner(
    valkey_cluster: ValkeyCluster, thread: AsyncioThread
) -> None:
    """The beat says so though the others remember, so that the mirror writes everything again."""
    ada = PresenceMember("ada", "Ada")
    rooms = [f"room {number}" for number in range(40)]
    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey_cluster.url, thread, timeout_s=PATIENT_S) as store:
            assert [await store.beat("gateway", ttl_s=60) for _ in range(2)] == [False, True]
            await store.write_rosters("gateway", {room: [ada] for room in rooms}, ttl_s=60)
            assert await store.head_counts([*rooms, "nobody's"]) == [1] * len(rooms) + [0]
            assert -1 not in valkey_cluster.lives_ms().values()
            valkey_cluster.servers[1].flush()
            assert [await store.beat("gateway", ttl_s=60) for _ in range(2)] == [False, True]
            assert 0 < sum(await store.head_counts(rooms)) < len(rooms)
            await store.forget_owner("gateway")
            assert valkey_cluster.lives_ms() == {}


async def test_a_cluster_in_which_nobody_has_the_keys_is_named(tmp_path: Path, thread: AsyncioThread) -> None:
    """A server in cluster mode that has no slots."""
    server = cluster_server(tmp_path / "cluster", unused_port())
    try:
        server.start()
        with trio.fail_after(DEADLINE_S):
            async with client_at(server.url, thread) as client:
                assert await client.is_cluster()
                with pytest.raises(Unavailable, match="belongs to a cluster that is down: some keys have no primary"):
                    await client.command("GET", "key")
    finally:
        server.kill()


async def test_a_server_that_becomes_part_of_a_cluster_is_noticed(tmp_path: Path, thread: AsyncioThread) -> None:
    """One call is refused, and the next finds the cluster: keys are named in another way there."""
    with trio.fail_after(DEADLINE_S), running_valkey() as alone:
        async with client_at(alone.url, thread) as client:
            assert not await client.is_cluster()
            alone.stop()
            cluster = cluster_server(tmp_path / "cluster", unused_port())
            cluster.port = alone.port
            try:
                cluster.start()
                refusals = []
                while not await client.is_cluster():  # the first call may only find that its connection is gone
                    with pytest.raises(Unavailable) as refused:
                        await client.command("GET", "key")
                    refusals.append(str(refused.value))
                assert "cluster" in refusals[-1]
            finally:
                cluster.kill()
