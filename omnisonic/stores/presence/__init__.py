"""The presence store: who is in which room, for the REST roster (SPEC 3, 5.4).

Two kinds of entries, both with a time to live:
- a gateway's **roster** of a room: written whole, by the presence mirror, under the gateway's name (`owner`);
- a **lease**: one member who is present without a socket (`POST /api/presence`).

`members` merges both, one line for each member; where both name the same member, the gateway's line wins. `LeaseBound`
limits the number of leases, so that they fill neither a room nor the store. Where users are known, a lease belongs to
the person who put it, and a roster's line names the person of the member (`RosterLine`): nobody else can change that
lease, or put a lease for that member. Adapters: `omnisonic.stores.presence.memory` (in this process) and
`omnisonic.stores.presence.valkey` (shared). The one in memory never suspends and works under trio and asyncio; the
other is asyncio code, and `omnisonic.stores.presence.threaded` brings it to a trio program.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from omnisonic.errors import OmnisonicError
from omnisonic.models import MemberId, PresenceMember, RoomId, UserId


class TooManyLeases(OmnisonicError):
    """The room has as many leases as allowed, of this holder or in all."""

    code = "too_many_leases"

    def __init__(self) -> None:
        super().__init__("Too many members are kept in that room without a socket. Take one out first.")


class RosterLine(PresenceMember, frozen=True, rename="camel", omit_defaults=True):
    """A member as a gateway writes them. `person` is the user who is this member, if any. It is never read back."""

    person: UserId | None = None

    def plain(self) -> PresenceMember:
        """The member without `person`: what everybody may know."""
        return PresenceMember(
            self.member_id,
            self.display_name,
            self.status,
            self.last_seen,
            connected=self.connected,
            account=self.account,
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A member present without a socket, for `ttl_s` more seconds. `person` owns the lease; None: anybody."""

    member: PresenceMember
    ttl_s: float
    person: UserId | None = None


@dataclass(frozen=True, slots=True)
class LeaseBound:
    """Most leases in a room: `of_holder` put by `holder`, a person or an address, and `of_room` in all."""

    holder: str
    of_holder: int
    of_room: int


class PresenceStore(Protocol):
    """Rosters by room, each entry with a time to live.

    Errors: every method may raise `Unavailable` when the store does not answer. Nothing is retried here: the
    caller decides, and calls are safe to repeat.
    """

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        """Replace the rosters of `owner` in these rooms, for `ttl_s` seconds. An empty roster is removed.

        Lines may be `RosterLine`s.
        """
        ...

    async def forget_owner(self, owner: str) -> None:
        """Remove every roster of `owner`: a gateway that starts cleans up after one that was killed."""
        ...

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        """Record that `owner` lives. False when the store did not know it: it is new, or was emptied."""
        ...

    async def put_lease(
        self,
        room: RoomId,
        member: PresenceMember,
        *,
        ttl_s: float,
        person: UserId | None = None,
        bound: LeaseBound | None = None,
    ) -> bool:
        """Put a lease for `member` for `ttl_s` seconds, replacing an earlier one.

        Returns:
            False, with nothing changed, when that lease or the member's line in a roster is another person's.

        Raises:
            TooManyLeases: It would be one more than `bound` allows.
        """
        ...

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        """Remove the lease. False when there was none, or only another person's."""
        ...

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        """Remove every lease of this person in the room; for None every lease in it."""
        ...

    async def leases(self, room: RoomId) -> list[Lease]:
        """All leases of the room that have not expired, in the order of their member ids."""
        ...

    async def members(self, room: RoomId) -> list[PresenceMember]:
        """Everyone in the room, one line for each member, in the order of their member ids."""
        ...

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        """How many are in each of these rooms, each member once; in their order, in one round trip."""
        ...

    async def ping(self) -> None:
        """One round trip. Errors: `Unavailable`."""
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...


def merge_members(
    rosters: Iterable[Iterable[PresenceMember]], leases: Iterable[PresenceMember]
) -> list[PresenceMember]:
    """Merge rosters and leases into one line for each member, in the order of their ids.

    A roster's line wins over a lease; of two rosters' lines, the one seen last.
    """
    seen: dict[MemberId, PresenceMember] = {}
    for roster in rosters:
        for member in roster:
            earlier = seen.get(member.member_id)
            if earlier is None or earlier.last_seen < member.last_seen:
                seen[member.member_id] = member
    for member in leases:
        seen.setdefault(member.member_id, member)
    return sorted(seen.values(), key=attrgetter("member_id"))
