"""Music sessions: who owns them, who shares them (SPEC 3). Adapters: `omnisonic.studio.sessions.memory`, `.postgres`.

Every call says by which sign-in it is made, and looks that up in the same step as what it does: there is no moment
between. Owners may do everything; collaborators see the session and may leave it; for all others it does not exist.
"""

from datetime import datetime
from typing import Final, Protocol, TypeAlias

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import Invite, InviteId, LoginId, Person, Session, SessionId, UserId

INVITE_S: Final = 7 * 24 * 60 * 60
"""An invite is good for a week, for as many as accept it."""
MOST_INVITES: Final = 50
"""Invites to one session that may hold at once."""
LONGEST_PAGE: Final = 100
"""Most sessions in one listing, however many are asked for."""
DEFAULT_TEMPO_BPM: Final = 120.0
DEFAULT_BEATS_PER_BAR: Final = 4

People: TypeAlias = list[Person]
"""`list` is a method below."""
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
    """The invite was never made, has run out, or was taken back."""

    code = "invite_not_found"

    def __init__(self) -> None:
        super().__init__("This invite has run out. Ask for a new link.")


class TooManyInvites(OmnisonicError):
    """As many invites to the session hold as may."""

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


class Cursor(msgspec.Struct, frozen=True):
    """A place in the order of sessions, newest first: just after the session made at that time with that id.

    With an id that is no UUID it is just after all sessions made at that time.
    """

    created_at: datetime
    id: SessionId


class Found(msgspec.Struct, frozen=True):
    """One session, and who asked for it."""

    user: UserId
    session: Session


class Listing(msgspec.Struct, frozen=True):
    """Some sessions of one user, newest first; `next_before` is None when they are the last."""

    user: UserId
    sessions: list[Session]
    next_before: Cursor | None


class Offer(msgspec.Struct, frozen=True):
    """What an invite offers to whoever has its link. Nothing of it says more than the owner wants them to know."""

    session_name: str
    owner: Person
    invite_ends_at: datetime


class Change(msgspec.Struct, frozen=True):
    """What is to be different; None stays as it is."""

    name: str | None = None
    tempo_bpm: float | None = None
    beats_per_bar: int | None = None


class SessionStore(Protocol):
    """Errors: every method may raise `NotSignedIn` and `Unavailable`; those that take a session `NoSuchSession`.

    An id that is no UUID is that of no session. `participants` of the answers is None: rosters are kept elsewhere. The
    owner's address is in what the owner is answered, and in nobody else's.
    """

    async def list(self, login: LoginId, *, limit: int, before: Cursor | None = None) -> Listing:
        """The user's own sessions and those shared with them, `createdAt` descending."""
        ...

    async def get(self, login: LoginId, session: SessionId) -> Session: ...

    async def find(self, login: LoginId, session: SessionId) -> Found:
        """As `get`, with who asks."""
        ...

    async def create(self, login: LoginId, name: str) -> Session: ...

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        """Errors: `OwnerOnly`."""
        ...

    async def delete(self, login: LoginId, session: SessionId) -> None:
        """Delete it with its invites and collaborators. Errors: `OwnerOnly`."""
        ...

    async def invite(self, login: LoginId, session: SessionId, digest: str) -> Invite:
        """Make an invite whose secret has this `digest`. Errors: `OwnerOnly`, `TooManyInvites`."""
        ...

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        """The session's invites that hold, the newest first. Errors: `OwnerOnly`."""
        ...

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        """End one invite, or without one all of the session's. Errors: `OwnerOnly`; `NoSuchInvite` for the one."""
        ...

    async def offer(self, digest: str) -> Offer:
        """What an invite offers; anybody who has its secret may look, and nothing changes. Errors: `NoSuchInvite`."""
        ...

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        """Become a collaborator by an invite. The owner stays the owner, and a collaborator is one already.

        Errors: `NoSuchInvite`.
        """
        ...

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        """All collaborators, those who came first at the top; the owner is not one.

        Their addresses are the owner's to see; a collaborator sees their own.
        """
        ...

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        """Take the role from a collaborator, and take the session's invites back, lest they return by one.

        Owners may remove anybody, collaborators themselves (then the invites stay). Errors: `OwnerOnly`,
        `NoSuchCollaborator`.
        """
        ...
