"""What Valkey's failures look like from the presence store (RELIABILITY 1 to 3)."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.models import PresenceMember
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.presence.valkey import ValkeyPresence
from omnisonic.stores.valkey import CONNECTIONS, TIMEOUT_S
from tests.stores.conftest import DEADLINE_S, SLACK_S, presence_at
from tests.tcp_proxy import open_tcp_proxy
from tests.valkey_server import ValkeyServer, running_valkey

pytestmark = pytest.mark.timing

ADA = PresenceMember("ada", "Ada")


async def once_available(call: Callable[[], Awaitable[object]]) -> object:
    """What `call` answers once it is not refused any more."""
    while True:
        try:
            return await call()
        except Unavailable:
            await trio.lowlevel.checkpoint()


def every_call(store: PresenceStore) -> list[Callable[[], Awaitable[object]]]:
    """Each method of `store`, ready to be called."""
    return [
        partial(store.write_rosters, "gateway", {"jam": [ADA]}, ttl_s=60),
        partial(store.forget_owner, "gateway"),
        partial(store.beat, "gateway", ttl_s=60),
        partial(store.put_lease, "jam", ADA, ttl_s=60),
        partial(store.drop_lease, "jam", "ada"),
        partial(store.leases, "jam"),
        partial(store.members, "jam"),
        partial(store.head_counts, ["jam"]),
        store.ping,
    ]


async def test_every_call_to_a_dead_server_is_unavailable(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Cut off in the middle of its connections, then refused: a sentence with the address each time."""
    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread) as store:
            await store.ping()
            valkey.kill()
            for call in every_call(store):
                with pytest.raises(Unavailable, match=f"^The Redis server at 127.0.0.1:{valkey.port} .*\\.$"):
                    await call()


async def test_a_server_that_comes_back_is_used_again_at_once(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """The first call after the restart works, though the connection from before is dead; the beat was forgotten."""
    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread) as store:
            assert [await store.beat("gateway", ttl_s=60) for _ in range(2)] == [False, True]
            valkey.kill()
            valkey.start()
            assert await store.beat("gateway", ttl_s=60) is False
            await store.write_rosters("gateway", {"jam": [ADA]}, ttl_s=60)
            assert await store.members("jam") == [ADA]


async def test_every_call_to_a_hung_server_is_given_up_in_time(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """SIGSTOP: 250 ms and no more, whether the connection was open or has to be opened."""
    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread) as store:
            await store.ping()
            valkey.pause()
            for call in every_call(store):
                began_s = trio.current_time()
                with pytest.raises(Unavailable, match="did not answer in time"):
                    await call()
                assert trio.current_time() - began_s < TIMEOUT_S + SLACK_S


async def test_more_calls_than_connections_are_all_given_up_in_time(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Waiting for a connection counts against the deadline; afterwards no connection is missing."""
    refused = 0

    async def ping(store: PresenceStore) -> None:
        nonlocal refused
        try:
            await store.ping()
        except Unavailable:
            refused += 1

    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread) as store:
            await store.ping()
            valkey.pause()
            began_s = trio.current_time()
            async with trio.open_nursery() as nursery:
                for _ in range(3 * CONNECTIONS):
                    nursery.start_soon(ping, store)
            assert trio.current_time() - began_s < TIMEOUT_S + 2 * SLACK_S
            assert refused == 3 * CONNECTIONS
            valkey.resume()
            await once_available(store.ping)
            refused = 0
            async with trio.open_nursery() as nursery:
                for _ in range(3 * CONNECTIONS):
                    nursery.start_soon(ping, store)
            assert refused == 0


async def test_no_answer_is_ever_read_by_another_call(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """SIGSTOP in the middle of calls, then SIGCONT: late answers are thrown away with their connections."""
    people = {f"room {number}": [PresenceMember(f"member {number}", "Ada")] for number in range(40)}

    async def read(room: str) -> None:
        with suppress(Unavailable):
            assert [each.member_id for each in await store.members(room)] == [people[room][0].member_id]

    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread) as store:
            await store.write_rosters("gateway", people, ttl_s=60)
            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    for room in people:
                        nursery.start_soon(read, room)
                    valkey.pause()
                valkey.resume()
                await once_available(store.ping)
                for room, (member,) in people.items():
                    assert await store.members(room) == [member]
                    assert await store.beat(room, ttl_s=60) in {True, False}


async def test_a_call_cancelled_in_the_middle_leaves_no_answer_behind(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """The caller goes away while the network is slow; the next call gets its own answer."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            presence_at(f"redis://127.0.0.1:{proxy.port}", thread) as store,
        ):
            await store.put_lease("jam", ADA, ttl_s=60)
            proxy.delay_s = 0.05
            with trio.move_on_after(0.02):
                await store.members("jam")
            proxy.delay_s = 0.0
            assert await store.beat("gateway", ttl_s=60) is False
            assert await store.members("jam") == [ADA]


async def test_a_slow_network_is_given_up_and_a_fast_one_used_again(
    valkey: ValkeyServer, thread: AsyncioThread
) -> None:
    """Slower than the deadline is unavailable, and so is refused or cut, at the first attempt; each mends by itself."""
    with trio.fail_after(DEADLINE_S):
        async with (
            open_tcp_proxy(valkey.port) as proxy,
            presence_at(f"redis://127.0.0.1:{proxy.port}", thread) as store,
        ):
            await store.ping()
            proxy.delay_s = 2 * TIMEOUT_S
            with pytest.raises(Unavailable, match="in time"):
                await store.ping()
            proxy.delay_s = 0.0
            await store.ping()
            proxy.refusing = True
            proxy.cut()
            before = proxy.connections
            with pytest.raises(Unavailable, match="cannot be reached"):
                await store.ping()
            assert proxy.connections <= before + 1  # nothing is tried twice behind the caller's back
            proxy.refusing = False
            await store.ping()


async def test_an_emptied_server_has_forgotten_the_owner(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """FLUSHALL: the beat says so, and everything written again is there, without ghosts."""
    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread) as store:
            await store.write_rosters("gateway", {"jam": [PresenceMember("ghost", "Ghost")]}, ttl_s=60)
            await store.beat("gateway", ttl_s=60)
            valkey.flush()
            assert await store.beat("gateway", ttl_s=60) is False
            await store.write_rosters("gateway", {"jam": [ADA]}, ttl_s=60)
            assert await store.members("jam") == [ADA]


async def test_a_server_that_refuses_writes_is_unavailable(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Out of memory, or a replica: the reason is in the message."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with presence_at(valkey.url, thread) as store:
            client.config_set("maxmemory", "1")
            with pytest.raises(Unavailable, match="out of memory"):
                await store.beat("gateway", ttl_s=60)
            client.config_set("maxmemory", "0")
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(Unavailable, match="read-only replica"):
                await store.beat("gateway", ttl_s=60)
            client.replicaof("NO", "ONE")
            assert await store.beat("gateway", ttl_s=60) is False


async def test_a_wrong_password_is_named_and_never_shown(thread: AsyncioThread) -> None:
    """The error tells what is refused; the secret is in no message and no cause of it."""
    with trio.fail_after(DEADLINE_S), running_valkey(password="opensesame") as server:
        async with presence_at(server.url, thread) as store:
            await store.ping()
        async with presence_at(server.url.replace("opensesame", "hunter2"), thread) as store:
            with pytest.raises(Unavailable, match="refuses the user or the password") as refused:
                await store.ping()
        error: BaseException | None = refused.value
        while error is not None:
            assert "hunter2" not in f"{error!r} {error}"
            error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "http://:hunter2@localhost", "redis://:hunter2@localhost:port", "redis://u:hunter2@h:0x1/0"],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secret(url: str) -> None:
    """One sentence and a code, at construction."""
    with pytest.raises(InvalidInput, match="must be a redis://") as refused:
        ValkeyPresence(url)
    assert refused.value.code == "invalid_redis_url"
    assert "hunter2" not in repr(refused.value)
    assert refused.value.__cause__ is None
