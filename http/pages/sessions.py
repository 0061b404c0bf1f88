"""The pages of sessions: the list, the studio, and invites (SPEC 6).

Changes go through the API, or through a form with its CSRF token. Pages show the state when they are opened, also
without scripts, and the scripts keep them up to date. The store decides who may see what. Strangers are sent to sign
in, and come back.
"""

from typing import Final
from urllib.parse import urlsplit

from quart import Blueprint, Response, request
from quart_schema import hide

from omnisonic.http.api.invites import invite_digest, owner_name
from omnisonic.http.api.session_presence import SessionPresence
from omnisonic.http.api.sessions import DEFAULT_PAGE, NewSession, format_cursor, parse_cursor, parse_search
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.cookies import Csrf
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import read_post
from omnisonic.http.core.security import MICROPHONE, live_page
from omnisonic.http.pages.page_context import SEE_OTHER, PageContext, redirect_to
from omnisonic.models import UNTITLED, Person
from omnisonic.settings.settings import Settings
from omnisonic.studio.sessions import NotSignedIn, SessionStore

LIST: Final = "/sessions"


class SessionPages:
    """The routes for people who are signed in. `gateway_port` is as in `create_app`."""

    def __init__(
        self,
        settings: Settings,
        page_context: PageContext,
        current_user: CurrentUser,
        csrf: Csrf,
        sessions: SessionStore,
        presence: SessionPresence,
        *,
        gateway_port: int,
    ) -> None:
        self._gateway_url = settings.gateway_public_url
        self._gateway_port = gateway_port
        self._page_context = page_context
        self._current_user = current_user
        self._csrf = csrf
        self._sessions = sessions
        self._presence = presence

    def blueprint(self) -> Blueprint:
        routes = Blueprint("session_pages", __name__)
        routes.get(LIST)(self.list)
        routes.post(LIST)(self.create)
        routes.get(f"{LIST}/<id:session_id>")(self.studio)
        routes.get("/invites/<token>")(self.offer)
        routes.post("/invites/<token>")(self.accept)
        routes.errorhandler(NotSignedIn)(self.redirect_stranger)
        return routes

    @hide
    async def list(self) -> Response:
        """Show the sessions of the current user, those first where something happened last."""
        person = await self._person()
        before, search = parse_cursor(request.args.get("before")), parse_search(request.args.get("q"))
        listing = await self._sessions.list(
            self._current_user.login(), limit=DEFAULT_PAGE, before=before, order="activity", search=search
        )
        return await self._page_context.render(
            "sessions.html",
            person,
            live_page(),
            sessions=await self._presence.add_counts(listing.sessions),
            next_before=format_cursor(listing.next_before),
            is_later=before is not None,
            search=search,
        )

    @hide
    async def create(self) -> Response:
        """Create a session from the form. The page's script uses the API instead."""
        login = self._current_user.login()
        post = await read_post()
        if not post.is_form:
            # What is posted as JSON has been let in by its origin, but has its own address.
            raise Refusal(415, "unsupported_media_type", "Programs make sessions at /api/sessions.")
        self._csrf.check(post.fields.get("csrfToken"))
        session = await self._sessions.create(login, post.as_shape(NewSession).name or UNTITLED)
        return redirect_to(f"{LIST}/{session.id}", SEE_OTHER)

    @hide
    async def studio(self, session_id: str) -> Response:
        """Show one session: its room, its people, its tempo."""
        person = await self._person()
        session = await self._sessions.get(self._current_user.login(), session_id)
        policy = live_page(sockets=self._gateway_sources(request.host), plays=True)
        page = await self._page_context.render("studio.html", person, policy, session=session)
        page.headers["Permissions-Policy"] = MICROPHONE
        return page

    @hide
    async def offer(self, token: str) -> Response:
        """Show what an invite offers, and the form that accepts it. Changes nothing."""
        person = await self._person()
        offer = await self._sessions.offer(invite_digest(token))
        return await self._page_context.render("invite.html", person, live_page(), offer=offer, owner=owner_name(offer))

    @hide
    async def accept(self, token: str) -> Response:
        """Accept an invite from the page's form, and open the session."""
        login = self._current_user.login()
        post = await read_post()
        if not post.is_form:
            raise Refusal(415, "unsupported_media_type", "Programs accept invites at /api/invites.")
        self._csrf.check(post.fields.get("csrfToken"))
        session_id = await self._sessions.accept(login, invite_digest(token))
        return redirect_to(f"{LIST}/{session_id}", SEE_OTHER)

    async def redirect_stranger(self, _error: NotSignedIn) -> Response:
        """Redirect a stranger to the sign-in page, which leads back."""
        return self._page_context.to_sign_in()

    async def _person(self) -> Person:
        person = await self._page_context.person()
        if person is None:
            raise NotSignedIn
        return person

    def _gateway_sources(self, host: str) -> str:
        """The only server that the page may open WebSockets to: the gateway."""
        if self._gateway_url:
            parts = urlsplit(self._gateway_url)
            return f"{parts.scheme}://{parts.netloc}"
        if host.startswith("["):
            # A policy cannot name an IPv6 address (CSP 3, 2.3.1: host-source).
            return "ws: wss:"
        name = host.partition(":")[0]
        return f"ws://{name}:{self._gateway_port} wss://{name}:{self._gateway_port}"
