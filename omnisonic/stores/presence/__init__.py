"""The presence store: who is in which room, as the REST roster tells it (SPEC 3, 5.4).

Two kinds of entries, both with a time to live:
- a gateway's **roster** of a room: written whole, by the mirror, under the gateway's name (`owner`);
- a **lease**: one member that something without a socket said is there (`POST /api/presence`).

`members` is both together, one line a member; where both name the same member, the gateway's line wins. A lease may be
bounded (`LeaseBound`), so that leases can neither fill a room nor the store. Where people are known, a lease belongs to
the person who put it, and a roster's line says whose seat it is (`RosterLine`): nobody else may change the one, or put
a lease beside the other. Adapters: `omnisonic.stores.presence.memory` (in this process) and
`omnisonic.stores.presence.valkey` (anything that speaks Redis 7). The adapters are asyncio code where they do I/O; the
one in memory never suspends and so works anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from omnisonic.errors import OmnisonicError
from omnisonic.models import MemberId, PresenceMember, RoomId, UserId


class TooManyLeases(OmnisonicError):
    """As many leases as may be are held in the room, by this holder or by all."""

    code = "too_many_leases"

    def __init__(self) -> None:
        super().__init__("Too many members are kept in that room without a socket. Take one out first.")


class RosterLine(PresenceMember, frozen=True, rename="camel", omit_defaults=True):
    """A member as a gateway writes them. `person` is whose seat it is (None: anybody's), and is never read back."""

    person: UserId | None = None

    def plain(self) -> PresenceMember:
        """What everybody may know."""
        return PresenceMember(self.member_id, self.display_name, self.status, self.last_seen, account=self.account)


@dataclass(frozen=True, slots=True)
class Lease:
    """A member present without a socket, for `ttl_s` more seconds. `person` is whose lease it is; None: anybody's."""

    member: PresenceMember
    ttl_s: float
    person: UserId | None = None


@dataclass(frozen=True, slots=True)
class LeaseBound:
    """How many leases may be in a room: `of_holder` that `holder` has put, a person or an address; `of_room` in all."""

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
        """Replace all that `owner` says of each of these rooms, for `ttl_s` seconds. An empty roster removes it.

        Lines may be `RosterLine`s.
        """
        ...

    async def forget_owner(self, owner: str) -> None:
        """Remove every roster that `owner` wrote: a gateway that starts cleans up after the one that was killed."""
        ...

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        """Say that `owner` lives. False when the store did not remember it: it is new, or was emptied."""
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
        """Say that `member` is there for `ttl_s` seconds, replacing their earlier lease if they had one.

        False, and nothing is changed, when that earlier lease is another person's, or the member's seat in a roster.
        Errors: `TooManyLeases` when it would be one more than `bound` allows.
        """
        ...

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        """Take the lease back. False when there was none, or only another person's."""
        ...

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        """Take back every lease of this person in the room; for None every lease in it."""
        ...

    async def leases(self, room: RoomId) -> list[Lease]:
        """All leases of the room that have not expired, in the order of their member ids."""
        ...

    async def members(self, room: RoomId) -> list[PresenceMember]:
        """Everyone in the room, one line a member, in the order of their member ids."""
        ...

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        """How many are in each of these rooms, each member once; in their order, in one round trip."""
        ...

    async def ping(self) -> None:
        """One round trip. Errors: `Unavailable`."""
        ...

    async def aclose(self) -> None:
        """Let go of the connections. Safe to call twice."""
        ...
