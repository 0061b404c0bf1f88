"""The comments of sessions as their users see them: list, write, change, resolve, remove. The table `comments`.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Each method is one transaction:
it happens whole or not at all. Shutdown: whoever opened the database closes it.
"""

from datetime import UTC, datetime
from typing import Final

from omnisonic.models import LoginId, SessionId
from omnisonic.models.activity import ActivityEvent
from omnisonic.models.comments import Comment, CommentId
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import Tell, tell_nobody
from omnisonic.studio.activity.recording import lock_actor, name_of, record
from omnisonic.studio.comments import (
    LONGEST_PAGE,
    Author,
    AuthorOnly,
    CommentPage,
    NewComment,
    NoSuchComment,
    Removed,
)
from omnisonic.studio.comments.comment_changes import (
    COLUMNS,
    add_comment,
    comment_from_row,
    remove_comment,
    set_resolved,
    set_text,
)
from omnisonic.studio.sessions import Cursor, NoSuchSession
from omnisonic.studio.sessions.session_changes import lock_shared_session
from omnisonic.studio.sessions.session_statements import asked

_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all comments."""

_LIST: Final = asked(f"""
-- $3 and $4 the time and the id to begin after, $5 how many. One row at least, as soon as the sign-in holds.
SELECT {COLUMNS}, asked.session_id IS NOT NULL AS has_role
FROM asked
LEFT JOIN LATERAL (
    SELECT * FROM comments WHERE session_id = asked.session_id AND (created_at, id) < ($3, $4::uuid)
    ORDER BY created_at DESC, id DESC LIMIT $5
) AS comment ON true
ORDER BY comment.created_at DESC, comment.id DESC
""")

_FIND_SESSION: Final = "SELECT session_id::text FROM comments WHERE id = $1"

_READ: Final = f"SELECT {COLUMNS} FROM comments AS comment WHERE id = $1"


class CommentStore:
    """The comments in `database`.

    Args:
        database: An open pool.
        use: Notes that sign-ins are used; stores on the same database may share it.
        tell: Is told of what was recorded in the activity.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NotSignedIn: Every method, when the sign-in has ended.
        NoSuchSession: Every method that takes a session, when the user has no role in it.
        NoSuchComment: Every method that takes a comment, when there is none in a session that the user has a role in.
    """

    def __init__(self, database: Database, use: LoginUse | None = None, *, tell: Tell = tell_nobody) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._tell = tell

    async def list(
        self, login: LoginId, session: SessionId, *, limit: int, before: Cursor | None = None
    ) -> CommentPage:
        """List the comments of a session, newest first. A reply comes before the first comment of its thread."""
        cursor = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        values = cursor.created_at, uuid_or_none(cursor.id) or NIL_UUID, length + 1
        rows = await self._use.fetch_rows(_LIST, login, uuid_or_none(session), *values)
        if not rows[0]["has_role"]:
            raise NoSuchSession
        comments = [comment_from_row(row) for row in rows if row["id"] is not None]
        page = comments[:length]
        return CommentPage(page, Cursor(page[-1].created_at, page[-1].id) if len(comments) > length else None)

    async def add(self, login: LoginId, session: SessionId, new: NewComment) -> Comment:
        """Write a comment. Errors: those of `add_comment`."""
        async with self._database.transaction() as connection:
            author = await self._author(connection, login)
            locked = await lock_shared_session(connection, login, session)
            return await add_comment(connection, locked["id"], author, new)

    async def change(
        self, login: LoginId, comment: CommentId, *, text: str | None = None, resolved: bool | None = None
    ) -> tuple[Comment, bool]:
        """Change the text, resolve or reopen the thread. None leaves it as it is.

        Returns:
            The comment as it is now, and whether that is a change.

        Raises:
            AuthorOnly: The text is somebody else's.
            InvalidInput: `invalid_resolved`: it is a reply.
        """
        async with self._database.transaction() as connection:
            user = await self._author(connection, login)
            _, found = await _lock_comment(connection, login, comment)
            changed = found
            if text is not None:
                if found.author.id != user.id:
                    raise AuthorOnly
                if found.text is None:
                    raise NoSuchComment
                changed = await set_text(connection, changed, text)
            if resolved is not None:
                changed = await set_resolved(connection, changed, resolved=resolved, by=user)
        return changed, changed != found

    async def remove(self, login: LoginId, comment: CommentId) -> Removed:
        """Remove a comment. It is recorded in the activity when it was somebody else's.

        Raises:
            AuthorOnly: It is somebody else's, and the user does not own the session; what guests wrote is also the
                editors' to remove.
        """
        events: list[ActivityEvent] = []
        async with self._database.transaction() as connection:
            user = await self._author(connection, login)
            locked, found = await _lock_comment(connection, login, comment)
            if found.author.id != user.id and not locked["owns"] and not (found.guest and locked["edits"]):
                raise AuthorOnly
            if found.text is None:
                raise NoSuchComment
            removed = await remove_comment(connection, found)
            if found.author.id != user.id:
                events = await record(
                    connection,
                    session=found.session_id,
                    actor=locked["user_id"],
                    kind="comment.removed",
                    subject=found.id,
                    name=found.author.name,
                )
        await self._tell(events)
        return removed

    async def _author(self, connection: Connection, login: LoginId) -> Author:
        """The user whose sign-in it is, locked, and their name now."""
        user = await lock_actor(connection, self._use, login)
        return Author(user, await name_of(connection, user))


async def _lock_comment(connection: Connection, login: LoginId, comment: CommentId) -> tuple[Row, Comment]:
    """Lock the session of a comment. Returns its row (`lock_shared_session`), and the comment as it is now."""
    comment_id = uuid_or_none(comment)
    session = await connection.fetchval(_FIND_SESSION, comment_id)
    if session is None:
        raise NoSuchComment
    try:
        locked = await lock_shared_session(connection, login, session)
    except NoSuchSession:
        raise NoSuchComment from None
    row = await connection.fetchrow(_READ, comment_id)
    if row is None:
        raise NoSuchComment
    return locked, comment_from_row(row)
