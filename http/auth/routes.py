"""`/api/auth`: NextAuth's REST endpoints (SPEC 4): signing in, signing out, and who is signed in.

No GET changes anything, but for a provider's answer that comes back. Posts are forms with a CSRF token, or JSON, which
the `Origin` check at the door guards. Pages' forms are answered with redirects, to `/signin?error=` when something is
wrong; NextAuth's clients (`json=true`, or `X-Auth-Return-Redirect`) and programs with `{"url"}`, and with a status.

Signing in always makes a new sign-in and ends the one whose cookie came along. Overload, and what this stands on being
down: 503, and nobody is signed in; signing out never fails because of the bus. Shutdown: `close`, with the app.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import msgspec
from pydantic import BaseModel
from quart import Blueprint, Response, request

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.http.auth.credentials import Credentials, CredentialsSignIn, PasswordThreads
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.auth.oauth import OAuth
from omnisonic.http.auth.provider_client import ProviderDown, ProviderRefused
from omnisonic.http.auth.responses import (
    FOUND,
    SIGN_IN_PAGE,
    SIGN_OUT_PAGE,
    AnswerHeader,
    ClientLogForm,
    ClientVersions,
    CredentialsForm,
    CsrfAnswer,
    Going,
    GoingForm,
    ProviderAnswer,
    ProvidersAnswer,
    SignedInAnswer,
    SignInProblem,
    UrlAnswer,
    nextauth_error,
    page_url,
    redirect,
    respond_failure,
    respond_success,
)
from omnisonic.http.core.callback_urls import AFTER_SIGN_IN, HOME, own_origin, own_path
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.cookies import Csrf
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Post, read_post
from omnisonic.http.core.openapi import COOKIE_IF_ANY, describe_route
from omnisonic.http.core.responses import Ok, encoded_response, json_response
from omnisonic.models import LoginId, UserId
from omnisonic.settings.providers import PROVIDERS
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import LoginEnded, encode
from omnisonic.stores.guard import Guard
from omnisonic.studio.accounts import AccountStore, NotLinked

PATH: Final = "/api/auth"
BUS_TIMEOUT_S: Final = 1.0
POST_PROBLEMS: Final[Mapping[int, type[msgspec.Struct]]] = dict.fromkeys((400, 403, 503), SignInProblem)
SIGN_IN_PROBLEMS: Final[Mapping[int, type[msgspec.Struct]]] = dict.fromkeys(
    (*POST_PROBLEMS, 401, 404, 429, 502), SignInProblem
)

log = logging.getLogger(__name__)


class Auth:
    """The routes, and what they are made of."""

    def __init__(
        self,
        settings: Settings,
        accounts: AccountStore,
        guard: Guard,
        bus: Bus,
        current_user: CurrentUser,
        csrf: Csrf,
        *,
        secret: str,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._bus = bus
        self._current_user = current_user
        self._csrf = csrf
        self._generations = ClientVersions(secure=settings.is_https)
        self._passwords = PasswordThreads()
        self._oauth = OAuth(settings, guard, secret=secret)
        self._credentials = CredentialsSignIn(accounts, guard, self._passwords, registers=not settings.is_production)
        self._ways: list[tuple[str, str, Literal["oauth", "credentials"]]] = [
            (provider.id, provider.name, "oauth") for provider in self._oauth.providers.values()
        ]
        if settings.credentials_on:
            self._ways.append(("credentials", "Email", "credentials"))

    def blueprint(self) -> Blueprint:
        routes = Blueprint("auth", __name__, url_prefix=PATH)
        routes.get("/providers")(self.providers)
        routes.get("/csrf")(self.csrf)
        routes.get("/session")(self.session)
        routes.get("/signin")(self.sign_in_page)
        routes.get("/signin/<provider>")(self.provider_page)
        routes.post("/signin/<provider>")(self.sign_in)
        routes.get(f"/callback/<any({','.join(PROVIDERS)}):provider>")(self.callback)
        routes.post("/callback/credentials")(self.credentials)
        routes.get("/signout")(self.sign_out_page)
        routes.post("/signout")(self.sign_out)
        routes.get("/error")(self.error)
        routes.post("/_log")(self.client_log)
        routes.after_app_serving(self.close)
        return routes

    async def close(self) -> None:
        """Let go of threads and connections. Safe to call twice."""
        self._passwords.close()
        await self._oauth.aclose()

    @describe_route(ProvidersAnswer)
    async def providers(self) -> Response:
        """List the ways to sign in."""
        base = self._origin() + PATH
        ways = {
            id_: ProviderAnswer(id_, name, kind, f"{base}/signin/{id_}", f"{base}/callback/{id_}")
            for id_, name, kind in self._ways
        }
        return json_response(ProvidersAnswer(**ways))

    @describe_route(CsrfAnswer)
    async def csrf(self) -> Response:
        """Give the token that the forms of this API carry, and its cookie."""
        return json_response(CsrfAnswer(self._csrf.token_for_page()))

    @describe_route((SignedInAnswer, type(None)), 503, security=COOKIE_IF_ANY)
    async def session(self) -> Response:
        """Say who is signed in, and until when. Nobody is an empty object; `null` to who sends a JSON Content-Type."""
        login = self._current_user.login_or_none()
        found = None if login is None else await self._accounts.signed_in(login)
        if found is not None:
            return json_response(SignedInAnswer(found.person, found.expires))
        return encoded_response(b"null") if self._generations.nobody_is_null() else json_response(SignedInAnswer())

    @describe_route(None, redirects=(FOUND,))
    async def sign_in_page(self) -> Response:
        """Go to the page where people sign in."""
        return redirect(page_url(SIGN_IN_PAGE, error=request.args.get("error"), callback=self._asked_callback()))

    @describe_route(None, redirects=(FOUND,))
    async def provider_page(self, provider: str) -> Response:
        """Go to the page where people sign in: following a link begins nothing."""
        del provider
        return await self.sign_in_page()

    @describe_route(None, redirects=(FOUND,))
    async def sign_out_page(self) -> Response:
        """Go to the page where people sign out: following a link ends nothing."""
        return redirect(page_url(SIGN_OUT_PAGE, callback=self._asked_callback()))

    @describe_route(None, redirects=(FOUND,))
    async def error(self) -> Response:
        """Go to the page where people sign in, which says what went wrong."""
        return redirect(page_url(SIGN_IN_PAGE, error=request.args.get("error")))

    @describe_route(
        UrlAnswer,
        408,
        413,
        415,
        redirects=(FOUND,),
        problems=SIGN_IN_PROBLEMS,
        headers=AnswerHeader,
        body=Credentials,
        form=CredentialsForm,
    )
    async def credentials(self) -> Response:
        """Sign in by e-mail and password."""

        async def act(post: Post) -> str:
            if not self._settings.credentials_on:
                raise Refusal(404, "credentials_off", "Nobody signs in by e-mail and password here.")
            credentials = post.as_shape(Credentials)
            entry = await self._credentials.validate(credentials, request_address(self._settings.trusted_proxies))
            await self._open(entry.user, password_hash=entry.password_hash)
            return own_path(credentials.callback_url, self._origin())

        return await self._carried_out(act, Credentials, SIGN_IN_PAGE, AFTER_SIGN_IN)

    @describe_route(
        UrlAnswer,
        408,
        413,
        415,
        redirects=(FOUND,),
        problems=SIGN_IN_PROBLEMS,
        headers=AnswerHeader,
        body=Going,
        form=GoingForm,
    )
    async def sign_in(self, provider: str) -> Response:
        """Begin to sign in through a provider: the answer says where the browser goes."""

        async def act(post: Post) -> str:
            return await self._oauth.begin(
                provider,
                redirect_uri=f"{self._origin()}{PATH}/callback/{provider}",
                callback_path=own_path(post.as_shape(Going).callback_url, self._origin()),
            )

        return await self._carried_out(act, Going, SIGN_IN_PAGE, AFTER_SIGN_IN)

    @describe_route(None, 401, 404, 503, redirects=(FOUND,))
    async def callback(self, provider: str) -> Response:
        """Come back from a provider, signed in."""
        try:
            identity, path = await self._oauth.finish(provider)
            await self._open(await self._accounts.identify(identity))
        except (NotLinked, ProviderDown, ProviderRefused) as refusal:
            return redirect(page_url(SIGN_IN_PAGE, error=nextauth_error(refusal)))
        return redirect(path)

    @describe_route(
        UrlAnswer,
        408,
        413,
        415,
        redirects=(FOUND,),
        problems=POST_PROBLEMS,
        headers=AnswerHeader,
        body=Going,
        form=GoingForm,
    )
    async def sign_out(self) -> Response:
        """Sign out: the sign-in ends, and whoever is in a room by it leaves."""

        async def act(post: Post) -> str:
            path = own_path(post.as_shape(Going).callback_url, self._origin(), default=HOME)
            login = self._current_user.login_or_none()
            if login is not None and await self._accounts.end_login(login):
                await self._announce_end(login)
            self._current_user.sign_out()
            return path

        return await self._carried_out(act, Going, SIGN_OUT_PAGE, HOME)

    @describe_route(Ok, 408, 413, 415, form=ClientLogForm)
    async def client_log(self) -> Response:
        """Take what next-auth 4 has logged in a browser, and keep none of it."""
        await read_post()
        self._generations.note_next_auth_4()
        return json_response(Ok())

    async def _carried_out(
        self, act: Callable[[Post], Awaitable[str]], shape: type[BaseModel], page: str, default: str
    ) -> Response:
        """The answer to a post: to where `act` says, or back to `page`."""
        post = await read_post(shape)
        self._generations.note_post(post)
        try:
            if post.is_form:
                self._csrf.check(post.fields.get("csrfToken"))
            return respond_success(post, await act(post), self._origin())
        except OmnisonicError as error:
            asked = post.fields.get("callbackUrl")
            callback = own_path(asked if isinstance(asked, str) else None, self._origin(), default=default)
            return respond_failure(post, error, page, self._origin(), callback=callback)

    async def _open(self, user: UserId, *, password_hash: str | None = None) -> None:
        """Sign them in. The sign-in that this browser had is over, whosever it was."""
        before = self._current_user.login_or_none()
        token = await self._accounts.open_login(user, replacing=before, password_hash=password_hash)
        self._current_user.sign_in(token)
        if before is not None:
            await self._announce_end(before)

    async def _announce_end(self, login: LoginId) -> None:
        """Tell the rooms at once. They find out by themselves within a minute when they do not hear it."""
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S):
                await self._bus.publish(ROOM_EVENTS, encode(LoginEnded(login)))
        except (TimeoutError, Unavailable):
            log.warning("login.end_not_announced")

    def _asked_callback(self) -> str | None:
        asked = request.args.get("callbackUrl")
        return own_path(asked, self._origin()) if asked else None

    def _origin(self) -> str:
        return own_origin(self._settings, request.host)
