"""Room events whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Sequence
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.studio.webhooks import RoomEvent, RoomEvents, Topic

CALL_S: Final = 12.0
"""The deadline of a call on trio's side: longer than that of the database, which nobody waits for."""


class ThreadedRoomEvents:
    """`store`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, store: RoomEvents) -> None:
        self._thread = thread
        self._store = store

    async def topics(self) -> frozenset[Topic]:
        return await self._thread.call(self._store.topics, timeout_s=CALL_S)

    async def queue(self, events: Sequence[RoomEvent]) -> int:
        return await self._thread.call(self._store.queue, events, timeout_s=CALL_S)

    async def aclose(self) -> None:
        await self._thread.call(self._store.aclose, timeout_s=CALL_S)


_fits: type[RoomEvents] = ThreadedRoomEvents
