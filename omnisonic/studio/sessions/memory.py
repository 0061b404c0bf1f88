"""The session store in this process, for the parity service and for tests (SPEC 3).

No method ever suspends, so it works under trio, asyncio or neither, and each call is one step; one thread at a time may
use it. Overload: it is as large as the sessions made in it. Crash and shutdown: all is forgotten.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import uuid4

import msgspec

from omnisonic.models import INVITED, Invite, InviteId, LoginId, Person, Role, Session, SessionId, UserId
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
    OwnerOnly,
    People,
    SessionStore,
    TooManyInvites,
)

_Place: TypeAlias = tuple[datetime, SessionId]
_TICK: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class _Kept:
    """A session as its owner sees it, its collaborators, those who came first at the top, and its invites by digest."""

    session: Session
    collaborators: list[UserId] = field(default_factory=list)
    invites: dict[str, Invite] = field(default_factory=dict)


def _now() -> datetime:
    return datetime.now(UTC)


class MemorySessions:
    """A `SessionStore` of dictionaries. Never raises `Unavailable`.

    `signed_in` tells whose sign-in it is while it holds, `clock` the time (UTC).
    """

    def __init__(self, signed_in: Callable[[LoginId], Person | None], clock: Callable[[], datetime] = _now) -> None:
        self._signed_in = signed_in
        self._clock = clock
        self._made_at = datetime.min.replace(tzinfo=UTC)
        self._kept: dict[SessionId, _Kept] = {}
        self._invites: dict[str, SessionId] = {}
        self._places: dict[UserId, list[_Place]] = {}
        """The sessions that each user has a role in, oldest first."""
        self._people: dict[UserId, Person] = {}

    async def list(self, login: LoginId, *, limit: int, before: Cursor | None = None) -> Listing:
        user = self._user(login)
        length = max(1, min(limit, LONGEST_PAGE))
        places = self._places.get(user, [])
        end = len(places) if before is None else bisect_left(places, (before.created_at, uuid_or_none(before.id) or ""))
        begin = max(0, end - length)
        shown = [self._seen_by(user, session) for _, session in reversed(places[begin:end])]
        return Listing(user, shown, Cursor(shown[-1].created_at, shown[-1].id) if begin else None)

    async def get(self, login: LoginId, session: SessionId) -> Session:
        return (await self.find(login, session)).session

    async def find(self, login: LoginId, session: SessionId) -> Found:
        user = self._user(login)
        self._entered(user, session)
        return Found(user, self._seen_by(user, session))

    async def create(self, login: LoginId, name: str) -> Session:
        user = self._user(login)
        # Later than the one before whatever the clock says, so that the newest is first.
        now = self._made_at = max(self._clock(), self._made_at + _TICK)
        owner = self._people[user]
        made = Session(str(uuid4()), name, now, now, DEFAULT_TEMPO_BPM, DEFAULT_BEATS_PER_BAR, owner, "owner")
        self._kept[made.id] = _Kept(made)
        self._seat(user, made)
        return made

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        user = self._user(login)
        kept = self._owned(user, session)
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        kept.session = msgspec.structs.replace(kept.session, **given, updated_at=self._clock())
        return self._seen_by(user, session)

    async def delete(self, login: LoginId, session: SessionId) -> None:
        kept = self._owned(self._user(login), session)
        self._take_back_invites(kept)
        for user in (kept.session.owner.id, *kept.collaborators):
            self._unseat(user, kept.session)
        del self._kept[session]

    async def invite(self, login: LoginId, session: SessionId, digest: str) -> Invite:
        kept = self._owned(self._user(login), session)
        for old in [each for each, invite in kept.invites.items() if invite.expires_at <= self._clock()]:
            self._take_back_invite(kept, old)
        if len(kept.invites) >= MOST_INVITES:
            raise TooManyInvites
        now = self._clock()
        made = Invite(str(uuid4()), INVITED, now, now + timedelta(seconds=INVITE_S))
        self._invites[digest] = session
        kept.invites[digest] = made
        return made

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        kept = self._owned(self._user(login), session)
        return [invite for invite in reversed(kept.invites.values()) if invite.expires_at > self._clock()]

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        kept = self._owned(self._user(login), session)
        gone = {digest: each for digest, each in kept.invites.items() if invite is None or each.id == invite}
        for digest in gone:
            self._take_back_invite(kept, digest)
        if invite is not None and all(each.expires_at <= self._clock() for each in gone.values()):
            raise NoSuchInvite

    async def offer(self, digest: str) -> Offer:
        kept, invite = self._invited(digest)
        owner = self._people[kept.session.owner.id].without_email()
        return Offer(kept.session.name, owner, invite.expires_at)

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        user = self._user(login)
        kept, _ = self._invited(digest)
        if user != kept.session.owner.id and user not in kept.collaborators:
            kept.collaborators.append(user)
            self._seat(user, kept.session)
        return kept.session.id

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        user = self._user(login)
        kept = self._entered(user, session)
        sees_all = user == kept.session.owner.id
        people = [self._people[each] for each in kept.collaborators]
        return [person if sees_all or person.id == user else person.without_email() for person in people]

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        asking = self._user(login)
        kept = self._entered(asking, session)
        owns = asking == kept.session.owner.id
        if not owns and asking != user:
            raise OwnerOnly
        if user not in kept.collaborators:
            raise NoSuchCollaborator
        kept.collaborators.remove(user)
        self._unseat(user, kept.session)
        if owns:
            self._take_back_invites(kept)

    def _user(self, login: LoginId) -> UserId:
        person = self._signed_in(login)
        if person is None:
            raise NotSignedIn
        self._people[person.id] = person
        return person.id

    def _entered(self, user: UserId, session: SessionId) -> _Kept:
        """The session, when `user` has a role in it. Errors: `NoSuchSession`."""
        kept = self._kept.get(session)
        if kept is None or (user != kept.session.owner.id and user not in kept.collaborators):
            raise NoSuchSession
        return kept

    def _owned(self, user: UserId, session: SessionId) -> _Kept:
        """The session, when `user` is its owner. Errors: `NoSuchSession`, `OwnerOnly`."""
        kept = self._entered(user, session)
        if user != kept.session.owner.id:
            raise OwnerOnly
        return kept

    def _seen_by(self, user: UserId, session: SessionId) -> Session:
        shown = self._kept[session].session
        owner = self._people[shown.owner.id]
        role: Role = "owner" if user == owner.id else "collaborator"
        if role != "owner":
            owner = owner.without_email()
        return msgspec.structs.replace(shown, owner=owner, role=role)

    def _seat(self, user: UserId, session: Session) -> None:
        insort(self._places.setdefault(user, []), (session.created_at, session.id))

    def _unseat(self, user: UserId, session: Session) -> None:
        places = self._places[user]
        del places[bisect_left(places, (session.created_at, session.id))]

    def _invited(self, digest: str) -> tuple[_Kept, Invite]:
        """The session that an invite holds for, and the invite. Errors: `NoSuchInvite`."""
        kept = self._kept.get(self._invites.get(digest, ""))
        if kept is None or kept.invites[digest].expires_at <= self._clock():
            raise NoSuchInvite
        return kept, kept.invites[digest]

    def _take_back_invites(self, kept: _Kept) -> None:
        for digest in list(kept.invites):
            self._take_back_invite(kept, digest)

    def _take_back_invite(self, kept: _Kept, digest: str) -> None:
        del self._invites[digest], kept.invites[digest]


_fits: type[SessionStore] = MemorySessions
