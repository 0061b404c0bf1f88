"""What every page has: the person who looks at it, their menu, and its Content-Security-Policy (SPEC 6).

Database down: a public page is rendered without its menu; a page that belongs to somebody is 503 instead.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from quart import Response, render_template, request

from omnisonic.errors import Unavailable
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.callback_urls import own_origin, own_path
from omnisonic.http.core.cookies import Csrf
from omnisonic.http.core.security import live_page
from omnisonic.models import DISPLAY_NAME_LENGTH, Person, called
from omnisonic.settings.settings import Settings
from omnisonic.studio.accounts.account_store import AccountStore

COLOURS: Final = 10
HTML: Final = "text/html; charset=utf-8"
FOUND: Final = 302
SEE_OTHER: Final = 303


class PageContext:
    """Renders pages for the current user, found in `accounts`. `csrf` protects the forms in the menu."""

    def __init__(self, settings: Settings, current_user: CurrentUser, accounts: AccountStore, csrf: Csrf) -> None:
        self._settings = settings
        self._current_user = current_user
        self._accounts = accounts
        self._csrf = csrf

    async def person(self) -> Person | None:
        """The person signed in; None for a stranger. Raises `Unavailable`."""
        login = self._current_user.login_or_none()
        signed_in = None if login is None else await self._accounts.signed_in(login)
        return None if signed_in is None else signed_in.person

    async def public(self, template: str, **context: Any) -> Response:
        """Render a page that anybody may see."""
        try:
            person = await self.person()
        except Unavailable:
            person = None
        return await self.render(template, person, live_page(), **context)

    async def render(self, template: str, person: Person | None, policy: str, **context: Any) -> Response:
        """Render `template` for `person`."""
        token: Callable[[], str] = self._csrf.token_for_page
        page = await render_template(template, person=person, csrf_token=token, **context)
        return Response(page, headers={"Content-Security-Policy": policy}, content_type=HTML)

    def callback(self) -> str:
        """The path in the query's `callbackUrl`: always a page of our own."""
        return own_path(request.args.get("callbackUrl"), own_origin(self._settings, request.host))

    def to_sign_in(self) -> Response:
        """Redirect to the sign-in page, which leads back to the current page."""
        query = request.query_string.decode("latin-1")
        here = request.path + (f"?{query}" if query else "")
        return redirect_to(f"/signin?callbackUrl={quote(here, safe='')}")


def redirect_to(path: str, status: int = FOUND) -> Response:
    """Redirect to another page of ours."""
    return Response("", status, {"Location": path}, content_type=HTML)


def shown_name(person: Person) -> str:
    """The name to show for a person: their name, or the part of their e-mail address before the @."""
    name = called(person)
    return name[:DISPLAY_NAME_LENGTH] or "Somebody"


def initials(name: str) -> str:
    """Two letters for an avatar, as roster.js makes them."""
    words = name.split()
    return (words[0][:1] + (words[-1][:1] if len(words) > 1 else "")).upper() if words else ""


def colour_class(member_id: str) -> str:
    """One of ten colours, the same as roster.js gives: FNV-1a over the id's UTF-8."""
    digest = 0x811C9DC5
    for byte in member_id.encode():
        digest = ((digest ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"colour-{digest % COLOURS}"
