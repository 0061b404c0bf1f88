"""Whatever happens to gateways and to servers, no two gateways ever hold one room at the same time (SPEC 5.5).

The gateways and what is done to them: `tests.stores.adversary`. With real servers the leases are short, and time is
real: a slow machine makes it take longer, and changes nothing of what must never be.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import pytest
import trio
from trio.testing import MockClock

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.stores.room_memory.threaded import ThreadedRoomMemory
from omnisonic.stores.room_memory.valkey import BUCKETS, CONNECTIONS, ValkeyRoomMemory
from omnisonic.stores.room_memory.valkey_scripts import history_key
from omnisonic.stores.valkey import ValkeyClient, Word, Words
from tests.stores.adversary import LEASE_S, LONG_S, Judge, let_gateways_run
from tests.valkey_cluster import ValkeyCluster
from tests.valkey_server import ValkeyServer, running_valkey

T = TypeVar("T")

GATEWAYS: Final = 3
TIMEOUT_S: Final = 0.2
TAKEOVER_AT: Final = 3
"""After so many other harms."""
QUICK: Final = ("--repl-diskless-sync-delay", "0")
"""A replica gets its first copy at once."""
ENOUGH: Final = {"takeover": 20, "dead": 6, "Held": 10, "Unsettled": 5, "shown": 1, "left": 1}
ENOUGH_WHEN_SLOW: Final = ENOUGH | {"shown": 0}
"""Where it takes so long to learn of a loss that nothing may be held any more."""


class SlowClient(ValkeyClient):
    """Whose commands are late now and then, on their way there and back."""

    def __init__(self, url: str, chance: random.Random) -> None:
        super().__init__(url, timeout_s=TIMEOUT_S, connections=CONNECTIONS)
        self._chance = chance

    async def command(self, *words: Word, **options: Any) -> Any:
        """As that of a client, late."""
        return await self._late(partial(super().command, *words, **options))

    async def commands(self, commands: Sequence[Words]) -> list[Any]:
        """As those of a client, late."""
        return await self._late(partial(super().commands, commands))

    async def _late(self, send: Callable[[], Awaitable[T]]) -> T:
        await self._dawdle()
        answer = await send()
        await self._dawdle()
        return answer

    async def _dawdle(self) -> None:
        if self._chance.random() < 0.1:
            await asyncio.sleep(self._chance.uniform(0, TIMEOUT_S))


@asynccontextmanager
async def stores_at(
    url: str, thread: AsyncioThread, seed: int, *, settle_s: float = LEASE_S
) -> AsyncIterator[list[RoomMemoryStore]]:
    """A store for each gateway, with a client of its own."""
    async with AsyncExitStack() as stack:
        stores: list[RoomMemoryStore] = []
        for number in range(GATEWAYS):
            memory = ValkeyRoomMemory(url, timeout_s=TIMEOUT_S, settle_s=LEASE_S)
            memory._valkey = SlowClient(url, random.Random(seed + number))
            stores.append(ThreadedRoomMemory(thread, memory))
            stack.push_async_callback(stores[-1].aclose)
        yield stores


def cut_off(replica: ValkeyServer, primary: ValkeyServer) -> None:
    """Let `replica` fall behind for good: it shows a password that nobody asked for, and is sent away."""
    with replica.client as other, primary.client as client:
        other.config_set("masterauth", "nobody asked for it")
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")


def let_follow(replica: ValkeyServer) -> None:
    """Undo what keeps it from following."""
    with replica.client as client:
        client.config_set("masterauth", "")


async def synced(replica: ValkeyServer) -> None:
    """Return once `replica` has what its primary has."""
    with replica.client as client:
        while client.info("replication")["master_link_status"] != "up":
            await trio.lowlevel.checkpoint()


async def hang(server: ValkeyServer, chance: random.Random) -> None:
    """Let `server` hang for a while."""
    server.pause()
    try:
        await trio.sleep(chance.uniform(0, LONG_S))
    finally:
        server.resume()


def judged_in_this_process(seed: int, enough: dict[str, int], *, settle_s: float = LEASE_S) -> Judge:
    """What gateways did at the store in this process, which loses everything now and then. Nobody really waits."""

    async def scenario() -> Judge:
        store = InProcessRoomMemory(clock=trio.current_time, settle_s=settle_s)

        async def lose_everything(chance: random.Random) -> None:
            if chance.random() < 0.7:
                store.lose_everything()

        return await let_gateways_run([store] * GATEWAYS, lose_everything, seed=seed, enough=enough)

    return trio.run(scenario, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", range(10))
def test_in_this_process_no_room_has_two_owners(seed: int) -> None:
    """Gateways stand still, the store loses everything."""
    judged_in_this_process(seed, ENOUGH).acquit()


def test_the_judge_finds_two_owners_where_a_store_does_not_settle() -> None:
    """It gives rooms away at once when it has lost who holds them."""
    judge = judged_in_this_process(1, {"takeover": 300}, settle_s=0.0)
    assert judge.overlaps()
    with pytest.raises(AssertionError):
        judge.acquit()


async def test_on_one_server_no_room_has_two_owners(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """It is emptied, it hangs, it starts again with nothing; its answers are late."""

    async def harm(chance: random.Random) -> None:
        kind = chance.random()
        if kind < 0.4:
            valkey.flush()
        elif kind < 0.5:
            valkey.kill()
            valkey.start()
        elif kind < 0.8:
            await hang(valkey, chance)

    async with stores_at(valkey.url, thread, 5) as stores:
        judge = await let_gateways_run(stores, harm, seed=5, enough=ENOUGH)
    judge.acquit()


async def test_on_a_server_with_a_replica_no_room_has_two_owners(thread: AsyncioThread) -> None:
    """A replica that has fallen behind takes over from a server that crashes, and then the other way round."""
    options: tuple[list[str], list[str]] = ([*QUICK], [*QUICK])
    with running_valkey(options=options[0]) as first, running_valkey(options=options[1]) as second:
        pair = [(first, options[0]), (second, options[1])]
        with second.client as client:
            client.replicaof("127.0.0.1", str(first.port))

        async def harm(chance: random.Random) -> None:
            (primary, its_options), (replica, _) = pair
            if chance.random() < 0.5:
                await hang(primary, chance)
                return
            cut_off(replica, primary)
            await trio.sleep(chance.uniform(0, LONG_S))
            primary.kill()
            await trio.sleep(chance.uniform(0, LEASE_S))
            with replica.client as client:
                client.replicaof("NO", "ONE")
            let_follow(replica)
            # Nobody may take it for the primary when it is back.
            its_options[:] = [*QUICK, "--replicaof", "127.0.0.1", str(replica.port)]
            primary.start()
            pair.reverse()
            await synced(primary)

        url = f"redis://127.0.0.1:{first.port},127.0.0.1:{second.port}"
        await synced(second)
        async with stores_at(url, thread, 7) as stores:
            judge = await let_gateways_run(stores, harm, seed=7, enough=ENOUGH_WHEN_SLOW)
    judge.acquit()


async def test_on_a_cluster_no_room_has_two_owners(failing_cluster: ValkeyCluster, thread: AsyncioThread) -> None:
    """Its servers are emptied and hang, one at a time; one crashes, and its replica takes over, which is behind."""
    first, spare = failing_cluster.first, failing_cluster.spare
    servers = list(set(failing_cluster.primaries_of(list(map(history_key, range(BUCKETS)))).values()))
    harms = itertools.count()

    async def harm(chance: random.Random) -> None:
        server = chance.choice(servers)
        if next(harms) == TAKEOVER_AT:
            cut_off(spare, first)
            await trio.sleep(chance.uniform(0, LONG_S))
            first.kill()
            failing_cluster.promote()
            servers[servers.index(first)] = spare
        elif chance.random() < 0.5:
            server.flush()
        else:
            await hang(server, chance)

    try:
        async with stores_at(failing_cluster.url, thread, 3) as stores:
            judge = await let_gateways_run(stores, harm, seed=3, enough=ENOUGH_WHEN_SLOW)
    finally:
        let_follow(spare)
    judge.acquit()
    assert next(harms) > TAKEOVER_AT
