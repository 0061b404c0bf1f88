"""An access store whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Sequence
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.models import LoginId, MemberId, RoomId
from omnisonic.studio.access import AccessStore, Pass, Rechecked, Standing

CALL_S: Final = 2.0
"""The deadline of a call on trio's side: a user waits to enter a room."""


class ThreadedAccess:
    """`store`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, store: AccessStore) -> None:
        self._thread = thread
        self._store = store

    async def standing(
        self, room: RoomId, *, login: LoginId | None = None, member_id: MemberId | None = None
    ) -> Standing:
        return await self._thread.call(self._store.standing, room, login=login, member_id=member_id, timeout_s=CALL_S)

    async def recheck(self, passes: Sequence[Pass]) -> Rechecked:
        return await self._thread.call(self._store.recheck, passes, timeout_s=CALL_S)

    async def ping(self) -> None:
        await self._thread.call(self._store.ping, timeout_s=CALL_S)

    async def aclose(self) -> None:
        await self._thread.call(self._store.aclose, timeout_s=CALL_S)


_fits: type[AccessStore] = ThreadedAccess
