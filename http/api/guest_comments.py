"""`/api/listen/{token}/comments`: what guests say of a shared mixdown (SPEC 3). No account, and no cookie.

A comment is JSON, which no foreign page can send without asking first, and the request filter refuses foreign origins
besides (`omnisonic.http.core.security`). Overload: `BY_ADDRESS` and `BY_LINK` bound how many are written, from one
address and through one link; what is over them is 429 with `Retry-After`. Guard down: 503, nobody writes.
"""

from typing import Annotated, Final

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.http.api.comments import news_of_comment
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.inputs import Input, read_json
from omnisonic.http.core.openapi import describe_route
from omnisonic.http.core.openapi_schemas import name_schema, text_schema
from omnisonic.http.core.responses import json_response
from omnisonic.models import DISPLAY_NAME_LENGTH
from omnisonic.models.checks import checked_name, checked_text
from omnisonic.settings.fields import Networks
from omnisonic.stores.guard import Allowance, Guard
from omnisonic.studio.shares import GUEST_COMMENT_LENGTH, GuestComment, token_digest
from omnisonic.studio.shares.guest_comments import GuestComments

BY_ADDRESS: Final = ("guest comments by address", 0.05, 6)
"""One in 20 s, and six at once after a pause: several people may share an address."""
BY_LINK: Final = ("guest comments by link", 0.2, 30)
LONGEST_S: Final = 86_400.0


def _guest_name(value: str) -> str:
    return checked_name(value.strip(), name="name", longest=DISPLAY_NAME_LENGTH)


def _guest_text(value: str) -> str:
    return checked_text(value, longest=GUEST_COMMENT_LENGTH)


class NewGuestComment(Input):
    """A comment under a name. `atSeconds` is the place in the mixdown that it is about; null for the whole."""

    name: Annotated[str, AfterValidator(_guest_name), WithJsonSchema(name_schema(DISPLAY_NAME_LENGTH))]
    text: Annotated[str, AfterValidator(_guest_text), WithJsonSchema(text_schema(GUEST_COMMENT_LENGTH))]
    at_seconds: Annotated[float, Field(ge=0, le=LONGEST_S)] | None = None


class GuestCommentAnswer(msgspec.Struct, frozen=True):
    """The comment as other guests see it."""

    comment: GuestComment


class GuestCommentList(msgspec.Struct, frozen=True):
    """What was written through a link, oldest first."""

    comments: list[GuestComment]


class GuestCommentRoutes:
    """The routes. `proxies` are trusted to name the client's address."""

    def __init__(self, comments: GuestComments, guard: Guard, room_events: RoomEvents, proxies: Networks) -> None:
        self._comments = comments
        self._guard = guard
        self._room_events = room_events
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        routes = Blueprint("guest_comments", __name__, url_prefix="/api/listen/<token>/comments")
        routes.get("")(self.list)
        routes.post("")(self.add)
        return routes

    @describe_route(GuestCommentList, 403, 404, 410, 503)
    async def list(self, token: str) -> Response:
        """List what was written through this link, oldest first."""
        return json_response(GuestCommentList(await self._comments.list(token_digest(token))))

    @describe_route(
        GuestCommentAnswer, 400, 403, 404, 408, 409, 410, 413, 415, 429, 503, status=201, body=NewGuestComment
    )
    async def add(self, token: str) -> Response:
        """Comment on a shared mixdown, under a name. The live room is notified."""
        wanted, digest = await read_json(NewGuestComment), token_digest(token)
        await self._check_rate(digest)
        comment = await self._comments.add(digest, wanted.name, wanted.text, wanted.at_seconds)
        await self._room_events.publish(news_of_comment("comment.added", comment))
        seen = GuestComment(comment.id, comment.author.name, wanted.text, comment.at_seconds, comment.created_at)
        return json_response(GuestCommentAnswer(seen), 201)

    async def _check_rate(self, digest: str) -> None:
        names = (BY_ADDRESS, request_address(self._proxies)), (BY_LINK, digest)
        wait_s = await self._guard.spend([Allowance(kind, name, rate, burst) for (kind, rate, burst), name in names])
        if wait_s > 0:
            message = "That was much at once. Wait a moment, then send it again."
            raise Refusal(429, "too_many_guest_comments", message, headers=retry_after(wait_s))
