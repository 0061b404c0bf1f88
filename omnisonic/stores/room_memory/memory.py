"""The room memory store in this process, for a gateway alone, for embedding and for tests.

With it, a room that was forgotten because it was empty goes on where it was when somebody comes back. No method ever
suspends, so it works under trio, asyncio or neither; one thread at a time may use it.

Overload: released records take at most `MAX_BYTES`, and there are at most `MAX_RECORDS`; the oldest are dropped. A
record whose owner is at work is as large as its room, whose bytes it shares. Crash and shutdown: all is forgotten.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import (
    BLOCKS_TTL_S,
    CLAIM_TTL_S,
    LEASE_S,
    RECORD_TTL_S,
    Claim,
    Claimed,
    Held,
    Outcome,
    Renewal,
    RoomMemoryStore,
    RoomRecord,
    RoomWrite,
    Unsettled,
)

MAX_BYTES: Final = 67_108_864
MAX_RECORDS: Final = 10_000
"""The bounds of the records that were released."""
MESSAGE_OVERHEAD_BYTES: Final = 100
"""About what a message costs beside its content: an integer and its places in a dictionary."""


@dataclass(slots=True)
class _Stored:
    """One record. `blocks` are in the order of their offsets. Times are on the store's clock."""

    fence: int
    owner: str | None = None
    number: int = 0
    values: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)
    has_all_blocks: bool = True
    is_released: bool = False
    written_at_s: float = 0.0
    keep_s: float = CLAIM_TTL_S

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        contents = sum(map(len, self.values.values())) + sum(map(len, self.blocks.values()))
        return contents + MESSAGE_OVERHEAD_BYTES * (len(self.values) + len(self.blocks))


@dataclass(frozen=True, slots=True)
class _Lease:
    ends_at_s: float
    info: bytes


class InProcessRoomMemory:
    """A `RoomMemoryStore` of dictionaries. Raises `Unavailable` only for claims of a run whose lease has ended.

    Args:
        blocks_ttl_s: How long blocks are kept after the last write.
        clock: Returns monotonic seconds.
        max_bytes: The most bytes that released records take.
        max_records: The most released records.
        settle_s: For how long it is unsettled after `lose_everything`.
    """

    def __init__(
        self,
        *,
        blocks_ttl_s: float = BLOCKS_TTL_S,
        clock: Callable[[], float] = time.monotonic,
        max_bytes: int = MAX_BYTES,
        max_records: int = MAX_RECORDS,
        settle_s: float = LEASE_S,
    ) -> None:
        self._blocks_ttl_s = blocks_ttl_s
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._records: dict[RoomId, _Stored] = {}
        self._released: dict[RoomId, int] = {}
        """The size of each released record, the oldest first."""
        self._released_bytes = 0
        self._fence = 0
        self._leases: dict[str, _Lease] = {}
        self._settle_s = settle_s
        self._settled_at_s = -math.inf

    @property
    def outlives_process(self) -> bool:
        return False

    async def claim(self, room_ids: Sequence[RoomId], owner: str) -> list[Claimed]:
        return [self._claim(room_id, owner) for room_id in room_ids]

    async def claim_unless_held(
        self, room_ids: Sequence[RoomId], owner: str, *, fences: Mapping[RoomId, int] | None = None
    ) -> list[Claim]:
        if not self._lives(owner):
            raise Unavailable("The lease of this gateway has ended.")
        return [self._claim_unless_held(room_id, owner, (fences or {}).get(room_id, 0)) for room_id in room_ids]

    async def renew(self, owner: str, info: bytes = b"", *, begins: bool = False, ttl_s: float = LEASE_S) -> Renewal:
        await self.gateways()  # drops the leases that have ended
        is_alive = (owner in self._leases) != begins
        if is_alive:
            self._leases[owner] = _Lease(self._clock() + ttl_s, info)
        return Renewal(is_alive, max(0.0, self._settled_at_s - self._clock()))

    async def end(self, owner: str) -> None:
        self._leases.pop(owner, None)

    async def live(self, owners: Sequence[str]) -> list[bool]:
        return [self._lives(owner) for owner in owners]

    async def holders(self, room_ids: Sequence[RoomId]) -> list[str | None]:
        holders = map(self._holder, room_ids)
        return [holder if holder is not None and self._lives(holder) else None for holder in holders]

    async def gateways(self) -> dict[str, bytes]:
        return {owner: lease.info for owner, lease in list(self._leases.items()) if self._lives(owner)}

    def lose_everything(self) -> None:
        """Become empty and unsettled, as a server does that starts again without its data. For tests."""
        for room_id in list(self._records):
            self._drop(room_id)
        self._leases.clear()
        self._settled_at_s = self._clock() + self._settle_s

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        outcomes = [self._write(write) for write in writes]
        self._drop_oldest()
        return outcomes

    async def touch(self, fences: Mapping[RoomId, int], keep_s: float = RECORD_TTL_S) -> dict[RoomId, Outcome]:
        return {room_id: self._touch(room_id, fence, keep_s) for room_id, fence in fences.items()}

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        for room_id in room_ids:
            self._drop(room_id)

    async def beat(self, owner: str) -> bool:
        del owner
        return True

    async def aclose(self) -> None:
        pass

    def _lives(self, owner: str) -> bool:
        lease = self._leases.get(owner)
        if lease is not None and self._clock() >= lease.ends_at_s:
            del self._leases[owner]
            return False
        return lease is not None

    def _holder(self, room_id: RoomId) -> str | None:
        """The run that claimed the room and has not released it."""
        stored = self._find(room_id)
        return None if stored is None or stored.is_released else stored.owner

    def _claim_unless_held(self, room_id: RoomId, owner: str, fence: int) -> Claim:
        stored, held_by = self._find(room_id), self._holder(room_id)
        if held_by is not None and held_by != owner and self._lives(held_by):
            return Held(held_by)
        settled_in_s = self._settled_at_s - self._clock()
        known = 0 if stored is None else stored.fence
        if held_by != owner and settled_in_s > 0 and (fence == 0 or fence < known):
            return Unsettled(settled_in_s)
        if stored is not None:
            stored.owner = None
        claimed = self._claim(room_id, owner)
        stored = self._records[room_id]
        stored.keep_s = self._clock() - stored.written_at_s + RECORD_TTL_S
        return claimed

    def _claim(self, room_id: RoomId, owner: str) -> Claimed:
        self._fence += 1
        stored = self._find(room_id)
        before = 0 if stored is None else stored.fence
        if stored is None:
            self._drop(room_id)
            stored = self._records[room_id] = _Stored(self._fence, owner, written_at_s=self._clock())
        record = _read(stored, self._clock()) if stored.values else None
        if stored.owner != owner:
            stored.fence, stored.owner, stored.number = self._fence, owner, 0
        self._set_released(room_id, stored, is_released=False)
        return Claimed(stored.fence, record, before)

    def _write(self, write: RoomWrite) -> Outcome:
        stored = self._find(write.room_id)
        if stored is not None and stored.fence > write.fence:
            return Outcome.LOST
        if not write.is_whole and (stored is None or stored.fence < write.fence or not stored.has_all_blocks):
            return Outcome.EMPTIED
        if stored is None or stored.fence < write.fence:
            self._drop(write.room_id)
            stored = self._records[write.room_id] = _Stored(write.fence, keep_s=0.0)
        if write.number <= stored.number:
            return Outcome.WRITTEN
        if write.is_whole:
            stored.values, stored.blocks, stored.has_all_blocks = {}, {}, True
        stored.number = write.number
        stored.values.update(write.values)
        last = max(stored.blocks, default=0)
        stored.blocks.update((offset, content) for offset, content in write.blocks if offset > last)
        for offset in list(stored.blocks):
            if offset >= write.forget_before:
                break
            del stored.blocks[offset]
        now_s = self._clock()
        left_s = 0.0 if write.is_release else stored.written_at_s + stored.keep_s - now_s
        stored.written_at_s, stored.keep_s = now_s, max(write.keep_s, left_s)
        self._set_released(write.room_id, stored, is_released=write.is_release)
        return Outcome.WRITTEN

    def _touch(self, room_id: RoomId, fence: int, keep_s: float) -> Outcome:
        stored = self._find(room_id)
        if stored is None or stored.fence < fence:
            return Outcome.EMPTIED
        if stored.fence > fence:
            return Outcome.LOST
        if not stored.is_released:
            stored.keep_s = max(stored.keep_s, self._clock() - stored.written_at_s + keep_s)
        return Outcome.WRITTEN

    def _find(self, room_id: RoomId) -> _Stored | None:
        """The record of this room, without what has had its time."""
        stored = self._records.get(room_id)
        if stored is None:
            return None
        age_s = self._clock() - stored.written_at_s
        if age_s >= self._blocks_ttl_s and stored.blocks:
            stored.blocks, stored.has_all_blocks = {}, False
        return stored if age_s < stored.keep_s else None

    def _set_released(self, room_id: RoomId, stored: _Stored, *, is_released: bool) -> None:
        self._released_bytes -= self._released.pop(room_id, 0)
        stored.is_released = is_released
        if is_released:
            size = self._released[room_id] = stored.size
            self._released_bytes += size

    def _drop_oldest(self) -> None:
        """Keep the bounds, and drop what has had its time."""
        for room_id in list(self._released):
            is_within = self._released_bytes <= self._max_bytes and len(self._released) <= self._max_records
            if is_within and self._find(room_id) is not None:
                break
            self._drop(room_id)

    def _drop(self, room_id: RoomId) -> None:
        self._released_bytes -= self._released.pop(room_id, 0)
        self._records.pop(room_id, None)


def _read(stored: _Stored, now_s: float) -> RoomRecord:
    return RoomRecord(
        dict(stored.values),
        list(stored.blocks.items()),
        stored.has_all_blocks,
        is_clean=stored.is_released,
        age_s=now_s - stored.written_at_s,
    )


_fits: type[RoomMemoryStore] = InProcessRoomMemory
