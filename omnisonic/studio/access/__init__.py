"""Access: who may enter a room, and whether a sign-in still gives the right to be there (SPEC 5.1).

Only its members may enter a session's room, whatever holds for other rooms. Adapters:
`omnisonic.studio.access.postgres` (asyncio), and `omnisonic.studio.access.threaded`, which brings it to trio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from omnisonic.errors import InvalidInput
from omnisonic.models import LoginId, MemberId, Person, Role, RoomId
from omnisonic.models.checks import uuid_meant
from omnisonic.wire.transport import Tempo


class Pass(NamedTuple):
    """The right to be in a room: a sign-in, and the room, or None where the sign-in needs no role.

    `is_listener`: as a listener, who changes nothing there.
    """

    login: LoginId
    room: RoomId | None
    is_listener: bool = False


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What has become of some passes.

    Attributes:
        lapsed: Those that are not valid any more.
        changed: Those that are, but for `is_listener`, which is the other way round now.
    """

    lapsed: Sequence[Pass] = ()
    changed: Sequence[Pass] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """The rights of a user in a room at one moment.

    Attributes:
        is_sessions: The room is a session's, in whatever form its id is written.
        person: Whose sign-in it is; None without one, or when it has ended.
        role: Theirs in that session, if the room is written in the usual form of its id; otherwise None.
        is_reserved: The wanted member id is another user's id.
        is_own: The wanted member id is their own user's id.
        tempo: The session's.
    """

    is_sessions: bool
    person: Person | None
    role: Role | None
    is_reserved: bool
    is_own: bool = False
    tempo: Tempo | None = field(default=None, compare=False)

    @property
    def has_role(self) -> bool:
        """Whether they have a role in the session."""
        return self.role is not None

    @property
    def is_anybodys(self) -> bool:
        """Whether the sign-in does not matter where rooms are open: the room is not a session's, and the member id is
        not their own user's id, which nobody else may use.
        """
        return not self.is_sessions and not self.is_own


def own_or_given(member_id: MemberId, person: Person) -> MemberId:
    """`member_id` as `person` uses it: their own user's id is brought into its usual form, others stay as they are."""
    return person.id if uuid_meant(member_id) == person.id else member_id


class MemberReserved(InvalidInput):
    """The wanted member id is another user's id."""

    def __init__(self) -> None:
        super().__init__(
            "That memberId is another user's id: use your own, or one that is nobody's.", code="member_reserved"
        )


class AccessStore(Protocol):
    """Answers who may be in a room.

    Raises:
        Unavailable: Every method, when the store does not answer.
    """

    async def standing(
        self, room: RoomId, *, login: LoginId | None = None, member_id: MemberId | None = None
    ) -> Standing:
        """The rights of the user of `login` in the room, and whether they may use `member_id`."""
        ...

    async def recheck(self, passes: Sequence[Pass]) -> Rechecked:
        """Whether `passes` are still valid, as they are. Sign-ins of those that have not lapsed count as used now."""
        ...

    async def ping(self) -> None:
        """One round trip."""
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...
