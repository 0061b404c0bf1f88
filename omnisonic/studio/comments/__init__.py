"""Comments in sessions: about a place, a stem, a mixdown, or the song (SPEC 3). Models and errors.

Everybody with a role writes, answers and resolves. A text is changed by its author alone, and removed by its author and
by the owner of the session. A thread is one level deep: a first comment and its replies.

What was removed and has replies stays, without its text, until the last reply is removed. So nobody's words vanish
because another person removed theirs.
"""

from typing import Final, NamedTuple

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import ExportId, UploadId, UserId
from omnisonic.models.comments import Comment, CommentId
from omnisonic.studio.sessions import Cursor

MOST_COMMENTS: Final = 2000
"""Most comments in a session, replies included."""
LONGEST_PAGE: Final = 200
"""Most comments in one listing."""


class Author(NamedTuple):
    """Who writes. Without an id it is a guest, or somebody whose account is deleted."""

    id: UserId | None
    name: str


class NewComment(msgspec.Struct, frozen=True):
    """A comment to add. With a `parent_id` it is a reply, which has no place of its own."""

    text: str
    at_beat: float | None = None
    upload_id: UploadId | None = None
    export_id: ExportId | None = None
    parent_id: CommentId | None = None


class CommentPage(msgspec.Struct, frozen=True):
    """Some comments, newest first. `next_before` is where the next page begins, None on the last page."""

    comments: list[Comment]
    next_before: Cursor | None


class Removed(msgspec.Struct, frozen=True):
    """What the removal of a comment has changed: comments that are gone, and the one that stays without its text."""

    gone: list[Comment]
    emptied: Comment | None = None


class NoSuchComment(OmnisonicError):
    """There is no such comment for this user."""

    code = "comment_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such comment. It may have been removed.")


class AuthorOnly(OmnisonicError):
    """The comment is somebody else's."""

    code = "author_only"

    def __init__(self) -> None:
        super().__init__("Only its author can change a comment. The session's owner can remove it as well.")


class TooManyComments(OmnisonicError):
    """The session has as many comments as allowed."""

    code = "too_many_comments"

    def __init__(self) -> None:
        super().__init__(f"A session has at most {MOST_COMMENTS:,} comments. Remove some first.")
