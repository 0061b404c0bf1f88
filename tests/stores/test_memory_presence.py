"""What is true of the presence store in this process alone."""

from omnisonic.models import PresenceMember
from omnisonic.stores.presence.memory import SWEEP_EVERY_S, MemoryPresence
from tests.stores.conftest import Clock


async def test_expired_entries_are_swept_out_by_a_later_write() -> None:
    """Rooms that nobody reads again take up no memory for long."""
    clock = Clock()
    store = MemoryPresence(clock)
    for number in range(100):
        await store.write_rosters(f"gateway {number}", {f"room {number}": [PresenceMember("ada", "Ada")]}, ttl_s=1)
        await store.put_lease(f"room {number}", PresenceMember("bo", "Bo"), ttl_s=1)
        await store.beat(f"gateway {number}", ttl_s=1)
    clock.now_s += SWEEP_EVERY_S
    await store.beat("gateway", ttl_s=1)
    assert (len(store._rosters), len(store._leases), len(store._beats)) == (0, 0, 1)


def test_no_method_ever_suspends() -> None:
    """Each coroutine ends at its first step, so the store works without any event loop."""
    store = MemoryPresence(Clock())
    ada = PresenceMember("ada", "Ada")
    calls = [
        store.write_rosters("gateway", {"jam": [ada]}, ttl_s=1),
        store.beat("gateway", ttl_s=1),
        store.put_lease("jam", ada, ttl_s=1),
        store.leases("jam"),
        store.members("jam"),
        store.drop_lease("jam", "ada"),
        store.forget_owner("gateway"),
        store.ping(),
        store.aclose(),
    ]
    ended = 0
    for call in calls:
        try:
            call.send(None)
        except StopIteration:
            ended += 1
    assert ended == len(calls)
