"""How long the room memory store in this process keeps what is held. On a server: `test_valkey_room_claims`."""

from typing import Final

from omnisonic.stores.room_memory import RECORD_TTL_S, Claim, Claimed, Held, RoomWrite
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from tests.stores.conftest import Clock

VALUES: Final = {"epoch": b"one"}


async def test_a_held_record_is_kept_also_when_nothing_was_ever_said() -> None:
    """Else another would find no record while the room goes on. Each write keeps it anew; a release as it says."""
    clock = Clock()
    store = InProcessRoomMemory(clock=clock)
    blank_s = 600.0

    async def claim(run: str) -> Claim:
        [claim] = await store.claim_unless_held(["jam"], run)
        return claim

    for run in ("ada", "bob"):
        await store.renew(run, begins=True, ttl_s=3 * RECORD_TTL_S)
    first = await claim("ada")
    assert isinstance(first, Claimed)
    await store.write([RoomWrite("jam", first.fence, 1, VALUES, is_whole=True, keep_s=blank_s)])
    clock.now_s += RECORD_TTL_S - 1
    assert await claim("bob") == Held("ada")
    await store.write([RoomWrite("jam", first.fence, 2)])
    clock.now_s += RECORD_TTL_S - 1
    assert await claim("bob") == Held("ada")
    await store.write([RoomWrite("jam", first.fence, 3, is_release=True, keep_s=blank_s)])
    clock.now_s += blank_s
    second = await claim("bob")
    assert isinstance(second, Claimed)
    assert second.record is None
