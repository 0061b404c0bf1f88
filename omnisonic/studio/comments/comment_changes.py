"""Changes of comments, for use in a transaction that has locked the session. The table `comments`.

The lock of the session orders all changes of its comments, so that a reply and the removal of its thread do not cross.
"""

from typing import Final

from omnisonic.errors import InvalidInput
from omnisonic.models import SessionId
from omnisonic.models.activity import Actor
from omnisonic.models.comments import Comment
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.activity import SOMEBODY
from omnisonic.studio.comments import MOST_COMMENTS, Author, NewComment, NoSuchComment, Removed, TooManyComments
from omnisonic.studio.exports import NoSuchExport
from omnisonic.studio.uploads import NoSuchUpload

COLUMNS: Final = """comment.id::text, comment.session_id::text, comment.parent_id::text, comment.author_id::text,
    comment.author_name, comment.text, comment.at_beat, comment.at_seconds, comment.upload_id::text,
    comment.export_id::text, comment.pinned_name, comment.resolved_at, comment.resolved_by::text,
    comment.resolved_by_name, comment.created_at, comment.edited_at, comment.is_guest"""
"""What `comment_from_row` reads."""

_FIND_PINS: Final = """
-- $1 session, $2 comment, $3 upload, $4 export: what of these is in the session, locked against deletion.
SELECT (SELECT parent_id IS NOT NULL FROM comments WHERE id = $2 AND session_id = $1) AS parent_is_reply,
    (SELECT track.name FROM uploads AS stem JOIN tracks AS track ON track.id = stem.track_id
        WHERE stem.id = $3 AND stem.session_id = $1 AND stem.removed_at IS NULL FOR KEY SHARE OF stem) AS stem_name,
    (SELECT file_name FROM exports WHERE id = $4 AND session_id = $1 FOR KEY SHARE) AS export_name
"""

_ADD: Final = f"""
-- $1 session, $2 parent, $3 author, $4 their name, $5 text, $6 beat, $7 upload, $8 export, $9 the pinned name, $10 how
-- many a session may have. No row when it has as many.
INSERT INTO comments AS comment (session_id, parent_id, author_id, author_name, text, at_beat, at_seconds, upload_id,
    export_id, pinned_name)
SELECT session.id, $2, $3, $4::text, $5::text, $6,
    CASE WHEN $8::uuid IS NOT NULL THEN $6::double precision * 60 / session.tempo_bpm END, $7, $8, $9::text
FROM sessions AS session
WHERE session.id = $1 AND (SELECT count(*) FROM comments WHERE session_id = $1) < $10
RETURNING {COLUMNS}
"""

_SET_TEXT: Final = f"""
-- $1 comment, $2 text. The same text is no edit.
UPDATE comments AS comment
SET text = $2, edited_at = CASE WHEN comment.text = $2 THEN comment.edited_at ELSE clock_timestamp() END
WHERE id = $1 RETURNING {COLUMNS}
"""

_SET_RESOLVED: Final = f"""
-- $1 comment, $2 whether it is, $3 who says so, $4 their name. Who said so first stays.
UPDATE comments AS comment
SET resolved_at = CASE WHEN $2::boolean THEN coalesce(comment.resolved_at, clock_timestamp()) END,
    resolved_by = CASE WHEN NOT $2 THEN NULL WHEN comment.resolved_at IS NULL THEN $3 ELSE comment.resolved_by END,
    resolved_by_name = CASE WHEN $2 THEN coalesce(comment.resolved_by_name, $4::text) END
WHERE id = $1 RETURNING {COLUMNS}
"""

_EMPTY: Final = f"""
-- $1 comment. It stays for its replies; no row when it has none.
UPDATE comments AS comment SET text = NULL, edited_at = clock_timestamp()
WHERE id = $1 AND EXISTS (SELECT FROM comments AS reply WHERE reply.parent_id = $1) RETURNING {COLUMNS}
"""

_DELETE: Final = f"DELETE FROM comments AS comment WHERE id = $1 RETURNING {COLUMNS}"

_DELETE_EMPTY: Final = f"""
-- $1 a first comment. Removed, and without replies now.
DELETE FROM comments AS comment
WHERE id = $1 AND text IS NULL AND NOT EXISTS (SELECT FROM comments AS reply WHERE reply.parent_id = $1)
RETURNING {COLUMNS}
"""


async def add_comment(connection: Connection, session: SessionId, author: Author, new: NewComment) -> Comment:
    """Add a comment to the session, which is locked.

    Raises:
        NoSuchComment: The session has no such `parent_id`.
        NoSuchUpload, NoSuchExport: It is not in the session.
        InvalidInput: `invalid_parent_id`: a reply to a reply, or one with a place of its own. `invalid_upload_id`: both
            a stem and a mixdown.
        TooManyComments
    """
    name = await _check_pins(connection, session, new)
    parent, upload, export = _pins(new)
    values = author.id, author.name or SOMEBODY, new.text, new.at_beat, upload, export, name, MOST_COMMENTS
    row = await connection.fetchrow(_ADD, session, parent, *values)
    if row is None:
        raise TooManyComments
    return comment_from_row(row)


async def _check_pins(connection: Connection, session: SessionId, new: NewComment) -> str | None:
    """Check what the comment is about. Returns the name of the stem or mixdown."""
    if new.parent_id is not None and (new.at_beat, new.upload_id, new.export_id) != (None, None, None):
        raise InvalidInput("A reply is about what its thread is about: leave out its place.", code="invalid_parent_id")
    if new.upload_id is not None and new.export_id is not None:
        raise InvalidInput("Pin a comment to a stem or to a mixdown, not to both.", code="invalid_upload_id")
    if (new.parent_id, new.upload_id, new.export_id) == (None, None, None):
        return None
    row = await connection.fetchrow(_FIND_PINS, session, *_pins(new))
    assert row is not None
    if new.parent_id is not None and row["parent_is_reply"] is None:
        raise NoSuchComment
    if row["parent_is_reply"]:
        raise InvalidInput("Answer the first comment of the thread.", code="invalid_parent_id")
    if new.upload_id is not None and row["stem_name"] is None:
        raise NoSuchUpload
    if new.export_id is not None and row["export_name"] is None:
        raise NoSuchExport
    name: str | None = row["stem_name"] or row["export_name"]
    return name


def _pins(new: NewComment) -> list[str | None]:
    """The ids of parent, upload and export, as far as they are ids."""
    return [pin and uuid_or_none(pin) for pin in (new.parent_id, new.upload_id, new.export_id)]


async def set_text(connection: Connection, comment: Comment, text: str) -> Comment:
    """Change the text of a comment that was not removed."""
    return await _changed(connection, _SET_TEXT, comment.id, text)


async def set_resolved(connection: Connection, comment: Comment, *, resolved: bool, by: Author) -> Comment:
    """Resolve or reopen a thread.

    Raises:
        InvalidInput: `invalid_resolved`: it is a reply.
    """
    if comment.parent_id is not None:
        raise InvalidInput("Resolve the first comment of the thread.", code="invalid_resolved")
    return await _changed(connection, _SET_RESOLVED, comment.id, resolved, by.id, by.name)


async def remove_comment(connection: Connection, comment: Comment) -> Removed:
    """Remove a comment. With replies it stays without its text; the last reply takes such a one along."""
    emptied = await connection.fetchrow(_EMPTY, comment.id)
    if emptied is not None:
        return Removed([], comment_from_row(emptied))
    gone = [await connection.fetchrow(_DELETE, comment.id)]
    if comment.parent_id is not None:
        gone.append(await connection.fetchrow(_DELETE_EMPTY, comment.parent_id))
    return Removed([comment_from_row(row) for row in gone if row is not None])


async def _changed(connection: Connection, statement: str, *values: object) -> Comment:
    row = await connection.fetchrow(statement, *values)
    if row is None:
        raise NoSuchComment
    return comment_from_row(row)


def comment_from_row(row: Row) -> Comment:
    """The comment in a row with `COLUMNS`."""
    has_resolver = row["resolved_at"] is not None
    return Comment(
        id=row["id"],
        session_id=row["session_id"],
        parent_id=row["parent_id"],
        author=Actor(row["author_id"], row["author_name"]),
        text=row["text"],
        at_beat=row["at_beat"],
        at_seconds=row["at_seconds"],
        upload_id=row["upload_id"],
        export_id=row["export_id"],
        pinned_name=row["pinned_name"],
        resolved=has_resolver,
        resolved_by=Actor(row["resolved_by"], row["resolved_by_name"]) if has_resolver else None,
        resolved_at=row["resolved_at"],
        created_at=row["created_at"],
        edited_at=row["edited_at"],
        guest=row["is_guest"],
    )
