"""`/api/export/{id}/shares`: links to a mixdown for people without an account (SPEC 3).

What a link leads to is in `.listening` and on the page of `omnisonic.http.pages.listen`. A link is shown once, when it
is made: only a digest of its secret is stored. Overload: a mixdown has at most `MOST_SHARES` links that hold. Database
down: 503 with `Retry-After`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Self

import msgspec
from pydantic import Field
from quart import Blueprint, Response, request

from omnisonic.http.core.callback_urls import own_origin
from omnisonic.http.core.inputs import Input, read_json, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.responses import Ok, json_response
from omnisonic.models import ExportId, LoginId
from omnisonic.settings.settings import Settings
from omnisonic.studio.shares import (
    LONGEST_EXPIRY,
    Share,
    ShareId,
    Sharer,
    ShareTerms,
    new_token,
    token_digest,
)
from omnisonic.studio.shares.share_store import ShareStore


class NewShare(Input):
    """A link to make."""

    expires_at: Annotated[str, Field(max_length=LONGEST_EXPIRY)] | None = Field(
        default=None, description="When it ends, in ISO 8601 with its zone: at most a year from now. Else in 30 days."
    )
    download: bool = Field(default=False, description="Whether whoever has the link may download the mixdown.")
    comments: bool = Field(default=True, description="Whether they may comment on it.")


class ShareChanges(Input):
    """What to change of a link. Absent or null means no change."""

    download: bool | None = None
    comments: bool | None = None


class NewShareAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A link, which is shown only now, and what it allows."""

    url: str
    id: ShareId
    export_id: ExportId
    created_at: datetime
    expires_at: datetime
    download: bool
    comments: bool
    plays: int
    shared_by: Sharer | None

    @classmethod
    def of(cls, share: Share, url: str) -> Self:
        """The response for a new link at `url`."""
        return cls(url, *[getattr(share, field) for field in Share.__struct_fields__])


class ShareAnswer(msgspec.Struct, frozen=True):
    """The link as it is now."""

    share: Share


class ShareList(msgspec.Struct, frozen=True):
    """The links to a mixdown that hold, newest first. Their addresses are not stored."""

    shares: list[Share]


class Shares:
    """The routes. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, settings: Settings, store: ShareStore, login: Callable[[], LoginId]) -> None:
        self._settings = settings
        self._store = store
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("shares", __name__, url_prefix="/api/export/<id(length=36):export_id>/shares")
        routes.post("")(self.create)
        routes.get("")(self.list)
        routes.patch("/<id:share_id>")(self.change)
        routes.delete("/<id:share_id>")(self.revoke)
        return routes

    @describe_route(
        NewShareAnswer, 400, 401, 403, 404, 408, 409, 413, 415, 503, status=201, body=NewShare, security=COOKIE
    )
    async def create(self, export_id: ExportId) -> Response:
        """Make a link to a finished mixdown. For the session's owner and editors."""
        login = self._login()
        wanted = await read_json(NewShare)
        token = new_token()
        terms = ShareTerms(wanted.expires_at, wanted.download, wanted.comments)
        share = await self._store.create(login, export_id, token_digest(token), terms)
        url = f"{own_origin(self._settings, request.host)}/listen/{token}"
        return json_response(NewShareAnswer.of(share, url), 201)

    @describe_route(ShareList, 401, 404, 503, security=COOKIE)
    async def list(self, export_id: ExportId) -> Response:
        """List the links to a mixdown that hold. For everybody with a role in the session."""
        return json_response(ShareList(await self._store.list(self._login(), export_id)))

    @describe_route(ShareAnswer, 400, 401, 403, 404, 408, 413, 415, 503, body=ShareChanges, security=COOKIE)
    async def change(self, export_id: ExportId, share_id: ShareId) -> Response:
        """Change whether a link allows downloads and comments. For the session's owner and editors."""
        login = self._login()
        wanted = await read_json(ShareChanges)
        changes = {"download": wanted.download, "comments": wanted.comments}
        return json_response(ShareAnswer(await self._store.change(login, export_id, share_id, **changes)))

    @describe_route(Ok, 401, 403, 404, 415, 503, security=COOKIE)
    async def revoke(self, export_id: ExportId, share_id: ShareId) -> Response:
        """Revoke a link: it does not play any more. For the session's owner and editors."""
        refuse_body()
        await self._store.revoke(self._login(), export_id, share_id)
        return json_response(Ok())
