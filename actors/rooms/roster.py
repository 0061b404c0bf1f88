"""The roster: who is in one room, and by which connection. Pure state, owned by the room (SPEC 5.1, 5.2).

A seat belongs to a member. What holds it is a connection, a lease (presence reported over REST), or, when the
connection broke, a wait for the member to come back; the member has left when nothing holds it any more. Where users
are known, a seat belongs to the user who took it, and nobody else gets it while it is held; the seat of an unknown user
is free to anyone. Nothing here knows trio, a clock or a socket: a connection is any hashable `ConnectionHandle`, and
times are seconds on the caller's clock.
"""

from collections import deque
from collections.abc import Iterable, Iterator, KeysView
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from omnisonic.actors.rooms.seat import ConnectionHandle, Entry, Seat, Wait
from omnisonic.models import Member, MemberId, UserId

EXPIRED: Final = "expired"
REMOVED: Final = "removed"
NOTICE_S: Final = 0.5
"""The others are told that a connection broke when it has not come back within this time."""
WAITS: Final = 1_024
"""Members of one room who are waited for; for one more, the wait for the first of them ends."""
TAKEOVERS: Final = 10
"""How often a new connection gets the seat of one that is connected, within `TAKEOVERS_WITHIN_S`."""
TAKEOVERS_WITHIN_S: Final = 120.0
TAKEOVERS_APART_S: Final = 0.5
"""Takeovers closer together than this count as one: one client that connects several times at once is allowed."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A member has joined."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Replaced:
    """A member is here by another connection: no leave, no second join."""

    seat: Seat
    old: ConnectionHandle | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Updated:
    """A member is shown differently from now on."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Left:
    """A member has left. `reason` is a word of the close table, `expired` or `removed`; `member` as last shown."""

    member_id: MemberId
    reason: str
    member: Member | None = field(default=None, compare=False)


class Roster:
    """Who is in one room. Every method is all or nothing and says what changed; `None` when nothing did."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._seats: dict[MemberId, Seat] = {}
        self._by_connection: dict[ConnectionHandle, Seat] = {}
        self._waits: dict[MemberId, Seat] = {}
        """The seats with a wait, the one that began first in front."""
        for entry in entries:
            self._add(Seat(entry))

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._seats.values())

    def __contains__(self, member_id: object) -> bool:
        return member_id in self._seats

    @property
    def connections(self) -> KeysView[ConnectionHandle]:
        """Every connection in the room, in the order they came."""
        return self._by_connection.keys()

    @property
    def is_reachable(self) -> bool:
        """Whether anybody here is connected, or waited for."""
        return bool(self._by_connection or self._waits)

    @property
    def is_waiting(self) -> bool:
        """Whether anybody is waited for."""
        return bool(self._waits)

    def seat_of(self, connection: ConnectionHandle) -> Seat | None:
        """The seat that `connection` holds."""
        return self._by_connection.get(connection)

    def seat_named(self, member_id: MemberId) -> Seat | None:
        """The seat of this member."""
        return self._seats.get(member_id)

    def belongs_to_other(self, member_id: MemberId, person: UserId | None) -> bool:
        """Whether this member's seat belongs to another user than `person`."""
        seat = self._seats.get(member_id)
        return seat is not None and seat.person is not None and seat.person != person

    def entries(self) -> tuple[Entry, ...]:
        """Everything that must survive a crash."""
        return tuple(seat.entry() for seat in self._seats.values())

    def join(self, member: Member, connection: ConnectionHandle, person: UserId | None = None) -> Joined | Replaced:
        """Seat `member`. A second connection of the same member takes the seat over.

        The seat must not belong to another user (`belongs_to_other`).
        """
        seat = self._seats.get(member.member_id)
        if seat is None:
            return Joined(self._add(Seat(Entry(member, connection, None, person))))
        old, changed = seat.connection, seat.member != member
        if old is not None:
            del self._by_connection[old]
        self._end_wait(seat)
        seat.connection, seat.person = connection, person
        self._by_connection[connection] = seat
        if changed:
            seat.put(member)
        return Replaced(seat, old, changed)

    def record_takeover(self, member_id: MemberId, now_s: float) -> bool:
        """Record that another connection wants this member's seat. True when that happened too often lately.

        Never true when nobody is connected by that id. Refused attempts count, too: a client that keeps trying does not
        get in, and the connection that holds the seat keeps it.
        """
        seat = self._seats.get(member_id)
        if seat is None or seat.connection is None:
            return False
        if seat.takeovers is None:
            seat.takeovers = deque(maxlen=TAKEOVERS)
        tries = seat.takeovers
        is_contested = len(tries) == TAKEOVERS and now_s - tries[0] < TAKEOVERS_WITHIN_S
        if not tries or now_s - tries[-1] >= TAKEOVERS_APART_S:
            tries.append(now_s)
        return is_contested

    def leave(self, connection: ConnectionHandle, reason: str, now_s: float) -> Left | None:
        """The connection has ended. None when it held no seat any more, or a lease still holds it."""
        seat = self._free(connection, now_s)
        return None if seat is None else self._remove(seat, reason)

    def wait(self, connection: ConnectionHandle, reason: str, now_s: float, grace_s: float) -> Left | None:
        """The connection broke: its member is waited for, `grace_s` long.

        Returns:
            The member who has left for it, when too many are waited for.
        """
        seat = self._free(connection, now_s)
        if seat is None:
            return None
        seat.wait = Wait(now_s + grace_s, reason, now_s + min(NOTICE_S, grace_s))
        self._waits[seat.member.member_id] = seat
        return self.drop_oldest_wait() if len(self._waits) > WAITS else None

    def drop_oldest_wait(self) -> Left | None:
        """Stop waiting for the member whose connection broke first. None when nobody is waited for."""
        for seat in self._waits.values():
            assert seat.wait is not None
            return self._remove(seat, seat.wait.reason)
        return None

    def remove(self, member_id: MemberId, reason: str) -> Left | None:
        """Remove a member who is not connected. None when there is no such member."""
        seat = self._seats.get(member_id)
        return None if seat is None or seat.connection is not None else self._remove(seat, reason)

    def show_broken(self, now_s: float) -> list[Updated]:
        """Show members as not connected whose connection broke a moment ago."""
        updates: list[Updated] = []
        for seat in self._waits.values():
            wait = seat.wait
            if wait is not None and wait.notice_at_s is not None and wait.notice_at_s <= now_s:
                seat.wait = Wait(wait.until_s, wait.reason, None)
                seat.put(replace(seat.member, connected=False))
                updates.append(Updated(seat))
        return updates

    def _free(self, connection: ConnectionHandle, now_s: float) -> Seat | None:
        """Take the connection from its seat. Returns the seat when nothing holds it any more."""
        seat = self._by_connection.pop(connection, None)
        if seat is None:
            return None
        seat.connection = None
        return None if seat.lease_until_s is not None and seat.lease_until_s > now_s else seat

    def _end_wait(self, seat: Seat) -> None:
        seat.wait = None
        self._waits.pop(seat.member.member_id, None)

    def update(self, member: Member) -> Updated | None:
        """Show the member of this id differently."""
        seat = self._seats.get(member.member_id)
        if seat is None or seat.member == member:
            return None
        seat.put(member)
        return Updated(seat)

    def put_lease(self, member: Member, until_s: float, person: UserId | None = None) -> Joined | Updated | None:
        """Hold a seat for `member` until `until_s`, connected or not. The seat of another user does not change."""
        seat = self._seats.get(member.member_id)
        if seat is None:
            return Joined(self._add(Seat(Entry(member, None, until_s, person))))
        if self.belongs_to_other(member.member_id, person):
            return None
        seat.lease_until_s = until_s
        if seat.connection is None:
            seat.person = person
        self._end_wait(seat)
        return self.update(member)

    def drop_lease(self, member_id: MemberId, reason: str = REMOVED) -> Left | None:
        """End the lease. The member stays while a connection holds the seat."""
        seat = self._seats.get(member_id)
        if seat is None or seat.lease_until_s is None:
            return None
        seat.lease_until_s = None
        return None if seat.is_reachable else self._remove(seat, reason)

    def expire(self, now_s: float) -> list[Left]:
        """End every lease that ran out by `now_s`, and every wait that is over."""
        over = [seat for seat in self._seats.values() if seat.lease_until_s is not None and seat.lease_until_s <= now_s]
        left = [each for seat in over if (each := self.drop_lease(seat.member.member_id, EXPIRED))]
        waits = [(seat, seat.wait) for seat in self._waits.values() if seat.wait and seat.wait.until_s <= now_s]
        return left + [self._remove(seat, wait.reason) for seat, wait in waits]

    def next_expiry_s(self) -> float | None:
        """When the next lease runs out or the next wait is over, or the others are to be told of one."""
        times = [seat.lease_until_s for seat in self if seat.lease_until_s is not None]
        waits = [seat.wait for seat in self._waits.values() if seat.wait is not None]
        times += [wait.until_s if wait.notice_at_s is None else wait.notice_at_s for wait in waits]
        return min(times, default=None)

    def _add(self, seat: Seat) -> Seat:
        self._seats[seat.member.member_id] = seat
        if seat.connection is not None:
            self._by_connection[seat.connection] = seat
        if seat.wait is not None:
            self._waits[seat.member.member_id] = seat
        return seat

    def _remove(self, seat: Seat, reason: str) -> Left:
        del self._seats[seat.member.member_id]
        self._end_wait(seat)
        return Left(seat.member.member_id, reason, seat.member)
