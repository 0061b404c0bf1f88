"""Comments of guests: whoever has a link to a mixdown writes under a name, without an account (SPEC 6).

They are comments of the session (`omnisonic.studio.comments`) without an author, marked as a guest's: anybody can write
under any name. A guest sees what was written through the same link, and nothing else that the band says.

Overload: `MOST_GUEST_COMMENTS` for each link; the database unavailable: `Unavailable`. Each method is one transaction:
it happens completely or not at all. Shutdown: whoever opened the database closes it.
"""

from typing import Final

from omnisonic.models.comments import Comment
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.studio.comments import Author, NewComment, TooManyComments
from omnisonic.studio.comments.comment_changes import COLUMNS, add_comment, comment_from_row
from omnisonic.studio.shares import (
    MOST_GUEST_COMMENTS,
    GuestComment,
    GuestCommentsOff,
    NoSuchShare,
    ShareOver,
    TooManyGuestComments,
)
from omnisonic.studio.shares.share_store import HOLDS

_LOCK_SESSION: Final = """
-- $1 digest. As everybody who changes comments does first.
SELECT session.id::text, session.tempo_bpm FROM sessions AS session
WHERE session.id = (
    SELECT export.session_id FROM shares AS share JOIN exports AS export ON export.id = share.export_id
    WHERE share.digest = $1
)
FOR NO KEY UPDATE OF session
"""

_FIND: Final = f"""
-- $1 digest. The link; no row when there is none.
SELECT share.id::text, share.export_id::text, share.comments, {HOLDS} AS holds, export.duration_seconds,
    (SELECT count(*) FROM comments WHERE share_id = share.id) AS count
FROM shares AS share JOIN exports AS export ON export.id = share.export_id
WHERE share.digest = $1
"""

_LIST: Final = """
-- $1 share. Oldest first.
SELECT id::text, author_name, text, at_seconds, created_at FROM comments
WHERE share_id = $1 AND text IS NOT NULL ORDER BY created_at, id
"""

_MARK: Final = f"""
-- $1 comment, $2 share.
UPDATE comments AS comment SET is_guest = true, share_id = $2 WHERE id = $1 RETURNING {COLUMNS}
"""


class GuestComments:
    """The comments in `database` that came through links.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NoSuchShare, ShareOver: Every method, when there is no link with this digest, or it has ended.
        GuestCommentsOff: Every method, when the link takes no comments.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, digest: str) -> list[GuestComment]:
        """List what was written through this link, oldest first."""
        async with self._database.transaction() as connection:
            share = await _find(connection, digest)
            rows = await connection.fetch(_LIST, share["id"])
        return [GuestComment(*row.values()) for row in rows]

    async def add(self, digest: str, name: str, text: str, at_seconds: float | None) -> Comment:
        """Write a comment, about a place of the mixdown or about the whole.

        Returns:
            The comment as the band sees it.

        Raises:
            TooManyGuestComments
        """
        async with self._database.transaction() as connection:
            session = await connection.fetchrow(_LOCK_SESSION, digest)
            share = await _find(connection, digest)
            assert session is not None
            if share["count"] >= MOST_GUEST_COMMENTS:
                raise TooManyGuestComments
            at_beat = None
            if at_seconds is not None:
                at_beat = min(at_seconds, share["duration_seconds"] or at_seconds) * session["tempo_bpm"] / 60
            new = NewComment(text, at_beat=at_beat, export_id=share["export_id"])
            try:
                comment = await add_comment(connection, session["id"], Author(None, name), new)
            except TooManyComments:
                raise TooManyGuestComments from None
            marked = await connection.fetchrow(_MARK, comment.id, share["id"])
            assert marked is not None
            return comment_from_row(marked)


async def _find(connection: Connection, digest: str) -> Row:
    share = await connection.fetchrow(_FIND, digest)
    if share is None:
        raise NoSuchShare
    if not share["holds"]:
        raise ShareOver
    if not share["comments"]:
        raise GuestCommentsOff
    return share
