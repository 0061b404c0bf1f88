"""The session store on Postgres. One statement looks up the sign-in, the role and the session together.

Overload and a database that does not answer: `Unavailable` (`omnisonic.stores.database.pool`). Crash: a statement is
done whole or not at all. Shutdown: the owner of `Database` closes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec.structs

from omnisonic.models import (
    Collaborator,
    GivenRole,
    Invite,
    InviteId,
    ListedSession,
    LoginId,
    Role,
    Session,
    SessionId,
    UserId,
)
from omnisonic.models.activity import ROLE, ActivityEvent, ActivityField, ActivityKind
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import Tell, tell_nobody
from omnisonic.studio.activity.recording import lock_actor, name_of, record
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
    Order,
    OwnerOnly,
    People,
    Seen,
    SessionStore,
    TooManyInvites,
    place_in_list,
)
from omnisonic.studio.sessions import listing_statements as listing
from omnisonic.studio.sessions import session_statements as statements
from omnisonic.studio.sessions.session_changes import (
    change_session,
    check_owner,
    lock_session,
    person_from_row,
    session_from_row,
)

_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all sessions."""


class PostgresSessions:
    """A `SessionStore` in `database`.

    Args:
        database: An open pool.
        use: Notes that sign-ins are used; stores on the same database may share it.
        tell: Is told of the events in sessions that were recorded.
    """

    def __init__(self, database: Database, use: LoginUse | None = None, *, tell: Tell = tell_nobody) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._tell = tell

    async def list(
        self,
        login: LoginId,
        *,
        limit: int,
        before: Cursor | None = None,
        order: Order = "created",
        search: str | None = None,
    ) -> Listing:
        cursor = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        values = cursor.created_at, uuid_or_none(cursor.id) or NIL_UUID, length + 1
        if order == "created" and not search:
            rows = await self._use.fetch_rows(listing.LIST, login, *values)
        else:
            statement = listing.FIND_BY_CREATION if order == "created" else listing.FIND_BY_ACTIVITY
            rows = await self._use.fetch_rows(statement, login, *values, listing.patterns_of(search))
        sessions = [_listed(row) for row in rows if row["id"] is not None]
        page = sessions[:length]
        last = place_in_list(page[-1], order) if len(sessions) > length else None
        return Listing(rows[0]["user_id"], page, last)

    async def see(self, login: LoginId, session: SessionId) -> Seen:
        row = await self._use.fetch_row(listing.SEE, login, uuid_or_none(session))
        if row["now"] is None:
            raise NoSuchSession
        return Seen(row["now"], row["before"])

    async def get(self, login: LoginId, session: SessionId) -> Session:
        return (await self.find(login, session)).session

    async def find(self, login: LoginId, session: SessionId) -> Found:
        row = await self._use.fetch_row(statements.GET, login, uuid_or_none(session))
        if row["id"] is None:
            raise NoSuchSession
        return Found(row["user_id"], session_from_row(row))

    async def create(self, login: LoginId, name: str) -> Session:
        return session_from_row(await self._use.fetch_row(statements.CREATE, login, name))

    async def change(self, login: LoginId, session: SessionId, change: Change) -> Session:
        async with self._database.transaction() as transaction:
            user = await lock_actor(transaction, self._use, login)
            locked = await lock_session(transaction, login, session)
            changed, events = await change_session(transaction, login, user, locked, change)
        await self._tell(events)
        return changed

    async def delete(self, login: LoginId, session: SessionId) -> None:
        row = await self._use.fetch_row(statements.DELETE, login, uuid_or_none(session))
        check_owner(owns=row["owns"], is_done=row["is_gone"])

    async def invite(self, login: LoginId, session: SessionId, digest: str, role: GivenRole = "editor") -> Invite:
        session_id, life = uuid_or_none(session), timedelta(seconds=INVITE_S)
        async with self._database.transaction() as transaction:
            await lock_actor(transaction, self._use, login)
            await lock_session(transaction, login, session)
            row = await transaction.fetchrow(statements.CREATE_INVITE, session_id, digest, life, MOST_INVITES, role)
        if row is None:
            raise TooManyInvites
        return _invite(row)

    async def invites(self, login: LoginId, session: SessionId) -> Invites:
        rows = await self._use.fetch_rows(statements.LIST_INVITES, login, uuid_or_none(session))
        owns = rows[0]["owns"]
        check_owner(owns=owns, is_done=owns is True)
        return [_invite(row) for row in rows if row["id"] is not None]

    async def withdraw(self, login: LoginId, session: SessionId, invite: InviteId | None = None) -> None:
        invite_id = None if invite is None else uuid_or_none(invite) or NIL_UUID
        row = await self._use.fetch_row(statements.WITHDRAW_INVITES, login, uuid_or_none(session), invite_id)
        check_owner(owns=row["owns"], is_done=row["is_there"])
        if invite is not None and not row["is_gone"]:
            raise NoSuchInvite

    async def offer(self, digest: str) -> Offer:
        row = await self._database.row(statements.READ_OFFER, digest)
        if row is None:
            raise NoSuchInvite
        return Offer(row["session_name"], person_from_row(row).without_email(), row["role"], row["expires_at"])

    async def accept(self, login: LoginId, digest: str) -> SessionId:
        async with self._database.transaction() as transaction:
            user = await lock_actor(transaction, self._use, login)
            row = await transaction.fetchrow(statements.ACCEPT_INVITE, login, digest)
            if row is None or row["session_id"] is None:
                raise NoSuchInvite
            events = []
            if row["is_new"]:
                events = await _record_member(transaction, row["session_id"], user, "member.joined", user)
            if row["is_promoted"]:
                roles: tuple[Role, Role] = ("listener", "editor")
                events = await _record_member(transaction, row["session_id"], user, "member.changed", user, roles)
        await self._tell(events)
        return str(row["session_id"])

    async def collaborators(self, login: LoginId, session: SessionId) -> People:
        rows = await self._use.fetch_rows(statements.LIST_COLLABORATORS, login, uuid_or_none(session))
        if not rows[0]["is_there"]:
            raise NoSuchSession
        people = ((_collaborator(row, row["role"]), row["sees_email"]) for row in rows if row["id"] is not None)
        return [person if sees_email else person.without_email() for person, sees_email in people]

    async def change_role(self, login: LoginId, session: SessionId, user: UserId, role: GivenRole) -> Collaborator:
        async with self._database.transaction() as transaction:
            actor = await lock_actor(transaction, self._use, login)
            changed, events = await _change_role(transaction, login, session, user, role, shown=role, actor=actor)
        await self._tell(events)
        return changed

    async def pass_on(self, login: LoginId, session: SessionId, user: UserId) -> Session:
        async with self._database.transaction() as transaction:
            actor = await lock_actor(transaction, self._use, login)
            # The owner's own row says editor: it is so for the next one, and stays so for this one.
            _, events = await _change_role(transaction, login, session, user, "editor", shown="owner", actor=actor)
            await transaction.execute(statements.SET_OWNER, uuid_or_none(session), uuid_or_none(user))
            row = await transaction.fetchrow(statements.GET, login, uuid_or_none(session))
            if row is None:
                raise NotSignedIn
        await self._tell(events)
        return session_from_row(row)

    async def remove(self, login: LoginId, session: SessionId, user: UserId) -> None:
        values = uuid_or_none(session), uuid_or_none(user)
        async with self._database.transaction() as transaction:
            actor = await lock_actor(transaction, self._use, login)
            row = await transaction.fetchrow(statements.REMOVE_COLLABORATOR, login, *values)
            if row is None:
                raise NotSignedIn
            _check_removed(row)
            kind: ActivityKind = "member.left" if row["leaves"] else "member.removed"
            events = await _record_member(transaction, session, actor, kind, user)
        await self._tell(events)


async def _change_role(
    transaction: Connection,
    login: LoginId,
    session: SessionId,
    user: UserId,
    role: GivenRole,
    *,
    shown: Role,
    actor: UserId,
) -> tuple[Collaborator, list[ActivityEvent]]:
    """Give a collaborator a role, which the activity shows as `shown`.

    Raises:
        NotSignedIn, NoSuchSession, OwnerOnly, NoSuchCollaborator
    """
    # In the order in which the deletion of an account locks.
    await transaction.execute(statements.LOCK_USER, uuid_or_none(user))
    locked = await lock_session(transaction, login, session)
    row = await transaction.fetchrow(statements.CHANGE_ROLE, locked["id"], uuid_or_none(user), role)
    if row is None:
        raise NoSuchCollaborator
    changed, events = _collaborator(row, role), list[ActivityEvent]()
    if row["role"] != shown:
        roles = row["role"], shown
        events = await _record_member(transaction, locked["id"], actor, "member.changed", changed.id, roles)
    return changed, events


async def _record_member(
    transaction: Connection,
    session: SessionId,
    actor: UserId,
    kind: ActivityKind,
    user: UserId,
    roles: tuple[Role, Role] | None = None,
) -> list[ActivityEvent]:
    name = await name_of(transaction, user)
    change: tuple[ActivityField, Role, Role] | None = None if roles is None else (ROLE, *roles)
    return await record(transaction, session=session, actor=actor, kind=kind, subject=user, name=name, change=change)


def _listed(row: Row) -> ListedSession:
    more = {name: row[name] for name in ("last_activity_at", "unread", "seen_at", "cover_upload_id")}
    return ListedSession(**msgspec.structs.asdict(session_from_row(row)), **more)


def _collaborator(row: Row, role: GivenRole) -> Collaborator:
    person = person_from_row(row)
    return Collaborator(person.id, person.name, person.email, person.image, role)


def _check_removed(row: Row) -> None:
    """Raise why nobody was removed."""
    if row["is_gone"]:
        return
    if not row["is_there"]:
        raise NoSuchSession
    if row["owns"]:
        raise NoSuchCollaborator
    # Either their own role was removed just now, or they want to remove somebody else.
    raise NoSuchSession if row["leaves"] else OwnerOnly


def _invite(row: Row) -> Invite:
    return Invite(row["id"], row["role"], created_at=row["created_at"], expires_at=row["expires_at"])


_fits: type[SessionStore] = PostgresSessions
