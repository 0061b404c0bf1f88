"""`GET /api/rooms/{roomId}/messages`: the kept messages of a session's room (SPEC 3, 5.2).

Members of the session read them; for all others the room does not exist. The gateway writes them. Overload of the
database: 503 with `Retry-After`.
"""

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.errors import InvalidInput
from omnisonic.http.core.inputs import Input, Query
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.responses import MessageList, json_response
from omnisonic.models import LoginId, RoomId
from omnisonic.models.checks import checked_room_id
from omnisonic.studio.messages.message_store import LAST_NUMBER, LONGEST_PAGE, MessageStore

DEFAULT_PAGE: Final = 50
"""Messages on a page when the query has no `limit`."""
CURSOR_PATTERN: Final = "[1-9][0-9]{0,17}"


class MessageQuery(Input):
    """A page of the messages."""

    limit: int = Field(default=DEFAULT_PAGE, ge=1, le=LONGEST_PAGE, description="Most messages to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR_PATTERN}$"})] | None = Field(
        default=None, description="List what was said earlier: the `nextBefore` of an earlier answer."
    )


def parse_cursor(text: str | None) -> int:
    """Parse the value of `before`. Raises `InvalidInput` (`invalid_before`)."""
    if text is None:
        return LAST_NUMBER
    if re.fullmatch(CURSOR_PATTERN, text) is None:
        raise InvalidInput("before must be a nextBefore of an earlier answer.", code="invalid_before")
    return int(text)


class Messages:
    """The route. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, messages: MessageStore, login: Callable[[], LoginId]) -> None:
        self._messages = messages
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("messages", __name__, url_prefix="/api/rooms")
        routes.get("/<path:room_id>/messages")(self.read)
        return routes

    @describe_route(MessageList, 400, 401, 404, 503, query=MessageQuery, security=COOKIE)
    async def read(self, room_id: RoomId) -> Response:
        """List the kept messages of a session's room, newest first. For its members."""
        room, query = checked_room_id(room_id), Query()
        limit = query.number("limit", default=DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
        before = parse_cursor(query.get("before"))
        page = await self._messages.read(self._login(), room, limit=limit, before=before)
        return json_response(MessageList(page.messages, None if page.next_before is None else str(page.next_before)))
