"""What the presence store keeps in Valkey: how long, how much, and what it makes of things it cannot read."""

from typing import Final

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.models import PresenceMember
from tests.stores.conftest import DEADLINE_S, PATIENT_S, presence_at
from tests.valkey_server import ValkeyServer

ADA: Final = PresenceMember("ada", "Ada")
PREFIX: Final = "omnisonic:presence:"
NO_TIME_TO_LIVE: Final = -1


async def test_no_key_is_ever_without_a_time_to_live(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Sets live as long as the longest of what they name, and once all that has expired the server is empty."""
    with trio.fail_after(DEADLINE_S):
        async with presence_at(valkey.url, thread, timeout_s=PATIENT_S) as store:
            await store.write_rosters("gateway", {"jam": [ADA], "duo": [ADA]}, ttl_s=60)
            await store.put_lease("jam", ADA, ttl_s=30)
            await store.put_lease("trio", ADA, ttl_s=0.05)
            await store.beat("gateway", ttl_s=60)
            lives_ms = valkey.lives_ms()
            assert lives_ms.keys() >= {
                f"{PREFIX}room:jam",
                f"{PREFIX}room:duo",
                f"{PREFIX}owner:gateway",
                f"{PREFIX}beat:gateway",
            }
            assert all(key.startswith(PREFIX) for key in lives_ms)
            assert NO_TIME_TO_LIVE not in lives_ms.values()
            assert 50_000 < lives_ms[f"{PREFIX}room:jam"] <= 60_000
            await store.write_rosters("gateway", {"jam": [ADA], "duo": []}, ttl_s=0.05)
            await store.forget_owner("gateway")
            assert not [key for key in valkey.lives_ms() if "gateway" in key]
            await store.drop_lease("jam", "ada")
            while valkey.lives_ms():
                await trio.lowlevel.checkpoint()


async def test_an_index_that_nobody_reads_does_not_grow(valkey: ValkeyServer, thread: AsyncioThread) -> None:
    """Leases that expired are taken out by those put in later."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with presence_at(valkey.url, thread, timeout_s=PATIENT_S) as store:
            for number in range(300):
                await store.put_lease("jam", PresenceMember(str(number), "Ada"), ttl_s=0.001)
            await store.put_lease("jam", ADA, ttl_s=60)
            assert client.scard(f"{PREFIX}room:jam") < 150
            while await store.members("jam") != [ADA]:
                await trio.lowlevel.checkpoint()
            assert client.scard(f"{PREFIX}room:jam") == 1


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"nonsense",
        b"[" * 100_000,
        b'[{"memberId":"\xff"}]',
        b'{"memberId":7}',
        b"[null]",
        b'[{"x":' + b"[" * 100_000,
    ],
)
async def test_malformed_entries_are_passed_over(valkey: ValkeyServer, thread: AsyncioThread, malformed: bytes) -> None:
    """What another version or another program wrote there does not keep the rest from being read."""
    with trio.fail_after(DEADLINE_S), valkey.client as client:
        async with presence_at(valkey.url, thread, timeout_s=PATIENT_S) as store:
            await store.write_rosters("gateway", {"jam": [ADA]}, ttl_s=60)
            for key in (f"{PREFIX}roster:jam:strange", f"{PREFIX}lease:jam:strange"):
                client.set(key, malformed, px=60_000)
                client.sadd(f"{PREFIX}room:jam", key)
            client.sadd(f"{PREFIX}roster:jam:a-set", "x")
            client.sadd(f"{PREFIX}room:jam", f"{PREFIX}roster:jam:a-set", b"\xff")
            assert await store.members("jam") == [ADA]
            assert await store.leases("jam") == []
            assert (await store.head_counts(["jam"]))[0] >= 1
