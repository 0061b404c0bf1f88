"""The roster: who is in one room, and by which connection. Pure state, owned by the room (SPEC 5.1, 5.2).

A seat belongs to a member. A connection holds it, or a lease (presence reported over REST), or both; the member has
left when neither holds it any more. Where users are known, a seat belongs to the user who took it, and nobody else gets
it while it is held; the seat of an unknown user is free to anyone. Nothing here knows trio, a clock or a socket: a
connection is any hashable `ConnectionHandle`, and times are seconds on the caller's clock.
"""

from collections import deque
from collections.abc import Iterable, Iterator, KeysView
from dataclasses import dataclass, field
from typing import Final, Protocol

from omnisonic.models import Member, MemberId, UserId
from omnisonic.wire.closing import Closing
from omnisonic.wire.messages import binary_head, directed_suffix, member_line, relay_suffix

EXPIRED: Final = "expired"
REMOVED: Final = "removed"


class ConnectionHandle(Protocol):
    """A connection as its room sees it. Nothing here waits or raises. Compared by identity."""

    @property
    def is_open(self) -> bool:
        """Whether what is pushed may still arrive."""
        ...

    def push(self, data: bytes) -> None:
        """Send whole frames, now or as soon as the kernel takes them. Dropped when it is not open."""
        ...

    def close(self, closing: Closing) -> None:
        """Send a close frame after what was pushed, and nothing after it. Only the first close counts."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A seat, as it survives a crash of its room."""

    member: Member
    connection: ConnectionHandle | None
    lease_until_s: float | None
    person: UserId | None = None


TAKEOVERS: Final = 10
"""How often a new connection gets the seat of one that is connected, within `TAKEOVERS_WITHIN_S`."""
TAKEOVERS_WITHIN_S: Final = 120.0
TAKEOVERS_APART_S: Final = 0.5
"""Takeovers closer together than this count as one: one client that connects several times at once is allowed."""


class Seat:
    """A member, what holds the seat, and the parts of messages that name the member, made once."""

    __slots__ = (
        "binary_head",
        "connection",
        "directed_suffix",
        "lease_until_s",
        "line",
        "member",
        "person",
        "relay_suffix",
        "takeovers",
    )

    def __init__(self, entry: Entry) -> None:
        self.connection = entry.connection
        self.lease_until_s = entry.lease_until_s
        self.person = entry.person
        self.takeovers: deque[float] | None = None
        """When other connections took over this seat while it was connected, the latest; None when none did."""
        self.relay_suffix = relay_suffix(entry.member.member_id)
        self.directed_suffix = directed_suffix(entry.member.member_id)
        self.binary_head = binary_head(entry.member.member_id)
        self.put(entry.member)

    def put(self, member: Member) -> None:
        """Show the member like this from now on."""
        self.member = member
        self.line = member_line(member)

    def entry(self) -> Entry:
        return Entry(self.member, self.connection, self.lease_until_s, self.person)


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
        seat = self._by_connection.pop(connection, None)
        if seat is None:
            return None
        seat.connection = None
        if seat.lease_until_s is not None and seat.lease_until_s > now_s:
            return None
        return self._remove(seat, reason)

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
        return self.update(member)

    def drop_lease(self, member_id: MemberId, reason: str = REMOVED) -> Left | None:
        """End the lease. The member stays while a connection holds the seat."""
        seat = self._seats.get(member_id)
        if seat is None or seat.lease_until_s is None:
            return None
        seat.lease_until_s = None
        return self._remove(seat, reason) if seat.connection is None else None

    def expire(self, now_s: float) -> list[Left]:
        """End every lease that ran out by `now_s`."""
        over = [seat for seat in self._seats.values() if seat.lease_until_s is not None and seat.lease_until_s <= now_s]
        return [left for seat in over if (left := self.drop_lease(seat.member.member_id, EXPIRED))]

    def next_expiry_s(self) -> float | None:
        """When the next lease runs out."""
        return min((seat.lease_until_s for seat in self if seat.lease_until_s is not None), default=None)

    def _add(self, seat: Seat) -> Seat:
        self._seats[seat.member.member_id] = seat
        if seat.connection is not None:
            self._by_connection[seat.connection] = seat
        return seat

    def _remove(self, seat: Seat, reason: str) -> Left:
        del self._seats[seat.member.member_id]
        return Left(seat.member.member_id, reason, seat.member)
