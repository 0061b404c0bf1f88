"""The pages that need no session: the landing page, how it works, signing in and out (SPEC 6).

Pages are rendered here and load files from here alone. Their policy allows our scripts and our gateway, and nothing
else. Pages that need a login are in `omnisonic.http.pages.sessions`.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from quart import Blueprint, Response, request
from quart_schema import hide

from omnisonic.http.core.client_module import ClientModule
from omnisonic.http.core.security import live_page
from omnisonic.http.core.static_files import StaticFiles
from omnisonic.http.pages.page_context import PageContext, colour_class, initials, redirect_to, shown_name
from omnisonic.settings.settings import Settings

PROVIDER_NAMES: Final[Mapping[str, str]] = {"github": "GitHub", "google": "Google", "discord": "Discord"}
SIGN_IN_PROBLEMS: Final[Mapping[str, str]] = {
    "CredentialsSignin": "That email and password do not belong together. Try again.",
    "OAuthAccountNotLinked": "There is an account with that email already. Sign in the way you did before.",
    "OAuthSignin": "The other site cannot be reached now. Try again in a moment.",
    "OAuthCallback": "The other site did not let you in. Try again, or sign in another way.",
    "OAuthCreateAccount": "Your account could not be made. Try again.",
    "Callback": "Signing in did not work. Try again.",
    "AccessDenied": "You turned the request down on the other site. Try again, or sign in another way.",
    "SessionRequired": "Sign in first, and you get to the page you asked for.",
    "TooManyTries": "Too many attempts. Wait a minute, then try again.",
    "Csrf": "This page had gone stale. Try again.",
    "Unavailable": "That does not work right now. Try again in a moment.",
}
"""NextAuth's error codes, and ours, in words."""
SOME_PROBLEM: Final = "That did not work. Try again."


class PublicPages:
    """The routes for anybody."""

    def __init__(self, settings: Settings, page_context: PageContext) -> None:
        self._settings = settings
        self._page_context = page_context
        self.files = StaticFiles()
        self._client_module = ClientModule()

    def blueprint(self) -> Blueprint:
        routes = Blueprint("pages", __name__)
        routes.get("/")(self.home)
        routes.get("/about")(self.about)
        routes.get("/signin")(self.sign_in)
        routes.get("/signout")(self.sign_out)
        routes.get("/static/<digest>/<path:name>")(self.static)
        routes.get("/client/<name>")(self.client)
        routes.app_template_global("asset")(self.files.url)
        routes.app_template_global("imported")(self.files.imported)
        for filter_ in (shown_name, initials, colour_class):
            routes.app_template_filter(filter_.__name__)(filter_)
        return routes

    @hide
    async def home(self) -> Response:
        """Show the landing page."""
        return await self._page_context.public("home.html")

    @hide
    async def about(self) -> Response:
        """Show how it works."""
        return await self._page_context.public("about.html")

    @hide
    async def sign_in(self) -> Response:
        """Show the sign-in page, or go on to the page in `callbackUrl`."""
        person, callback = await self._page_context.person(), self._page_context.callback()
        error = request.args.get("error", "")
        if person is not None and not error:
            return redirect_to(callback)
        return await self._page_context.render(
            "signin.html",
            None,
            live_page(forms=self._provider_sources()),
            callback=callback,
            problem=problem_in_words(error),
            credentials_on=self._settings.credentials_on,
            registers=self._settings.credentials_on and not self._settings.is_production,
            providers=[(name, PROVIDER_NAMES[name]) for name in self._settings.providers_on],
        )

    @hide
    async def sign_out(self) -> Response:
        """Show the sign-out page: following a link ends nothing."""
        person = await self._page_context.person()
        if person is None:
            return redirect_to("/")
        problem = problem_in_words(request.args.get("error", ""))
        return await self._page_context.render("signout.html", person, live_page(), problem=problem)

    @hide
    async def static(self, digest: str, name: str) -> Response:
        """Serve a static file."""
        return self.files.response(digest, name)

    @hide
    async def client(self, name: str) -> Response:
        """Serve the client for JavaScript."""
        return self._client_module.response(name)

    def _provider_sources(self) -> str:
        """The origins that the providers' buttons lead to."""
        urls = [urlsplit(getattr(self._settings, f"{name}_base_url")) for name in self._settings.providers_on]
        return " ".join(sorted({f"{url.scheme}://{url.netloc}" for url in urls}))


def problem_in_words(error: str) -> str:
    """The sentence for NextAuth's error code; empty without one."""
    return SIGN_IN_PROBLEMS.get(error, SOME_PROBLEM) if error else ""
