"""A presence store whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.models import MemberId, PresenceMember, RoomId, UserId
from omnisonic.stores.presence import Lease, LeaseBound, PresenceStore

CALL_S: Final = 1.0
"""The deadline of a call on trio's side; the store's own deadlines are shorter."""

T = TypeVar("T")


class ThreadedPresence:
    """`store`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, store: PresenceStore) -> None:
        self._thread = thread
        self._store = store

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        await self._call(self._store.write_rosters, owner, rosters, ttl_s=ttl_s)

    async def forget_owner(self, owner: str) -> None:
        await self._call(self._store.forget_owner, owner)

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        return await self._call(self._store.beat, owner, ttl_s=ttl_s)

    async def put_lease(
        self,
        room: RoomId,
        member: PresenceMember,
        *,
        ttl_s: float,
        person: UserId | None = None,
        bound: LeaseBound | None = None,
    ) -> bool:
        return await self._call(self._store.put_lease, room, member, ttl_s=ttl_s, person=person, bound=bound)

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        return await self._call(self._store.drop_lease, room, member_id, person=person)

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        await self._call(self._store.end_leases, room, person)

    async def leases(self, room: RoomId) -> list[Lease]:
        return await self._call(self._store.leases, room)

    async def members(self, room: RoomId) -> list[PresenceMember]:
        return await self._call(self._store.members, room)

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        return await self._call(self._store.head_counts, rooms)

    async def ping(self) -> None:
        await self._call(self._store.ping)

    async def aclose(self) -> None:
        await self._call(self._store.aclose)

    async def _call(self, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        return await self._thread.call(method, *args, timeout_s=CALL_S, **kwargs)


_fits: type[PresenceStore] = ThreadedPresence
