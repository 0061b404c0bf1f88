"""The presence store in this process, for a gateway alone, for embedding and for tests.

No method ever suspends, so it works under trio, asyncio or neither; one thread at a time may use it. Expired entries
are never returned, and a later write removes them. Overload: it is as large as the rosters written into it. Crash and
shutdown: all is forgotten, together with the members, who were in the same process.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from omnisonic.models import MemberId, PresenceMember, RoomId, UserId
from omnisonic.stores.presence import Lease, LeaseBound, PresenceStore, RosterLine, TooManyLeases, merge_members

SWEEP_EVERY_S: Final = 60.0
"""How long an expired entry may stay in memory while others are written."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Timed(Generic[T]):
    """A value and when it ends, on the store's clock."""

    value: T
    ends_at_s: float


@dataclass(frozen=True, slots=True)
class _StoredLease:
    """A lease, the person it belongs to, and who put it."""

    member: PresenceMember
    person: UserId | None
    holder: str | None


class MemoryPresence:
    """A `PresenceStore` of dictionaries. `clock` returns monotonic seconds. Never raises `Unavailable`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rosters: dict[RoomId, dict[str, _Timed[tuple[PresenceMember, ...]]]] = {}
        self._leases: dict[RoomId, dict[MemberId, _Timed[_StoredLease]]] = {}
        self._beats: dict[str, _Timed[None]] = {}
        self._swept_at_s = clock()

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        self._sweep()
        ends_at_s = self._clock() + ttl_s
        for room, members in rosters.items():
            if members:
                self._rosters.setdefault(room, {})[owner] = _Timed(tuple(members), ends_at_s)
            else:
                _discard(self._rosters, room, owner)

    async def forget_owner(self, owner: str) -> None:
        for room in list(self._rosters):
            _discard(self._rosters, room, owner)
        self._beats.pop(owner, None)

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        self._sweep()
        earlier = self._beats.get(owner)
        self._beats[owner] = _Timed(None, self._clock() + ttl_s)
        return earlier is not None and earlier.ends_at_s > self._clock()

    async def put_lease(
        self,
        room: RoomId,
        member: PresenceMember,
        *,
        ttl_s: float,
        person: UserId | None = None,
        bound: LeaseBound | None = None,
    ) -> bool:
        self._sweep()
        if self._is_anothers(room, member.member_id, person) or self._is_others_seat(room, member.member_id, person):
            return False
        if bound is not None:
            self._check_bound(room, member.member_id, bound)
        lease = _StoredLease(member, person, None if bound is None else bound.holder)
        self._leases.setdefault(room, {})[member.member_id] = _Timed(lease, self._clock() + ttl_s)
        return True

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        if self._is_anothers(room, member_id, person):
            return False
        dropped = _discard(self._leases, room, member_id)
        return dropped is not None and dropped.ends_at_s > self._clock()

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        for member_id, lease in list(self._leases.get(room, {}).items()):
            if person is None or lease.value.person == person:
                _discard(self._leases, room, member_id)

    async def leases(self, room: RoomId) -> list[Lease]:
        now_s = self._clock()
        live = _live(self._leases.get(room, {}), now_s)
        return [
            Lease(lease.value.member, lease.ends_at_s - now_s, lease.value.person) for _, lease in sorted(live.items())
        ]

    async def members(self, room: RoomId) -> list[PresenceMember]:
        now_s = self._clock()
        rosters = _live(self._rosters.get(room, {}), now_s)
        leases = _live(self._leases.get(room, {}), now_s)
        lines = (map(_plain, roster.value) for roster in rosters.values())
        return merge_members(lines, (lease.value.member for lease in leases.values()))

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        return [len(await self.members(room)) for room in rooms]

    async def ping(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def _check_bound(self, room: RoomId, member_id: MemberId, bound: LeaseBound) -> None:
        """Errors: `TooManyLeases`, when the others in the room leave no room for a lease of this member."""
        live = _live(self._leases.get(room, {}), self._clock())
        holders = [lease.value.holder for name, lease in live.items() if name != member_id]
        if len(holders) >= bound.of_room or holders.count(bound.holder) >= bound.of_holder:
            raise TooManyLeases

    def _is_anothers(self, room: RoomId, member_id: MemberId, person: UserId | None) -> bool:
        lease = self._leases.get(room, {}).get(member_id)
        return lease is not None and lease.ends_at_s > self._clock() and lease.value.person not in (None, person)

    def _is_others_seat(self, room: RoomId, member_id: MemberId, person: UserId | None) -> bool:
        """Whether the member is connected as another person."""
        rosters = _live(self._rosters.get(room, {}), self._clock())
        return any(
            isinstance(line, RosterLine) and line.member_id == member_id and line.person not in (None, person)
            for roster in rosters.values()
            for line in roster.value
        )

    def _sweep(self) -> None:
        now_s = self._clock()
        if now_s - self._swept_at_s < SWEEP_EVERY_S:
            return
        self._swept_at_s = now_s
        self._rosters = {room: live for room, rosters in self._rosters.items() if (live := _live(rosters, now_s))}
        self._leases = {room: held for room, leases in self._leases.items() if (held := _live(leases, now_s))}
        self._beats = _live(self._beats, now_s)


def _plain(line: PresenceMember) -> PresenceMember:
    return line.plain() if isinstance(line, RosterLine) else line


def _live(entries: Mapping[str, _Timed[T]], now_s: float) -> dict[str, _Timed[T]]:
    return {name: entry for name, entry in entries.items() if entry.ends_at_s > now_s}


def _discard(rooms: dict[RoomId, dict[str, _Timed[T]]], room: RoomId, name: str) -> _Timed[T] | None:
    """Remove `name` from `room`, and the room when that was the last entry."""
    entries = rooms.get(room, {})
    entry = entries.pop(name, None)
    if room in rooms and not entries:
        del rooms[room]
    return entry


_fits: type[PresenceStore] = MemoryPresence
