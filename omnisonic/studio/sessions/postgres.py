"""The session store on Postgres. One statement looks up the sign-in, the role and the session together.

Overload and a database that does not answer: `Unavailable` (`omnisonic.stores.database.pool`). Crash: a statement is
done whole or not at all. Shutdown: the owner of `Database` closes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from omnisonic.models import INVITED, Invite, InviteId, LoginId, Person, Session, SessionId, UserId
from omnisonic.stores.database.pool import Database, Row
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
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
)
from omnisonic.studio.sessions import session_statements as statements

_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all sessions."""


class PostgresSessions:
    """A `SessionStore` in `database`. `use` notes that sign-ins are used; stores on the same database may share it."""

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use or LoginUse(database)

    async def list(self, login: LoginId, *, limit: int, before: Cursor | None = None) -> Listing:
        cursor = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        values = cursor.created_at, uuid_or_none(cursor.id) or NIL_UUID, length + 1
        rows = await self._use.fetch_rows(statements.LIST, login, *values)
        sessions = [_session(row) for row in rows if row["id"] is not None]
        page = sessions[:length]
        last = Cursor(page[-1].created_at, page[-1].id) if len(sessions) > length else None
        return Listing(rows[0]["user_id"], page, last)

    async def get(self, login: LoginId, session: SessionId) -> Session:
        return (await self.find(login, session)).session

    async def find(self, login: LoginId, session: SessionId) -> Found:
        row = await self._use.fetch_row(statements.GET, login, uuid_or_none(session))
        if row["id"] is None:
            raise NoSuchSession
        return Found(row["user_id"], _session(row))

    async def create(self, login: LoginId, name: str) -> Session:
        return _session(await self._use.fetch_row(statements.CREATE, login, name))

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        values = change.name, change.tempo_bpm, change.beats_per_bar
        row = await self._use.fetch_row(statements.CHANGE, login, uuid_or_none(session), *values)
        _check_owner(owns=row["owns"], is_done=row["id"] is not None)
        return _session(row)

    async def delete(self, login: LoginId, session: SessionId) -> None:
        row = await self._use.fetch_row(statements.DELETE, login, uuid_or_none(session))
        _check_owner(owns=row["owns"], is_done=row["is_gone"])

    async def invite(self, login: LoginId, session: SessionId, digest: str) -> Invite:
        session_id, life = uuid_or_none(session), timedelta(seconds=INVITE_S)
        async with self._database.transaction() as transaction:
            locked = await transaction.fetchrow(statements.LOCK_AS_OWNER, login, session_id)
            if locked is None:
                raise NotSignedIn
            self._use.note(login)
            _check_owner(owns=locked["owns"], is_done=locked["is_there"])
            row = await transaction.fetchrow(statements.CREATE_INVITE, session_id, digest, life, MOST_INVITES)
        if row is None:
            raise TooManyInvites
        return _invite(row)

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        rows = await self._use.fetch_rows(statements.LIST_INVITES, login, uuid_or_none(session))
        owns = rows[0]["owns"]
        _check_owner(owns=owns, is_done=owns is True)
        return [_invite(row) for row in rows if row["id"] is not None]

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        invite_id = None if invite is None else uuid_or_none(invite) or NIL_UUID
        row = await self._use.fetch_row(statements.WITHDRAW_INVITES, login, uuid_or_none(session), invite_id)
        _check_owner(owns=row["owns"], is_done=row["is_there"])
        if invite is not None and not row["is_gone"]:
            raise NoSuchInvite

    async def offer(self, digest: str) -> Offer:
        row = await self._database.row(statements.READ_OFFER, digest)
        if row is None:
            raise NoSuchInvite
        return Offer(row["session_name"], _person(row).without_email(), row["expires_at"])

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        row = await self._use.fetch_row(statements.ACCEPT_INVITE, login, digest)
        if row["session_id"] is None:
            raise NoSuchInvite
        return str(row["session_id"])

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        rows = await self._use.fetch_rows(statements.LIST_COLLABORATORS, login, uuid_or_none(session))
        if not rows[0]["is_there"]:
            raise NoSuchSession
        people = ((_person(row), row["sees_email"]) for row in rows if row["id"] is not None)
        return [person if sees_email else person.without_email() for person, sees_email in people]

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        values = uuid_or_none(session), uuid_or_none(user)
        row = await self._use.fetch_row(statements.REMOVE_COLLABORATOR, login, *values)
        if row["is_gone"]:
            return
        if not row["is_there"]:
            raise NoSuchSession
        if row["owns"]:
            raise NoSuchCollaborator
        # Either their own role was removed just now, or they want to remove somebody else.
        raise NoSuchSession if row["leaves"] else OwnerOnly


def _session(row: Row) -> Session:
    """A session from a row with `session_statements.columns` and `role`. Only its owner sees the owner's address."""
    owner, role = _person(row, "owner_"), row["role"]
    return Session(
        id=row["id"],
        name=row["name"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        tempo_bpm=row["tempo_bpm"],
        beats_per_bar=row["beats_per_bar"],
        owner=owner if role == "owner" else owner.without_email(),
        role=role,
    )


def _person(row: Row, prefix: str = "") -> Person:
    return Person(row[f"{prefix}id"], row[f"{prefix}name"], row[f"{prefix}email"], row[f"{prefix}image"])


def _invite(row: Row) -> Invite:
    return Invite(row["id"], INVITED, created_at=row["created_at"], expires_at=row["expires_at"])


def _check_owner(*, owns: bool | None, is_done: bool) -> None:
    """Raise why an owner's statement did nothing. `owns` is None for users who have no role in the session."""
    if not is_done:
        raise OwnerOnly if owns is False else NoSuchSession


_fits: type[SessionStore] = PostgresSessions
