"""Comments in a session as frozen values (SPEC 3). Their JSON is camelCase."""

from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from omnisonic.models import ExportId, SessionId, UploadId
from omnisonic.models.activity import Actor

CommentId: TypeAlias = str
"""A UUID."""
COMMENT_LENGTH: Final = 2000
"""Most characters in a comment."""


class Comment(msgspec.Struct, frozen=True, rename="camel"):
    """What somebody wrote about a session, or about a place, a stem or a mixdown of it.

    Attributes:
        id: The comment.
        session_id: The session that it is in.
        parent_id: The first comment of its thread; null for a first comment.
        author: Who wrote it, with the name as it was then. Its `id` is null for guests and deleted accounts.
        text: What they wrote; null when it was removed and is there because it has replies.
        at_beat: The place that it is about, in beats from 0.
        at_seconds: The same place in the file of the mixdown that it is about.
        upload_id: The stem that it is about; null when that is gone for good.
        export_id: The mixdown that it is about; null when that is gone.
        pinned_name: The name of that stem or mixdown when the comment was written.
        resolved: Whether the thread is done with. Replies are as their first comment says.
        resolved_by: Who said so.
        resolved_at: When.
        created_at: When it was written.
        edited_at: When its text was changed last.
        guest: Whether a guest wrote it, who has no account, under any name.
    """

    id: CommentId
    session_id: SessionId
    parent_id: CommentId | None
    author: Actor
    text: str | None
    at_beat: float | None
    at_seconds: float | None
    upload_id: UploadId | None
    export_id: ExportId | None
    pinned_name: str | None
    resolved: bool
    resolved_by: Actor | None
    resolved_at: datetime | None
    created_at: datetime
    edited_at: datetime | None
    guest: bool = False
