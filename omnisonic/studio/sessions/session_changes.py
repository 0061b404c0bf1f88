"""Changes of a session, its name, tempo and metre, and their undo. For use in a transaction."""

from collections.abc import Mapping
from typing import Final

from omnisonic.models import LoginId, Person, Session, SessionId, UserId
from omnisonic.models.activity import ActivityEvent, ActivityId, SessionField
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.activity.recording import record
from omnisonic.studio.sessions import Change, NoSuchSession, NotSignedIn, OwnerOnly
from omnisonic.studio.sessions import session_statements as statements

COLUMN_OF: Final[Mapping[SessionField, str]] = {
    "name": "name",
    "tempoBpm": "tempo_bpm",
    "beatsPerBar": "beats_per_bar",
}
"""What of a session is recorded, and the columns and fields of `Session` and `Change` that it is in."""


async def lock_session(connection: Connection, login: LoginId, session: SessionId) -> Row:
    """Lock a session of the user's own. Returns its name, tempo_bpm and beats_per_bar.

    Raises:
        NotSignedIn, NoSuchSession, OwnerOnly
    """
    row = await connection.fetchrow(statements.LOCK_AS_OWNER, login, uuid_or_none(session))
    if row is not None and row["owns"] and not row["is_there"]:
        # It was deleted or passed on while this waited for its lock; a new statement sees which.
        row = await connection.fetchrow(statements.LOCK_AS_OWNER, login, uuid_or_none(session))
    if row is None:
        raise NotSignedIn
    check_owner(owns=row["owns"], is_done=row["is_there"])
    return row


async def lock_shared_session(connection: Connection, login: LoginId, session: SessionId) -> Row:
    """Lock a session that the user has a role in. Returns its id and tempo_bpm, and whether the user edits and owns it.

    Raises:
        NotSignedIn, NoSuchSession
    """
    row = await connection.fetchrow(statements.LOCK_AS_MEMBER, login, uuid_or_none(session))
    if row is None:
        raise NotSignedIn
    if row["id"] is None:
        raise NoSuchSession
    return row


async def change_session(
    connection: Connection,
    login: LoginId,
    actor: UserId,
    locked: Row,
    change: Change,
    *,
    undoes: ActivityId | None = None,
) -> tuple[Session, list[ActivityEvent]]:
    """Change the session. Each value that changes is an event. `actor` is the user whose sign-in is `login`."""
    row = await connection.fetchrow(
        statements.CHANGE, login, locked["id"], change.name, change.tempo_bpm, change.beats_per_bar
    )
    assert row is not None
    events = []
    for field, column in COLUMN_OF.items():
        if locked[column] == row[column]:
            continue
        events += await record(
            connection,
            session=row["id"],
            actor=actor,
            kind="session.changed",
            subject=row["id"],
            name=locked["name"],
            change=(field, locked[column], row[column]),
            undoes=undoes,
        )
    return session_from_row(row), events


def session_from_row(row: Row) -> Session:
    """A session from a row with `session_statements.columns` and `role`. Only its owner sees the owner's address."""
    owner, role = person_from_row(row, "owner_"), row["role"]
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


def person_from_row(row: Row, prefix: str = "") -> Person:
    """A person from a row with `id`, `name`, `email` and `image`, each with the prefix."""
    return Person(row[f"{prefix}id"], row[f"{prefix}name"], row[f"{prefix}email"], row[f"{prefix}image"])


def check_owner(*, owns: bool | None, is_done: bool) -> None:
    """Raise why an owner's statement did nothing. `owns` is None for users who have no role in the session."""
    if not is_done:
        raise OwnerOnly if owns is False else NoSuchSession
