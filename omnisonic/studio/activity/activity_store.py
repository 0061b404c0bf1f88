"""The activity of sessions as their users see it: list and undo. The table `activity` in Postgres.

An undo is one transaction: it locks what was changed, checks that nobody has changed it since, changes it back and
records that. So of two at once one is done and the other refused.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Crash: an undo is done whole or
not at all. Shutdown: whoever opened the database closes it.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from omnisonic.models import LoginId, SessionId, UserId
from omnisonic.models.activity import ActivityEvent, ActivityId, ActivityValue
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import (
    LONGEST_PAGE,
    SOMEBODY,
    ActivityPage,
    AlreadyUndone,
    CannotUndo,
    ChangedSince,
    NoSuchActivity,
    Tell,
    Undone,
    tell_nobody,
)
from omnisonic.studio.activity.recording import COLUMNS, JOINS, encode_value, event_from_row, lock_actor
from omnisonic.studio.markers import NoSuchMarker
from omnisonic.studio.markers import marker_changes as markers
from omnisonic.studio.sessions import Change, Cursor, ListenersChangeNothing, NoSuchSession, NotSignedIn
from omnisonic.studio.sessions import session_changes as sessions
from omnisonic.studio.sessions.session_statements import asked
from omnisonic.studio.uploads import LeftTrack, NoSuchTrack, NoSuchUpload, TrimsLeaveNothing
from omnisonic.studio.uploads import upload_changes as uploads

_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all events."""
_GONE: Final = "The file is not there any more, so this cannot be undone."
_TRACK_GONE: Final = "The track is not there any more, so this cannot be undone."
_MARKER_GONE: Final = "The marker is not there any more, so this cannot be undone."
_NOTHING: Final = "It is as it was before, so there is nothing to undo."

_LIST: Final = asked(f"""
-- $3 and $4 the time and the id to begin after, $5 how many. One row at least, as soon as the sign-in holds.
SELECT {COLUMNS}, asked.session_id IS NOT NULL AS has_role
FROM asked
LEFT JOIN LATERAL (
    SELECT * FROM activity WHERE session_id = asked.session_id AND (at, id) < ($3, $4::uuid)
    ORDER BY at DESC, id DESC LIMIT $5
) AS event ON true
{JOINS}
ORDER BY event.at DESC, event.id DESC
""")

_FIND: Final = asked(f"""
-- $3 event. What never changes of it, and whether the user is no listener.
-- It is undone by the upload `stem_id`, if it is about one.
SELECT asked.session_id::text, asked.edits, event.id::text, event.kind, event.field, event.subject_id::text,
    stem.id::text AS stem_id
FROM asked LEFT JOIN activity AS event ON event.session_id = asked.session_id AND event.id = $3
{JOINS}
""")

_READ: Final = f"""
-- $1 event, $2 the value as it is now: whether that is what the event left.
SELECT {COLUMNS}, event.after = $2::text::jsonb AS is_as_left, (
    SELECT later.actor_name FROM activity AS later
    WHERE later.session_id = event.session_id AND later.subject_id = event.subject_id AND later.field = event.field
    ORDER BY later.at DESC, later.id DESC LIMIT 1
) AS changer_name
FROM activity AS event {JOINS}
WHERE event.id = $1
"""

_LEFT: Final = """
-- $1 event. The track that was left by it, as it was; no row when that is not known.
SELECT before_name AS name, before_position AS position FROM activity WHERE id = $1 AND before_name IS NOT NULL
"""

_MARK: Final = "UPDATE activity SET undone_by = $2 WHERE id = $1"


class ActivityStore:
    """The activity in `database`.

    Args:
        database: An open pool.
        use: Notes that sign-ins are used; stores on the same database may share it.
        quota_bytes: How much each user may keep; 0 for no limit. A restored upload counts again.
        tell: Is told of what was undone.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NotSignedIn: Every method, when the sign-in has ended.
        NoSuchSession: Every method, when the user has no role in the session.
    """

    def __init__(
        self, database: Database, use: LoginUse | None = None, *, quota_bytes: int = 0, tell: Tell = tell_nobody
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._quota_bytes = quota_bytes
        self._tell = tell

    async def list(
        self, login: LoginId, session: SessionId, *, limit: int, before: Cursor | None = None
    ) -> ActivityPage:
        """List what happened in a session, newest first."""
        cursor = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        values = cursor.created_at, uuid_or_none(cursor.id) or NIL_UUID, length + 1
        rows = await self._use.fetch_rows(_LIST, login, uuid_or_none(session), *values)
        if not rows[0]["has_role"]:
            raise NoSuchSession
        events = [event_from_row(row) for row in rows if row["id"] is not None]
        page = events[:length]
        return ActivityPage(page, Cursor(page[-1].at, page[-1].id) if len(events) > length else None)

    async def undo(self, login: LoginId, session: SessionId, event: ActivityId) -> Undone:
        """Undo an event, which may itself be an undo.

        Raises:
            NoSuchActivity, CannotUndo, AlreadyUndone, ChangedSince
            OmnisonicError: As the change itself, when the user may not make it: `OwnerOnly`, `UploaderOnly`,
                `ListenersChangeNothing`, `QuotaExceeded`.
        """
        async with self._database.transaction() as connection:
            actor = await lock_actor(connection, self._use, login)
            found = await connection.fetchrow(_FIND, login, uuid_or_none(session), uuid_or_none(event))
            if found is None:
                raise NotSignedIn
            if found["session_id"] is None:
                raise NoSuchSession
            if found["id"] is None:
                raise NoSuchActivity
            if not found["edits"]:
                raise ListenersChangeNothing
            undone = await self._undo(connection, login, actor, found)
            await connection.execute(_MARK, found["id"], undone.event.id)
        await self._tell([undone.event])
        return undone

    async def _undo(self, connection: Connection, login: LoginId, actor: UserId, found: Row) -> Undone:
        match found["kind"]:
            case "session.changed":
                return await _undo_session_change(connection, login, actor, found)
            case "upload.changed":
                return await _undo_upload_change(connection, actor, found)
            case "upload.removed" | "upload.restored":
                return await self._undo_removal(connection, actor, found)
            case "marker.changed" | "marker.removed" | "marker.restored":
                return await _undo_marker_change(connection, login, actor, found)
            case _:
                raise CannotUndo

    async def _undo_removal(self, connection: Connection, actor: UserId, found: Row) -> Undone:
        """Restore what was removed, or remove what was restored."""
        was_removed = found["kind"] == "upload.removed"
        locked = await _lock_stem(connection, actor, found, in_bin=True)
        await _check_value(connection, found, is_now=locked["is_removed"])
        change = uploads.restore_upload if was_removed else uploads.remove_upload
        changed, (event,) = await change(connection, actor, locked, quota_bytes=self._quota_bytes, undoes=found["id"])
        return Undone(event, upload=changed.upload, others=changed.others)


async def _lock_stem(connection: Connection, actor: UserId, found: Row, *, in_bin: bool = False) -> Row:
    """Lock the upload by which the event is undone. Errors: `CannotUndo`, `ListenersChangeNothing`."""
    if found["stem_id"] is None:
        raise CannotUndo(_GONE)
    moves = found["field"] == "takeOf"
    try:
        return await uploads.lock_upload(connection, actor, found["stem_id"], in_bin=in_bin, moves=moves)
    except NoSuchUpload:
        raise CannotUndo(_GONE) from None


async def _undo_upload_change(connection: Connection, actor: UserId, found: Row) -> Undone:
    locked = await _lock_stem(connection, actor, found)
    field = found["field"]
    if field in uploads.TRACK_FIELDS and locked["take_of"] != found["subject_id"]:
        raise CannotUndo(_GONE)  # it has gone to another track just now
    done = await _check_value(connection, found, is_now=locked[uploads.COLUMN_OF[field]])
    assert done.before is not None
    mix = uploads.mix_back(field, done.before)
    row = await connection.fetchrow(_LEFT, done.id)
    left = None if row is None else LeftTrack(row["name"], row["position"])
    try:
        changed, events = await uploads.change_upload(connection, actor, locked, mix, undoes=done.id, left=left)
    except TrimsLeaveNothing as problem:  # the other end was trimmed since
        raise CannotUndo(problem.message) from None
    except NoSuchTrack:
        raise CannotUndo(_TRACK_GONE) from None
    if not events:  # the tracks were numbered again
        raise CannotUndo(_NOTHING)
    return Undone(events[0], upload=changed.upload, others=changed.others)


async def _undo_session_change(connection: Connection, login: LoginId, actor: UserId, found: Row) -> Undone:
    locked = await sessions.lock_session(connection, login, found["session_id"])
    column = sessions.COLUMN_OF[found["field"]]
    done = await _check_value(connection, found, is_now=locked[column])
    change = msgspec.convert({column: done.before}, Change)
    session, (event,) = await sessions.change_session(connection, login, actor, locked, change, undoes=done.id)
    return Undone(event, session=session)


async def _undo_marker_change(connection: Connection, login: LoginId, actor: UserId, found: Row) -> Undone:
    """Change the marker back, restore what was removed, or remove what was restored."""
    kind, session, subject = found["kind"], found["session_id"], found["subject_id"]
    await sessions.lock_shared_session(connection, login, session)
    try:
        marker, is_removed = await markers.read_marker(connection, session, subject, removed=kind != "marker.changed")
    except NoSuchMarker:
        raise CannotUndo(_MARKER_GONE) from None
    if kind == "marker.changed":
        done = await _check_value(connection, found, is_now=markers.value_of(marker, found["field"]))
        assert done.field is not None
        assert done.before is not None
        change = markers.change_to(done.field, done.before)
        marker, (event,) = await markers.change_marker(connection, actor, marker, change, undoes=done.id)
    else:
        done = await _check_value(connection, found, is_now=is_removed)
        move = markers.restore_marker if kind == "marker.removed" else markers.remove_marker
        (event,) = await move(connection, actor, marker, undoes=done.id)
    return Undone(event, marker=marker)


async def _check_value(connection: Connection, found: Row, *, is_now: ActivityValue) -> ActivityEvent:
    """The event as it is now that what it is about is locked. `is_now` is the value there.

    Raises:
        NoSuchActivity: It was too old to be kept.
        AlreadyUndone, ChangedSince
        CannotUndo: The value went back to where it was by itself.
    """
    row = await connection.fetchrow(_READ, found["id"], encode_value(is_now))
    if row is None:
        raise NoSuchActivity
    event = event_from_row(row)
    if event.undone_by is not None:
        raise AlreadyUndone(event.undone_by.name)
    if not row["is_as_left"]:
        raise ChangedSince(row["changer_name"] or SOMEBODY)
    if event.before == event.after:
        raise CannotUndo(_NOTHING)
    return event
