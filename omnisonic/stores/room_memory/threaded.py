"""A room memory store whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Sequence
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import Claimed, Outcome, RoomMemoryStore, RoomWrite

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

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        return await self._thread.call(self._store.write, writes, timeout_s=CALL_S)

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        await self._thread.call(self._store.forget, room_ids, timeout_s=CALL_S)

    async def beat(self, owner: str) -> bool:
        return await self._thread.call(self._store.beat, owner, timeout_s=CALL_S)

    async def aclose(self) -> None:
        await self._thread.call(self._store.aclose, timeout_s=CALL_S)


_fits: type[RoomMemoryStore] = ThreadedRoomMemory
