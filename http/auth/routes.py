"""`/api/auth`: NextAuth's REST endpoints (SPEC 4): signing in, signing out, and who is signed in.

No GET changes anything, except the provider's callback. Posts are forms with a CSRF token, or JSON, which the `Origin`
check of the request filter guards. Forms of pages are answered with redirects, to `/signin?error=` on failure;
NextAuth's clients (`json=true`, or `X-Auth-Return-Redirect`) and programs with `{"url"}` and a status.

Signing in always opens a new login and ends the one whose cookie came along. Overload or a dependency down: 503, and
nobody is signed in; signing out never fails because of the bus. Shutdown: `close`, with the app.
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
from omnisonic.http.auth.provider import ProviderDown, ProviderRefused
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
from omnisonic.identity.signing import Secret
from omnisonic.models import LoginId, UserId
from omnisonic.settings.fields import PROVIDERS
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import LoginEnded, encode
from omnisonic.stores.guard import Guard
from omnisonic.studio.accounts import NotLinked
from omnisonic.studio.accounts.account_store import AccountStore

PATH: Final = "/api/auth"
BUS_TIMEOUT_S: Final = 1.0
POST_PROBLEMS: Final[Mapping[int, type[msgspec.Struct]]] = dict.fromkeys((400, 403, 503), SignInProblem)
SIGN_IN_PROBLEMS: Final[Mapping[int, type[msgspec.Struct]]] = dict.fromkeys(
    (*POST_PROBLEMS, 401, 404, 429, 502), SignInProblem
)

log = logging.getLogger(__name__)


class Auth:
    """The routes of `/api/auth`."""

    def __init__(
        self,
        settings: Settings,
        accounts: AccountStore,
        guard: Guard,
        bus: Bus,
        current_user: CurrentUser,
        csrf: Csrf,
        *,
        secret: Secret,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._bus = bus
        self._current_user = current_user
        self._csrf = csrf
        self._client_versions = ClientVersions(secure=settings.is_https)
        self._passwords = PasswordThreads()
        self._oauth = OAuth(settings, guard, secret=secret)
        self._credentials = CredentialsSignIn(accounts, guard, self._passwords, registers=not settings.is_production)
        self._methods: list[tuple[str, str, Literal["oauth", "credentials"]]] = [
            (provider.id, provider.name, "oauth") for provider in self._oauth.providers.values()
        ]
        if settings.credentials_on:
            self._methods.append(("credentials", "Email", "credentials"))

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
        """Close threads and connections. Safe to call twice."""
        self._passwords.close()
        await self._oauth.aclose()

    @describe_route(ProvidersAnswer)
    async def providers(self) -> Response:
        """List the ways to sign in."""
        base = self._origin() + PATH
        providers = {
            id_: ProviderAnswer(id_, name, kind, f"{base}/signin/{id_}", f"{base}/callback/{id_}")
            for id_, name, kind in self._methods
        }
        return json_response(ProvidersAnswer(**providers))

    @describe_route(CsrfAnswer)
    async def csrf(self) -> Response:
        """Get the CSRF token for forms of this API, and its cookie."""
        return json_response(CsrfAnswer(self._csrf.token_for_page()))

    @describe_route((SignedInAnswer, type(None)), 503, security=COOKIE_IF_ANY)
    async def session(self) -> Response:
        """Get who is signed in, and until when. Nobody: an empty object, or `null` for a JSON Content-Type."""
        login = self._current_user.login_or_none()
        signed_in = None if login is None else await self._accounts.signed_in(login)
        if signed_in is not None:
            return json_response(SignedInAnswer(signed_in.person, signed_in.expires))
        return encoded_response(b"null") if self._client_versions.nobody_is_null() else json_response(SignedInAnswer())

    @describe_route(None, redirects=(FOUND,))
    async def sign_in_page(self) -> Response:
        """Redirect to the sign-in page."""
        return redirect(page_url(SIGN_IN_PAGE, error=request.args.get("error"), callback=self._requested_callback()))

    @describe_route(None, redirects=(FOUND,))
    async def provider_page(self, provider: str) -> Response:
        """Redirect to the sign-in page: following a link starts nothing."""
        del provider
        return await self.sign_in_page()

    @describe_route(None, redirects=(FOUND,))
    async def sign_out_page(self) -> Response:
        """Redirect to the sign-out page: following a link ends nothing."""
        return redirect(page_url(SIGN_OUT_PAGE, callback=self._requested_callback()))

    @describe_route(None, redirects=(FOUND,))
    async def error(self) -> Response:
        """Redirect to the sign-in page, which shows what went wrong."""
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

        async def action(post: Post) -> str:
            if not self._settings.credentials_on:
                raise Refusal(404, "credentials_off", "Nobody signs in by e-mail and password here.")
            credentials = post.as_shape(Credentials)
            entry = await self._credentials.validate(credentials, request_address(self._settings.trusted_proxies))
            await self._open_login(entry.user, password_hash=entry.password_hash)
            return own_path(credentials.callback_url, self._origin())

        return await self._handle_post(action, Credentials, SIGN_IN_PAGE, AFTER_SIGN_IN)

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
        """Start a sign-in through a provider: the response has the address of the provider's page."""

        async def action(post: Post) -> str:
            return await self._oauth.begin(
                provider,
                redirect_uri=f"{self._origin()}{PATH}/callback/{provider}",
                callback_path=own_path(post.as_shape(Going).callback_url, self._origin()),
            )

        return await self._handle_post(action, Going, SIGN_IN_PAGE, AFTER_SIGN_IN)

    @describe_route(None, 401, 404, 503, redirects=(FOUND,))
    async def callback(self, provider: str) -> Response:
        """Finish a sign-in through a provider."""
        try:
            identity, path = await self._oauth.finish(provider)
            await self._open_login(await self._accounts.identify(identity))
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
        """Sign out: the login ends, and its connections to rooms are closed."""

        async def action(post: Post) -> str:
            path = own_path(post.as_shape(Going).callback_url, self._origin(), default=HOME)
            login = self._current_user.login_or_none()
            if login is not None and await self._accounts.end_login(login):
                await self._announce_end(login)
            self._current_user.sign_out()
            return path

        return await self._handle_post(action, Going, SIGN_OUT_PAGE, HOME)

    @describe_route(Ok, 408, 413, 415, form=ClientLogForm)
    async def client_log(self) -> Response:
        """Accept a log entry of next-auth 4 in a browser. Nothing of it is stored."""
        await read_post()
        self._client_versions.note_next_auth_4()
        return json_response(Ok())

    async def _handle_post(
        self, action: Callable[[Post], Awaitable[str]], shape: type[BaseModel], page: str, default: str
    ) -> Response:
        """Read a post, run `action`, and respond with the address that it returns, or lead back to `page`."""
        post = await read_post(shape)
        self._client_versions.note_post(post)
        try:
            if post.is_form:
                self._csrf.check(post.fields.get("csrfToken"))
            return respond_success(post, await action(post), self._origin())
        except OmnisonicError as error:
            requested = post.fields.get("callbackUrl")
            callback = own_path(requested if isinstance(requested, str) else None, self._origin(), default=default)
            return respond_failure(post, error, page, self._origin(), callback=callback)

    async def _open_login(self, user: UserId, *, password_hash: str | None = None) -> None:
        """Open a login for `user`. The login that this browser had ends, whoever's it was."""
        previous = self._current_user.login_or_none()
        token = await self._accounts.open_login(user, replacing=previous, password_hash=password_hash)
        self._current_user.sign_in(token)
        if previous is not None:
            await self._announce_end(previous)

    async def _announce_end(self, login: LoginId) -> None:
        """Publish the end of a login. Gateways that miss the event notice by themselves within a minute."""
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S):
                await self._bus.publish(ROOM_EVENTS, encode(LoginEnded(login)))
        except (TimeoutError, Unavailable):
            log.warning("login.end_not_announced")

    def _requested_callback(self) -> str | None:
        requested = request.args.get("callbackUrl")
        return own_path(requested, self._origin()) if requested else None

    def _origin(self) -> str:
        return own_origin(self._settings, request.host)
