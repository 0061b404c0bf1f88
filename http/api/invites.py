"""Invites: links that share a session (SPEC 3). `/api/sessions/{id}/invites` and `/api/invites/{token}`.

Opening a link changes nothing, whoever opens it: people, chat previews, browsers that prefetch. Accepting takes a POST
by somebody signed in, here or by the form of the page (`omnisonic.http.pages.sessions`).

Only a digest of a link's secret is stored, so that reading the database opens no link. Overload: a session has at most
`MOST_INVITES` at a time. Database down: 503 with `Retry-After`.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final

from quart import Blueprint, Response, request

from omnisonic.http.api.session_presence import SessionPresence
from omnisonic.http.core.callback_urls import own_origin
from omnisonic.http.core.inputs import Input, read_json, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.responses import InviteAnswer, InviteList, OfferAnswer, Ok, SessionAnswer, json_response
from omnisonic.models import GivenRole, InviteId, LoginId, SessionId, called
from omnisonic.settings.settings import Settings
from omnisonic.studio.sessions import Offer, SessionStore

TOKEN_BYTES: Final = 24
NAMELESS: Final = "Somebody"


class NewInvite(Input):
    """An invite to create, and the role of those who accept it: by default they are editors."""

    role: GivenRole | None = None


class Invites:
    """The routes. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(
        self, settings: Settings, sessions: SessionStore, presence: SessionPresence, login: Callable[[], LoginId]
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._presence = presence
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("invites", __name__, url_prefix="/api")
        routes.post("/sessions/<id:session_id>/invites")(self.invite)
        routes.get("/sessions/<id:session_id>/invites")(self.list)
        routes.delete("/sessions/<id:session_id>/invites")(self.withdraw_all)
        routes.delete("/sessions/<id:session_id>/invites/<id:invite_id>")(self.withdraw)
        routes.get("/invites/<token>")(self.look)
        routes.post("/invites/<token>")(self.accept)
        return routes

    @describe_route(InviteAnswer, 401, 403, 404, 408, 409, 413, 415, 503, status=201, body=NewInvite, security=COOKIE)
    async def invite(self, session_id: SessionId) -> Response:
        """Create a link that shares the session. For its owner only."""
        login = self._login()
        wanted = await read_json(NewInvite)
        token = new_invite()
        invite = await self._sessions.invite(login, session_id, invite_digest(token), wanted.role or "editor")
        url = f"{own_origin(self._settings, request.host)}/invites/{token}"
        return json_response(InviteAnswer(url, invite.id, invite.role, invite.expires_at), 201)

    @describe_route(InviteList, 401, 403, 404, 503, security=COOKIE)
    async def list(self, session_id: SessionId) -> Response:
        """List the session's valid invites. For its owner only."""
        return json_response(InviteList(await self._sessions.invites(self._login(), session_id)))

    @describe_route(Ok, 401, 403, 404, 415, 503, security=COOKIE)
    async def withdraw(self, session_id: SessionId, invite_id: InviteId) -> Response:
        """Withdraw an invite: its link stops working. For the session's owner only."""
        refuse_body()
        await self._sessions.withdraw(self._login(), session_id, invite_id)
        return json_response(Ok())

    @describe_route(Ok, 401, 403, 404, 415, 503, security=COOKIE)
    async def withdraw_all(self, session_id: SessionId) -> Response:
        """Withdraw all invites to the session. For its owner only."""
        refuse_body()
        await self._sessions.withdraw(self._login(), session_id)
        return json_response(Ok())

    @describe_route(OfferAnswer, 404, 503)
    async def look(self, token: str) -> Response:
        """Get what an invite offers. Changes nothing."""
        offer = await self._sessions.offer(invite_digest(token))
        return json_response(OfferAnswer(offer.session_name, owner_name(offer), offer.role, offer.invite_ends_at))

    @describe_route(SessionAnswer, 401, 403, 404, 415, 503, security=COOKIE)
    async def accept(self, token: str) -> Response:
        """Accept an invite: the session is shared with the caller, in the invite's role.

        Nobody loses by it: the owner and editors stay what they are, and a listener becomes an editor by an editor's
        invite.
        """
        refuse_body()
        login = self._login()
        session = await self._sessions.get(login, await self._sessions.accept(login, invite_digest(token)))
        return json_response(SessionAnswer(*await self._presence.add_counts([session])))


def owner_name(offer: Offer) -> str:
    """The name of the session's owner."""
    return called(offer.owner) or NAMELESS


def new_invite() -> str:
    """Make a secret for a link, `/invites/<token>`."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def invite_digest(token: str) -> str:
    """The digest of a token that the database stores: SHA-256 in base64url, 43 characters."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
