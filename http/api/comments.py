"""`/api/sessions/{id}/comments` and `/api/comments/{id}`: comments in sessions (SPEC 3).

The store decides who may do what (`omnisonic.studio.comments`). The live room is notified of each change; a bus that
does not answer is logged and fails no request. Overload of the database: 503 with `Retry-After`.
"""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.sessions import CURSOR_PATTERN, format_cursor, parse_cursor
from omnisonic.http.core.inputs import Id, Input, Query, read_json, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.openapi_schemas import text_schema
from omnisonic.http.core.responses import CommentAnswer, CommentList, Ok, json_response
from omnisonic.models import LoginId, SessionId
from omnisonic.models.checks import checked_comment
from omnisonic.models.comments import COMMENT_LENGTH, Comment, CommentId
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.comments import LONGEST_PAGE, NewComment
from omnisonic.studio.comments.comment_store import CommentStore
from omnisonic.wire.payloads import CommentGone
from omnisonic.wire.transport import LAST_BEAT

DEFAULT_PAGE: Final = 50
"""Comments on a page when the query has no `limit`."""

CommentText = Annotated[str, AfterValidator(checked_comment), WithJsonSchema(text_schema(COMMENT_LENGTH))]
Beat = Annotated[float, Field(ge=0, le=LAST_BEAT)]


class CommentQuery(Input):
    """A page of comments."""

    limit: int = Field(default=DEFAULT_PAGE, ge=1, le=LONGEST_PAGE, description="Most comments to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR_PATTERN}$"})] | None = Field(
        default=None, description="List what comes after: the `nextBefore` of an earlier answer, or a time."
    )


class CommentToAdd(Input):
    """A comment, and what it is about: a beat, a stem or a mixdown, or nothing. A reply has only its `parentId`."""

    text: CommentText
    at_beat: Beat | None = None
    upload_id: Id | None = None
    export_id: Id | None = None
    parent_id: Id | None = None


class CommentChange(Input):
    """What to change. Absent or null means no change."""

    text: CommentText | None = None
    resolved: bool | None = None


class Comments:
    """The routes. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, store: CommentStore, room_events: RoomEvents, login: Callable[[], LoginId]) -> None:
        self._store = store
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("comments", __name__, url_prefix="/api")
        routes.get("/sessions/<id:session_id>/comments")(self.list)
        routes.post("/sessions/<id:session_id>/comments")(self.add)
        routes.patch("/comments/<id:comment_id>")(self.change)
        routes.delete("/comments/<id:comment_id>")(self.remove)
        return routes

    @describe_route(CommentList, 400, 401, 404, 503, query=CommentQuery, security=COOKIE)
    async def list(self, session_id: SessionId) -> Response:
        """List the comments in a session, newest first. Replies come before the first comment of their thread."""
        login, query = self._login(), Query()
        limit = query.number("limit", default=DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
        page = await self._store.list(login, session_id, limit=limit, before=parse_cursor(query.get("before")))
        return json_response(CommentList(page.comments, format_cursor(page.next_before)))

    @describe_route(
        CommentAnswer,
        400,
        401,
        403,
        404,
        408,
        409,
        413,
        415,
        503,
        status=201,
        body=CommentToAdd,
        security=COOKIE,
    )
    async def add(self, session_id: SessionId) -> Response:
        """Write a comment or a reply. For everybody with a role. The live room is notified."""
        login = self._login()
        wanted = await read_json(CommentToAdd)
        new = NewComment(wanted.text, wanted.at_beat, wanted.upload_id, wanted.export_id, wanted.parent_id)
        comment = await self._store.add(login, session_id, new)
        await self._room_events.publish(news_of_comment("comment.added", comment))
        return json_response(CommentAnswer(comment), 201)

    @describe_route(CommentAnswer, 400, 401, 403, 404, 408, 413, 415, 503, body=CommentChange, security=COOKIE)
    async def change(self, comment_id: CommentId) -> Response:
        """Change the text of a comment of one's own, or resolve or reopen a thread. The live room is notified."""
        login = self._login()
        wanted = await read_json(CommentChange)
        comment, is_changed = await self._store.change(login, comment_id, text=wanted.text, resolved=wanted.resolved)
        if is_changed:
            await self._room_events.publish(news_of_comment("comment.changed", comment))
        return json_response(CommentAnswer(comment))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def remove(self, comment_id: CommentId) -> Response:
        """Remove a comment. For its author and the session's owner; what a guest wrote, also for every editor.

        With replies it stays, without its text.
        """
        refuse_body()
        removed = await self._store.remove(self._login(), comment_id)
        news = [news_of_comment_removal(gone) for gone in removed.gone]
        if removed.emptied is not None:
            news.append(news_of_comment("comment.changed", removed.emptied))
        await self._room_events.publish(*news)
        return json_response(Ok())


def news_of_comment(type_: str, comment: Comment) -> RoomSaid:
    """What the room is told of the comment as it is now."""
    return RoomSaid(comment.session_id, type_, msgspec.Raw(msgspec.json.encode(comment)))


def news_of_comment_removal(comment: Comment) -> RoomSaid:
    """What the room is told when the comment is gone."""
    gone = CommentGone(comment.id, comment.session_id, comment.parent_id)
    return RoomSaid(comment.session_id, "comment.removed", msgspec.Raw(msgspec.json.encode(gone)))
