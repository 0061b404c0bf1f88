"""A room memory store whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import (
    LEASE_S,
    RECORD_TTL_S,
    Claim,
    Claimed,
    Outcome,
    Renewal,
    RoomMemoryStore,
    RoomWrite,
)

CALL_S: Final = 1.0
"""The deadline of a call on trio's side; the store's own deadlines are shorter."""


class ThreadedRoomMemory:
    """`store`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, store: RoomMemoryStore) -> None:
        self._thread = thread
        self._store = store

    @property
    def outlives_process(self) -> bool:
        return self._store.outlives_process

    async def claim(self, room_ids: Sequence[RoomId], owner: str) -> list[Claimed]:
        return await self._thread.call(self._store.claim, room_ids, owner, timeout_s=CALL_S)

    async def claim_unless_held(
        self, room_ids: Sequence[RoomId], owner: str, *, fences: Mapping[RoomId, int] | None = None
    ) -> list[Claim]:
        call = self._store.claim_unless_held
        return await self._thread.call(call, room_ids, owner, fences=fences, timeout_s=CALL_S)

    async def renew(self, owner: str, info: bytes = b"", *, begins: bool = False, ttl_s: float = LEASE_S) -> Renewal:
        call = self._store.renew
        return await self._thread.call(call, owner, info, begins=begins, ttl_s=ttl_s, timeout_s=CALL_S)

    async def end(self, owner: str) -> None:
        await self._thread.call(self._store.end, owner, timeout_s=CALL_S)

    async def live(self, owners: Sequence[str]) -> list[bool]:
        return await self._thread.call(self._store.live, owners, timeout_s=CALL_S)

    async def holders(self, room_ids: Sequence[RoomId]) -> list[str | None]:
        return await self._thread.call(self._store.holders, room_ids, timeout_s=CALL_S)

    async def gateways(self) -> dict[str, bytes]:
        return await self._thread.call(self._store.gateways, timeout_s=CALL_S)

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        return await self._thread.call(self._store.write, writes, timeout_s=CALL_S)

    async def touch(self, fences: Mapping[RoomId, int], keep_s: float = RECORD_TTL_S) -> dict[RoomId, Outcome]:
        return await self._thread.call(self._store.touch, fences, keep_s, timeout_s=CALL_S)

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        await self._thread.call(self._store.forget, room_ids, timeout_s=CALL_S)

    async def beat(self, owner: str) -> bool:
        return await self._thread.call(self._store.beat, owner, timeout_s=CALL_S)

    async def aclose(self) -> None:
        await self._thread.call(self._store.aclose, timeout_s=CALL_S)


_fits: type[RoomMemoryStore] = ThreadedRoomMemory
