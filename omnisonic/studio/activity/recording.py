"""Recording: writes the rows of the table `activity`, on the connection of the transaction that makes the change.

So there is a row exactly when the change was committed. The caller has locked what is changed, the upload or the
session, so that two changes of one value are recorded one after the other. It also has locked the session against
deletion before the upload, as deletion does, so that the two never wait for each other.
"""

from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import LoginId, SessionId, UserId
from omnisonic.models.activity import (
    REMOVED,
    ActivityEvent,
    ActivityField,
    ActivityId,
    ActivityKind,
    ActivityValue,
    Actor,
    Undo,
)
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import MERGED_S, MOST_EVENTS, SOMEBODY
from omnisonic.studio.sessions import NotSignedIn
from omnisonic.studio.uploads import BIN_DAYS, LeftTrack

_MERGED_KINDS: Final = ("upload.changed", "session.changed", "marker.changed")

_LOCK_ACTOR: Final = """
-- $1 sign-in. The user, as long as the sign-in holds; the account is not deleted before the transaction ends.
SELECT person.id::text FROM live_logins AS login JOIN users AS person ON person.id = login.user_id
WHERE login.id = $1 FOR KEY SHARE OF person
"""

NAME_OF: Final = "coalesce(nullif(btrim({person}.name), ''), split_part({person}.email, '@', 1), '')"
"""The name of a user, as `omnisonic.models.called` makes it."""

_READ_NAME: Final = f"SELECT {NAME_OF.format(person='person')} FROM users AS person WHERE id = $1"

COLUMNS: Final = f"""event.id::text, event.session_id::text, event.at, event.actor_id::text, event.actor_name,
    event.kind, event.field, event.subject_id::text, event.subject_name, event.before, event.after, event.undoes::text,
    event.undone_by::text, undoing.actor_id::text AS undoer_id, undoing.actor_name AS undoer_name,
    session.owner_id::text, stem.user_id::text AS uploader_id, stem.removed_at IS NOT NULL AS is_removed,
    stem.removed_at > now() - interval '{BIN_DAYS} days' AS is_in_bin, marker.id IS NOT NULL AS has_marker,
    marker.removed_at IS NOT NULL AS is_marker_removed,
    NOT EXISTS (
        SELECT FROM activity AS later
        WHERE later.session_id = event.session_id AND later.subject_id = event.subject_id
            AND later.field = event.field AND (later.at, later.id) > (event.at, event.id)
    ) AS is_latest"""
"""What `event_from_row` reads."""

JOINS: Final = """LEFT JOIN sessions AS session ON session.id = event.session_id
LEFT JOIN markers AS marker ON marker.id = event.subject_id AND marker.session_id = event.session_id
LEFT JOIN uploads AS stem ON stem.session_id = event.session_id AND stem.id = CASE
    WHEN event.field = 'chosen' THEN btrim(event.before::text, '"')::uuid
    WHEN event.kind = 'upload.changed' AND event.field IN ('name', 'position') THEN (
        SELECT take.id FROM uploads AS take
        WHERE take.track_id = event.subject_id AND take.removed_at IS NULL ORDER BY take.id LIMIT 1
    )
    ELSE event.subject_id END AND (event.field IS DISTINCT FROM 'chosen' OR stem.track_id = event.subject_id)
LEFT JOIN activity AS undoing ON undoing.id = event.undone_by"""
"""`stem` is the upload by which the event is undone: for what is changed of a track, one in it; for a choice of a take,
the one that was chosen before."""

_RECORD: Final = f"""
-- $1 session, $2 actor, $3 kind, $4 field, $5 subject, $6 its name, $7 before, $8 after, $9 the event that it undoes,
-- $10 how old the event of the same change may be that this one belongs to, $11 and $12 name and position of a track
-- that is left.
WITH latest AS MATERIALIZED (
    SELECT * FROM activity WHERE session_id = $1 AND subject_id = $5 AND field = $4
    ORDER BY at DESC, id DESC LIMIT 1
), merged AS (
    UPDATE activity SET after = $8::text::jsonb
    FROM latest
    WHERE activity.id = latest.id AND latest.kind = $3 AND latest.actor_id = $2
        AND latest.undoes IS NULL AND latest.undone_by IS NULL AND latest.at > clock_timestamp() - $10::interval
    RETURNING activity.*
), added AS (
    INSERT INTO activity
        (session_id, actor_id, actor_name, kind, field, subject_id, subject_name, before, after, undoes, before_name,
        before_position)
    SELECT $1, person.id, {NAME_OF.format(person="person")}, $3, $4, $5, $6::text, $7::text::jsonb, $8::text::jsonb,
        $9::uuid, $11::text, $12::float8
    FROM users AS person WHERE person.id = $2 AND NOT EXISTS (SELECT FROM merged)
    RETURNING *
), event AS (
    SELECT *, false AS is_added FROM merged UNION ALL SELECT *, true FROM added
)
SELECT {COLUMNS}, is_added FROM event {JOINS}
"""

_DROP_OLDEST: Final = """
-- $1 session, $2 how many are kept. What another transaction has in its hands is left to the next one.
WITH last AS MATERIALIZED (
    SELECT at, id FROM activity WHERE session_id = $1 ORDER BY at DESC, id DESC OFFSET $2 LIMIT 1
), old AS MATERIALIZED (
    SELECT activity.id FROM activity JOIN last ON (activity.at, activity.id) <= (last.at, last.id)
    WHERE activity.session_id = $1 FOR UPDATE OF activity SKIP LOCKED
)
DELETE FROM activity USING old WHERE activity.id = old.id
"""


async def lock_actor(connection: Connection, use: LoginUse, login: LoginId) -> UserId:
    """The user whose sign-in it is, locked against deletion before anything else is. Errors: `NotSignedIn`."""
    user = await connection.fetchval(_LOCK_ACTOR, login)
    if user is None:
        raise NotSignedIn
    use.note(login)
    return str(user)


async def name_of(connection: Connection, user: UserId) -> str:
    """The name of a user now."""
    return await connection.fetchval(_READ_NAME, user) or SOMEBODY


async def record(
    connection: Connection,
    *,
    session: SessionId,
    actor: UserId,
    kind: ActivityKind,
    subject: str,
    name: str,
    change: tuple[ActivityField, ActivityValue, ActivityValue] | None = None,
    undoes: ActivityId | None = None,
    left: LeftTrack | None = None,
    most_events: int = MOST_EVENTS,
) -> list[ActivityEvent]:
    """Record an event in the transaction of `connection`.

    Changes of a value that follow one another within `MERGED_S`, by the same person, become one event: before the
    first, after the last. What was undone, or undoes something, stays as it is.

    Args:
        connection: In the transaction that makes the change; what is changed is locked.
        session: Whose activity it is.
        actor: The user who makes the change.
        kind: What happens.
        subject: The id of what it happens to.
        name: The name of that.
        change: The field, and its value before and after.
        undoes: The event that is undone by it.
        left: The track that is left by it.
        most_events: How many events of a session are kept.

    Returns:
        The event, to be told of once the transaction is committed.
    """
    field, before, after = change or (None, None, None)
    is_merged = kind in _MERGED_KINDS and undoes is None
    row = await connection.fetchrow(
        _RECORD,
        session,
        actor,
        kind,
        field,
        subject,
        name,
        encode_value(before),
        encode_value(after),
        undoes,
        timedelta(seconds=MERGED_S if is_merged else 0),
        None if left is None else left.name,
        None if left is None else left.position,
    )
    if row is None:
        return []  # the actor's account was deleted in this transaction
    if row["is_added"]:
        await connection.execute(_DROP_OLDEST, session, most_events)
    return [event_from_row(row)]


def event_from_row(row: Row) -> ActivityEvent:
    """The event in a row with `COLUMNS`."""
    undoer = Actor(row["undoer_id"], row["undoer_name"] or SOMEBODY) if row["undone_by"] is not None else None
    return ActivityEvent(
        id=row["id"],
        session_id=row["session_id"],
        at=row["at"],
        actor=Actor(row["actor_id"], row["actor_name"] or SOMEBODY),
        kind=row["kind"],
        field=row["field"],
        subject_id=row["subject_id"],
        subject_name=row["subject_name"],
        before=_decode(row["before"]),
        after=_decode(row["after"]),
        undoes=row["undoes"],
        undone_by=undoer,
        undo=_undo_of(row),
    )


def _undo_of(row: Row) -> Undo | None:
    """How the event is undone: while it is the last word on a value, and what it is about is there."""
    if row["field"] is None or row["undone_by"] is not None or not row["is_latest"] or row["before"] == row["after"]:
        return None
    url = f"/api/sessions/{row['session_id']}/activity/{row['id']}/undo"
    if row["kind"] == "session.changed":
        return Undo(url, [row["owner_id"]])
    if row["kind"].startswith("marker."):
        is_wanted = row["kind"] == "marker.removed"
        return Undo(url, None) if row["has_marker"] and row["is_marker_removed"] is is_wanted else None
    if row["field"] == REMOVED:
        is_there = row["is_in_bin"] if row["kind"] == "upload.removed" else row["is_removed"] is False
        return Undo(url, sorted({row["owner_id"], row["uploader_id"]})) if is_there and row["uploader_id"] else None
    return Undo(url, None) if row["uploader_id"] is not None and not row["is_removed"] else None


def encode_value(value: ActivityValue | None) -> str | None:
    """A value as JSON."""
    return None if value is None else msgspec.json.encode(value).decode()


def _decode(value: str | None) -> ActivityValue | None:
    return None if value is None else msgspec.json.decode(value, type=int | float | bool | str | list[float])
