"""Leases and claims on a server that loses something: all of it, or the last writes; and on one that is late.

Whoever relied on what is lost is told before anybody else gets its rooms (`omnisonic.stores.room_memory.valkey`).
"""

from typing import Final, cast

import pytest
import trio
import trio.lowlevel

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import RECORD_TTL_S, Claimed, Held, Outcome, RoomMemoryStore, RoomWrite, Unsettled
from omnisonic.stores.room_memory.valkey import TIMEOUT_S, ValkeyRoomMemory
from omnisonic.stores.room_memory.valkey_scripts import continue_history, history_key
from tests.stores.conftest import DEADLINE_S, PATIENT_S, InThread
from tests.stores.room_memory_stage import LEASE_S, begin, lives, settling_stores, store_at
from tests.valkey_server import ValkeyServer, running_valkey

SHORT_S: Final = 1.0
VALUES: Final = {"epoch": b"one"}
QUICK: Final = ("--repl-diskless-sync-delay", "0")
"""A replica gets its first copy at once."""


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
    memory = ValkeyRoomMemory(valkey.url, settle_s=0.0, timeout_s=PATIENT_S)
    store = cast("RoomMemoryStore", InThread(thread, memory))
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
        async with settling_stores(valkey.url, thread, timeout_s=TIMEOUT_S) as (ada, bob, _):
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
