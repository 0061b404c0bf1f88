"""Access: what somebody is to a room, and whether a sign-in still opens one (SPEC 5.1). What the database is asked.

A session's room is its members' alone, whoever may enter others. Adapters: `omnisonic.studio.access.postgres`
(asyncio), and `omnisonic.studio.access.threaded`, which brings it to trio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from omnisonic.errors import InvalidInput
from omnisonic.models import LoginId, MemberId, Person, RoomId, uuid_meant


class Pass(NamedTuple):
    """By which sign-in somebody is in a room. `room` is None where no role is needed: then the sign-in is all."""

    login: LoginId
    room: RoomId | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody is to a room, when it is asked.

    `is_sessions`: the room is a session's, whatever form of its id it is called by. `person` is whose sign-in it is,
    None when there is none or it has ended. `has_role`: they have one in that session, and this is the form of its id
    that its room is called by. `is_own`, `is_reserved`: the member id is their own user's, or that of another user.
    """

    is_sessions: bool
    person: Person | None
    has_role: bool
    is_reserved: bool
    is_own: bool = False

    @property
    def is_anybodys(self) -> bool:
        """Whether, where rooms are open, they are here as nobody known: in a room that is no session's, and not by
        their own user's id, by which nobody else may be anywhere.
        """
        return not self.is_sessions and not self.is_own


def own_or_given(member_id: MemberId, person: Person) -> MemberId:
    """The member id of `person`, who gives this one: their own user's id as it is written here, others as they are."""
    return person.id if uuid_meant(member_id) == person.id else member_id


class MemberReserved(InvalidInput):
    """Somebody wants to be in a room by the id of another user. Ids of users are theirs."""

    def __init__(self) -> None:
        super().__init__(
            "That memberId is another user's id: use your own, or one that is nobody's.", code="member_reserved"
        )


class AccessStore(Protocol):
    """Errors: every method may raise `Unavailable`."""

    async def standing(
        self, room: RoomId, *, login: LoginId | None = None, member_id: MemberId | None = None
    ) -> Standing:
        """What whoever is signed in by `login` is to the room, and whether they may be there by `member_id`."""
        ...

    async def lapsed(self, passes: Sequence[Pass]) -> list[Pass]:
        """Those of `passes` that open their room no more. The sign-ins of the others count as used just now."""
        ...

    async def ping(self) -> None:
        """One round trip."""
        ...

    async def aclose(self) -> None:
        """Let go of the connections. Safe to call twice."""
        ...
