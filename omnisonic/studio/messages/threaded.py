"""Kept messages whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Sequence
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.database.pool import Deadlines
from omnisonic.studio.messages import KeptMessages, MessageToKeep, Outcome

DEADLINES: Final = Deadlines.within(10)
"""Of the database: nobody's request waits for it, and a large batch may take its time."""
CALL_S: Final = 12.0
"""The deadline of a call on trio's side: longer than `DEADLINES`."""


class ThreadedMessages:
    """`store`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, store: KeptMessages) -> None:
        self._thread = thread
        self._store = store

    async def keep(self, messages: Sequence[MessageToKeep]) -> list[Outcome]:
        return await self._thread.call(self._store.keep, messages, timeout_s=CALL_S)

    async def aclose(self) -> None:
        await self._thread.call(self._store.aclose, timeout_s=CALL_S)


_fits: type[KeptMessages] = ThreadedMessages
