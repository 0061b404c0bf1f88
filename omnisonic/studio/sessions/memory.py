"""The session store in this process, for the parity service and for tests (SPEC 3).

No method ever suspends, so it works under trio, asyncio or neither, and each call is atomic; one thread at a time may
use it. Overload: it is as large as the sessions created in it. Crash and shutdown: all is forgotten.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import uuid4

import msgspec

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
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.sessions import (
    DEFAULT_BEATS_PER_BAR,
    DEFAULT_TEMPO_BPM,
    INVITE_S,
    LONGEST_PAGE,
    MOST_INVITES,
    Change,
    Cursor,
    Found,
    Invites,
    Listing,
    NoSuchCollaborator,
    NoSuchInvite,
    NoSuchSession,
    NotSignedIn,
    Offer,
    Order,
    OwnerOnly,
    People,
    Seen,
    SessionStore,
    TooManyInvites,
    place_in_list,
)

_Place: TypeAlias = tuple[datetime, SessionId]
_Places: TypeAlias = list[_Place]
_TICK: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class _StoredSession:
    """A session as its owner sees it, its collaborators in the order they joined, and its invites by digest."""

    session: Session
    collaborators: dict[UserId, GivenRole] = field(default_factory=dict)
    invites: dict[str, Invite] = field(default_factory=dict)
    seen: dict[UserId, datetime] = field(default_factory=dict)

    def seen_at(self, user: UserId) -> datetime:
        """Until when the user has seen it."""
        return self.seen.get(user, self.session.created_at)


def _now() -> datetime:
    return datetime.now(UTC)


class MemorySessions:
    """A `SessionStore` of dictionaries. Never raises `Unavailable`.

    `signed_in` returns whose sign-in it is while it holds, `clock` the time (UTC).
    """

    def __init__(self, signed_in: Callable[[LoginId], Person | None], clock: Callable[[], datetime] = _now) -> None:
        self._signed_in = signed_in
        self._clock = clock
        self._created_at = datetime.min.replace(tzinfo=UTC)
        self._sessions: dict[SessionId, _StoredSession] = {}
        self._invites: dict[str, SessionId] = {}
        self._places: dict[UserId, list[_Place]] = {}
        """The sessions that each user has a role in, oldest first."""
        self._people: dict[UserId, Person] = {}

    async def list(
        self,
        login: LoginId,
        *,
        limit: int,
        before: Cursor | None = None,
        order: Order = "created",
        search: str | None = None,
    ) -> Listing:
        user = self._check_login(login)
        length = max(1, min(limit, LONGEST_PAGE))
        places = self._places.get(user, [])
        if order == "activity" or search:
            places = self._find_places(user, order, (search or "").casefold())
        end = len(places) if before is None else bisect_left(places, (before.created_at, uuid_or_none(before.id) or ""))
        begin = max(0, end - length)
        page = [self._list_view(user, session) for _, session in reversed(places[begin:end])]
        return Listing(user, page, place_in_list(page[-1], order) if begin else None)

    async def see(self, login: LoginId, session: SessionId) -> Seen:
        user = self._check_login(login)
        stored = self._check_role(user, session)
        before = stored.seen_at(user)
        stored.seen[user] = now = max(self._clock(), before)
        return Seen(now, before)

    async def get(self, login: LoginId, session: SessionId) -> Session:
        return (await self.find(login, session)).session

    async def find(self, login: LoginId, session: SessionId) -> Found:
        user = self._check_login(login)
        self._check_role(user, session)
        return Found(user, self._view(user, session))

    async def create(self, login: LoginId, name: str) -> Session:
        user = self._check_login(login)
        # Always later than the one before, whatever the clock says, so that the newest is first.
        now = self._created_at = max(self._clock(), self._created_at + _TICK)
        owner = self._people[user]
        made = Session(str(uuid4()), name, now, now, DEFAULT_TEMPO_BPM, DEFAULT_BEATS_PER_BAR, owner, "owner")
        self._sessions[made.id] = _StoredSession(made)
        self._add_place(user, made)
        return made

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        user = self._check_login(login)
        stored = self._check_owner(user, session)
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        stored.session = msgspec.structs.replace(stored.session, **given, updated_at=self._clock())
        return self._view(user, session)

    async def delete(self, login: LoginId, session: SessionId) -> None:
        stored = self._check_owner(self._check_login(login), session)
        self._withdraw_invites(stored)
        for user in (stored.session.owner.id, *stored.collaborators):
            self._remove_place(user, stored.session)
        del self._sessions[session]

    async def invite(self, login: LoginId, session: SessionId, digest: str, role: GivenRole = "editor") -> Invite:
        stored = self._check_owner(self._check_login(login), session)
        for old in [each for each, invite in stored.invites.items() if invite.expires_at <= self._clock()]:
            self._withdraw_invite(stored, old)
        if len(stored.invites) >= MOST_INVITES:
            raise TooManyInvites
        now = self._clock()
        made = Invite(str(uuid4()), role, now, now + timedelta(seconds=INVITE_S))
        self._invites[digest] = session
        stored.invites[digest] = made
        return made

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        stored = self._check_owner(self._check_login(login), session)
        return [invite for invite in reversed(stored.invites.values()) if invite.expires_at > self._clock()]

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        stored = self._check_owner(self._check_login(login), session)
        gone = {digest: each for digest, each in stored.invites.items() if invite is None or each.id == invite}
        for digest in gone:
            self._withdraw_invite(stored, digest)
        if invite is not None and all(each.expires_at <= self._clock() for each in gone.values()):
            raise NoSuchInvite

    async def offer(self, digest: str) -> Offer:
        stored, invite = self._find_invite(digest)
        owner = self._people[stored.session.owner.id].without_email()
        return Offer(stored.session.name, owner, invite.role, invite.expires_at)

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        user = self._check_login(login)
        stored, invite = self._find_invite(digest)
        if user == stored.session.owner.id:
            return stored.session.id
        if user not in stored.collaborators:
            self._add_place(user, stored.session)
        if stored.collaborators.get(user) != "editor":
            stored.collaborators[user] = invite.role
        return stored.session.id

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        user = self._check_login(login)
        stored = self._check_role(user, session)
        sees_all = user == stored.session.owner.id
        people = [self._collaborator(stored, each) for each in stored.collaborators]
        return [person if sees_all or person.id == user else person.without_email() for person in people]

    async def change_role(self, login: LoginId, session: SessionId, user: UserId, role: GivenRole) -> Collaborator:
        stored = self._check_owner(self._check_login(login), session)
        if user not in stored.collaborators:
            raise NoSuchCollaborator
        stored.collaborators[user] = role
        if role == "listener":
            for digest in [each for each, invite in stored.invites.items() if invite.role == "editor"]:
                self._withdraw_invite(stored, digest)
        return self._collaborator(stored, user)

    async def pass_on(self, login: LoginId, session: SessionId, user: UserId) -> Session:
        owner = self._check_login(login)
        stored = self._check_owner(owner, session)
        if user not in stored.collaborators:
            raise NoSuchCollaborator
        del stored.collaborators[user]
        stored.collaborators[owner] = "editor"
        stored.session = msgspec.structs.replace(stored.session, owner=self._people[user], updated_at=self._clock())
        return self._view(owner, session)

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        asking = self._check_login(login)
        stored = self._check_role(asking, session)
        owns = asking == stored.session.owner.id
        if not owns and asking != user:
            raise OwnerOnly
        if user not in stored.collaborators:
            raise NoSuchCollaborator
        del stored.collaborators[user]
        self._remove_place(user, stored.session)
        if owns:
            self._withdraw_invites(stored)

    def _check_login(self, login: LoginId) -> UserId:
        person = self._signed_in(login)
        if person is None:
            raise NotSignedIn
        self._people[person.id] = person
        return person.id

    def _check_role(self, user: UserId, session: SessionId) -> _StoredSession:
        """The session, when `user` has a role in it. Errors: `NoSuchSession`."""
        stored = self._sessions.get(session)
        if stored is None or (user != stored.session.owner.id and user not in stored.collaborators):
            raise NoSuchSession
        return stored

    def _check_owner(self, user: UserId, session: SessionId) -> _StoredSession:
        """The session, when `user` is its owner. Errors: `NoSuchSession`, `OwnerOnly`."""
        stored = self._check_role(user, session)
        if user != stored.session.owner.id:
            raise OwnerOnly
        return stored

    def _view(self, user: UserId, session: SessionId) -> Session:
        stored = self._sessions[session]
        owner = self._people[stored.session.owner.id]
        if user == owner.id:
            return msgspec.structs.replace(stored.session, owner=owner, role="owner")
        return msgspec.structs.replace(stored.session, owner=owner.without_email(), role=stored.collaborators[user])

    def _list_view(self, user: UserId, session: SessionId) -> ListedSession:
        """A session in a list. Nothing happens here but changes of it, and everybody knows of them."""
        view = self._view(user, session)
        return ListedSession(
            **msgspec.structs.asdict(view),
            last_activity_at=view.updated_at,
            unread=0,
            seen_at=self._sessions[session].seen_at(user),
            cover_upload_id=None,
        )

    def _find_places(self, user: UserId, order: Order, search: str) -> _Places:
        """The places of the user's sessions with such names, in that order, the first one last."""
        sessions = [self._list_view(user, session) for _, session in self._places.get(user, [])]
        cursors = [place_in_list(each, order) for each in sessions if search in each.name.casefold()]
        return sorted((cursor.created_at, cursor.id) for cursor in cursors)

    def _collaborator(self, stored: _StoredSession, user: UserId) -> Collaborator:
        person = self._people[user]
        return Collaborator(person.id, person.name, person.email, person.image, stored.collaborators[user])

    def _add_place(self, user: UserId, session: Session) -> None:
        insort(self._places.setdefault(user, []), (session.created_at, session.id))

    def _remove_place(self, user: UserId, session: Session) -> None:
        places = self._places[user]
        del places[bisect_left(places, (session.created_at, session.id))]

    def _find_invite(self, digest: str) -> tuple[_StoredSession, Invite]:
        """The session of a valid invite, and the invite. Errors: `NoSuchInvite`."""
        stored = self._sessions.get(self._invites.get(digest, ""))
        if stored is None or stored.invites[digest].expires_at <= self._clock():
            raise NoSuchInvite
        return stored, stored.invites[digest]

    def _withdraw_invites(self, stored: _StoredSession) -> None:
        for digest in list(stored.invites):
            self._withdraw_invite(stored, digest)

    def _withdraw_invite(self, stored: _StoredSession, digest: str) -> None:
        del self._invites[digest], stored.invites[digest]


_fits: type[SessionStore] = MemorySessions
