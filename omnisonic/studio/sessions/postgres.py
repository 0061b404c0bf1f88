"""The session store on Postgres: one statement a call, which looks up the sign-in, the role and the session together.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.database.pool`); a statement that breaks off is done
whole or not at all. Shutdown: whoever opened the database closes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from omnisonic.models import INVITED, Invite, InviteId, LoginId, Person, Session, SessionId, UserId
from omnisonic.stores.database.pool import Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions import (
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
    invite_statements,
    member_statements,
)
from omnisonic.studio.sessions import session_statements as statements

_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all sessions."""
_NO_INVITE: Final = "00000000-0000-0000-0000-000000000000"
_LAST_OF_ITS_TIME: Final = "00000000-0000-0000-0000-000000000000"


class PostgresSessions:
    """A `SessionStore` in `database`. `use` notes that sign-ins are used; two stores may share it."""

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use or LoginUse(database)

    async def list(self, login: LoginId, *, limit: int, before: Cursor | None = None) -> Listing:
        place = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        after_id = uuid_or_none(place.id) or _LAST_OF_ITS_TIME
        rows = await self._database.rows(statements.LIST, login, place.created_at, after_id, length + 1)
        if not rows:
            raise NotSignedIn
        self._use.note(login)
        found = [_session(row) for row in rows if row[0] is not None]
        shown = found[:length]
        last = Cursor(shown[-1].created_at, shown[-1].id) if len(found) > length else None
        return Listing(rows[0][-1], shown, last)

    async def get(self, login: LoginId, session: SessionId) -> Session:
        return (await self.find(login, session)).session

    async def find(self, login: LoginId, session: SessionId) -> Found:
        row = await self._row(statements.GET, login, uuid_or_none(session))
        if row[0] is None:
            raise NoSuchSession
        return Found(row[-1], _session(row))

    async def create(self, login: LoginId, name: str) -> Session:
        return _session(await self._row(statements.CREATE, login, name))

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        values = change.name, change.tempo_bpm, change.beats_per_bar
        row = await self._row(statements.CHANGE, login, uuid_or_none(session), *values)
        _owner_did(owns=row[-1], done=row[0] is not None)
        return _session(row)

    async def delete(self, login: LoginId, session: SessionId) -> None:
        owns, gone = await self._row(statements.DELETE, login, uuid_or_none(session))
        _owner_did(owns=owns, done=gone)

    async def invite(self, login: LoginId, session: SessionId, digest: str) -> Invite:
        session_id, life = uuid_or_none(session), timedelta(seconds=INVITE_S)
        async with self._database.transaction() as transaction:
            asked = await transaction.fetchrow(invite_statements.ASK, login, session_id)
            if asked is None:
                raise NotSignedIn
            self._use.note(login)
            _owner_did(owns=asked[0], done=asked[1])
            row = await transaction.fetchrow(invite_statements.CREATE, session_id, digest, life, MOST_INVITES)
        if row is None:
            raise TooManyInvites
        return Invite(row[0], INVITED, row[1], row[2])

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        rows = await self._database.rows(invite_statements.LIST, login, uuid_or_none(session))
        if not rows:
            raise NotSignedIn
        self._use.note(login)
        _owner_did(owns=rows[0][0], done=rows[0][0] is True)
        return [Invite(row[1], INVITED, *row[2:4]) for row in rows if row[1] is not None]

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        invite_id = None if invite is None else uuid_or_none(invite) or _NO_INVITE
        owns, there, gone = await self._row(invite_statements.WITHDRAW, login, uuid_or_none(session), invite_id)
        _owner_did(owns=owns, done=there)
        if invite is not None and not gone:
            raise NoSuchInvite

    async def offer(self, digest: str) -> Offer:
        row = await self._database.row(invite_statements.OFFER, digest)
        if row is None:
            raise NoSuchInvite
        return Offer(row[0], Person(*row[1:5]).without_email(), row[5])

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        (session,) = await self._row(invite_statements.ACCEPT, login, digest)
        if session is None:
            raise NoSuchInvite
        return str(session)

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        rows = await self._database.rows(member_statements.COLLABORATORS, login, uuid_or_none(session))
        if not rows:
            raise NotSignedIn
        self._use.note(login)
        if not rows[0][0]:
            raise NoSuchSession
        people = ((Person(*row[2:]), row[1]) for row in rows if row[2] is not None)
        return [person if may_see else person.without_email() for person, may_see in people]

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        row = await self._row(member_statements.REMOVE, login, uuid_or_none(session), uuid_or_none(user))
        there, owns, leaves, gone = row
        if gone:
            return
        if not there:
            raise NoSuchSession
        if owns:
            raise NoSuchCollaborator
        # Their role was taken from them just now, or it is somebody else's they are after.
        raise NoSuchSession if leaves else OwnerOnly

    async def _row(self, statement: str, login: LoginId, *values: object) -> Row:
        """The one row of a statement that has one whenever the sign-in holds. Errors: `NotSignedIn`."""
        row = await self._database.row(statement, login, *values)
        if row is None:
            raise NotSignedIn
        self._use.note(login)
        return row


def _session(row: Row) -> Session:
    """From the columns as `omnisonic.studio.sessions.session_statements` has them."""
    session_id, name, created_at, updated_at, tempo_bpm, beats_per_bar = row[:6]
    owner, role = Person(*row[6:10]), row[10]
    seen = owner if role == "owner" else owner.without_email()
    return Session(session_id, name, created_at, updated_at, tempo_bpm, beats_per_bar, seen, role)


def _owner_did(*, owns: bool | None, done: bool) -> None:
    """What became of an owner's act. `owns` is None for those who have no role in the session."""
    if not done:
        raise OwnerOnly if owns is False else NoSuchSession


_fits: type[SessionStore] = PostgresSessions
