"""Music sessions: who owns them, who shares them (SPEC 3). Adapters: `omnisonic.studio.sessions.memory`, `.postgres`.

Every call takes the caller's sign-in and checks it in the same step as what it does, so that no change comes between.
Owners may do everything. Collaborators see the session and may leave it; what else they may do is their role's, editor
or listener. For all others it does not exist. There is one owner, who may pass the session on to a collaborator.
"""

from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import (
    Collaborator,
    GivenRole,
    Invite,
    InviteId,
    ListedSession,
    LoginId,
    Person,
    Session,
    SessionId,
    UserId,
)

INVITE_S: Final = 7 * 24 * 60 * 60
"""How long an invite is valid: a week. Any number of users may accept it."""
MOST_INVITES: Final = 50
"""Most valid invites to one session."""
LONGEST_PAGE: Final = 100
"""Most sessions in one listing, however many are asked for."""
MOST_UNREAD: Final = 99
"""At most so many unread things are counted."""
LONGEST_SEARCH: Final = 120
"""Most characters to search for."""
DEFAULT_TEMPO_BPM: Final = 120.0
DEFAULT_BEATS_PER_BAR: Final = 4

Order: TypeAlias = Literal["created", "activity"]
"""Of a list of sessions: by when they were created, or by when something happened last."""
People: TypeAlias = list[Collaborator]
"""An alias, because `list` is a method below."""
Invites: TypeAlias = list[Invite]


class NotSignedIn(OmnisonicError):
    """There is no such sign-in, or it has ended."""

    code = "sign_in_required"

    def __init__(self) -> None:
        super().__init__("Sign in first.")


class NoSuchSession(OmnisonicError):
    """There is no such session for this user."""

    code = "session_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such session, or it is not shared with you.")


class NoSuchInvite(OmnisonicError):
    """The invite was never created, has expired, or was withdrawn."""

    code = "invite_not_found"

    def __init__(self) -> None:
        super().__init__("This invite has run out. Ask for a new link.")


class TooManyInvites(OmnisonicError):
    """The session has as many valid invites as allowed."""

    code = "too_many_invites"

    def __init__(self) -> None:
        super().__init__(f"A session has at most {MOST_INVITES} invites at a time. Withdraw some first.")


class NoSuchCollaborator(OmnisonicError):
    """That user is no collaborator of this session."""

    code = "collaborator_not_found"

    def __init__(self) -> None:
        super().__init__("They are not a collaborator of this session.")


class OwnerOnly(OmnisonicError):
    """A collaborator asked for what only the owner may do."""

    code = "owner_only"

    def __init__(self) -> None:
        super().__init__("Only the session's owner can do that.")


class ListenersChangeNothing(OmnisonicError):
    """A listener wants to change something in the session."""

    code = "listeners_change_nothing"

    def __init__(self) -> None:
        super().__init__("You are a listener here, and listeners change nothing. The owner can make you an editor.")


class Cursor(msgspec.Struct, frozen=True):
    """A position in a list, newest first: just after the item created at that time with that id.

    With an id that is no UUID it is just after all items created at that time.
    """

    created_at: datetime
    id: SessionId


class Found(msgspec.Struct, frozen=True):
    """One session, and the user who asked for it."""

    user: UserId
    session: Session


class Listing(msgspec.Struct, frozen=True):
    """Some sessions of one user, newest first. `next_before` is where the next page begins, None on the last page."""

    user: UserId
    sessions: list[ListedSession]
    next_before: Cursor | None


class Seen(msgspec.Struct, frozen=True):
    """Until when a user has seen a session now, and until when it was before."""

    now: datetime
    before: datetime


def place_in_list(session: ListedSession, order: Order) -> Cursor:
    """The position just after this session in a list of that order."""
    return Cursor(session.created_at if order == "created" else session.last_activity_at, session.id)


class Offer(msgspec.Struct, frozen=True):
    """What everybody who has the link of an invite may see. The owner's e-mail address is not in it."""

    session_name: str
    owner: Person
    role: GivenRole
    invite_ends_at: datetime


class Change(msgspec.Struct, frozen=True):
    """Changes to a session. None leaves a value unchanged."""

    name: str | None = None
    tempo_bpm: float | None = None
    beats_per_bar: int | None = None


class SessionStore(Protocol):
    """Sessions, their collaborators and invites. An id that is no UUID is treated as an unknown id.

    `participants` of the returned sessions is None: the presence store has the rosters. Only the owner sees the owner's
    e-mail address.

    Raises:
        Unavailable: Every method, when the store does not answer.
        NotSignedIn: Every method that takes a sign-in, when it has ended.
        NoSuchSession: Every method that takes a session, when the user has no role in it.
    """

    async def list(
        self,
        login: LoginId,
        *,
        limit: int,
        before: Cursor | None = None,
        order: Order = "created",
        search: str | None = None,
    ) -> Listing:
        """List the user's own sessions and those shared with them.

        Args:
            login: The user's sign-in.
            limit: Most sessions to list.
            before: The `next_before` of a page in the same order.
            order: The newest first, or those first where something happened last.
            search: Only those whose names have this in them, in upper or lower case. None: all.
        """
        ...

    async def see(self, login: LoginId, session: SessionId) -> Seen:
        """Note that the user has seen all that has happened in the session until now. It never goes back."""
        ...

    async def get(self, login: LoginId, session: SessionId) -> Session:
        """Read one session."""
        ...

    async def find(self, login: LoginId, session: SessionId) -> Found:
        """As `get`, with the user who asks."""
        ...

    async def create(self, login: LoginId, name: str) -> Session:
        """Create a session owned by the user."""
        ...

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        """Change it. Errors: `OwnerOnly`."""
        ...

    async def delete(self, login: LoginId, session: SessionId) -> None:
        """Delete it with its invites and collaborators. Errors: `OwnerOnly`."""
        ...

    async def invite(self, login: LoginId, session: SessionId, digest: str, role: GivenRole = "editor") -> Invite:
        """Create an invite whose secret has this `digest`. Errors: `OwnerOnly`, `TooManyInvites`."""
        ...

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        """List the session's valid invites, newest first. Errors: `OwnerOnly`."""
        ...

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        """End one invite, or without one all of the session's. Errors: `OwnerOnly`; `NoSuchInvite` for the one."""
        ...

    async def offer(self, digest: str) -> Offer:
        """Read what an invite offers, without accepting it. The secret is enough for that. Errors: `NoSuchInvite`."""
        ...

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        """Become a collaborator by an invite, in the invite's role. Nobody loses by it: the owner and editors stay what
        they are, and a listener becomes an editor by an editor's invite.

        Errors: `NoSuchInvite`.
        """
        ...

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        """List all collaborators, in the order in which they joined. The owner is not one.

        Only the owner sees their e-mail addresses; a collaborator sees their own.
        """
        ...

    async def change_role(self, login: LoginId, session: SessionId, user: UserId, role: GivenRole) -> Collaborator:
        """Give a collaborator another role. When they become a listener, invites for editors are withdrawn.

        Errors: `OwnerOnly`, `NoSuchCollaborator`.
        """
        ...

    async def pass_on(self, login: LoginId, session: SessionId, user: UserId) -> Session:
        """Make a collaborator the owner. Who was the owner becomes an editor. Of several calls at once one succeeds.

        Errors: `OwnerOnly`; `NoSuchCollaborator`: they have left, or are the owner.
        """
        ...

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        """Remove a collaborator, and withdraw the session's invites, so that they cannot return by one.

        Owners may remove anybody, collaborators themselves (then the invites stay). Errors: `OwnerOnly`,
        `NoSuchCollaborator`.
        """
        ...
