"""`/api/auth`: NextAuth's REST endpoints (SPEC 4): signing in, signing out, and who is signed in.

Nothing is changed by a GET but what a provider's answer brings. Posts are forms with a CSRF token, or JSON, which the
`Origin` check at the door guards. Pages' forms are answered with redirects, to `/signin?error=` when something is wrong;
NextAuth's client (`json=true`) and programs with `{"url"}`, and with a status.

Signing in always makes a new sign-in and ends the one whose cookie came along. Overload and crash of what this stands on:
503, and nobody is signed in; signing out never fails because of the bus. Shutdown: `close`, with the app.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from quart import Blueprint, Response, request

from omnisonic.accounts import AccountStore, NotLinked, PasswordChanged
from omnisonic.bus import ROOM_EVENTS, Bus
from omnisonic.bus.events import LoginEnded, encode
from omnisonic.config import Settings
from omnisonic.errors import InvalidInput, OmnisonicError, Unavailable
from omnisonic.guard import Guard
from omnisonic.http.addresses import client_address
from omnisonic.http.answers import answer
from omnisonic.http.auth_answers import (
    CredentialsForm,
    CsrfAnswer,
    Going,
    GoingForm,
    ProviderAnswer,
    ProvidersAnswer,
    SignedInAnswer,
    SignInProblem,
    UrlAnswer,
)
from omnisonic.http.callback_urls import AFTER_SIGN_IN, HOME, own_origin, own_path
from omnisonic.http.callers import Callers
from omnisonic.http.credentials import Credentials, CredentialsSignIn
from omnisonic.http.csrf import Csrf
from omnisonic.http.errors import Refusal, retry_after
from omnisonic.http.forms import Post, read_post
from omnisonic.http.oauth import OAuth
from omnisonic.http.openapi import COOKIE_IF_ANY, answers
from omnisonic.http.passwords import Passwords
from omnisonic.http.provider_calls import ProviderDown, ProviderRefused
from omnisonic.models import LoginId, UserId

PATH: Final = "/api/auth"
BUS_TIMEOUT_S: Final = 1.0
POST_PROBLEMS: Final = (401, 403, 404, 429, 502, 503)

log = logging.getLogger(__name__)


class Auth:
    """The routes, and what they are made of."""

    def __init__(
        self,
        settings: Settings,
        accounts: AccountStore,
        guard: Guard,
        bus: Bus,
        callers: Callers,
        csrf: Csrf,
        *,
        secret: str,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._bus = bus
        self._callers = callers
        self._csrf = csrf
        self._passwords = Passwords()
        self._oauth = OAuth(settings, guard, secret=secret)
        self._credentials = CredentialsSignIn(
            accounts, guard, self._passwords, registers=not settings.is_production
        )

    def blueprint(self) -> Blueprint:
        routes = Blueprint("auth", __name__, url_prefix=PATH)
        routes.get("/providers")(self.providers)
        routes.get("/csrf")(self.csrf)
        routes.get("/session")(self.session)
        routes.get("/signin")(self.sign_in_page)
        routes.get("/signin/<provider>")(self.provider_page)
        routes.post("/signin/<provider>")(self.sign_in)
        routes.get("/callback/<provider>")(self.callback)
        routes.post("/callback/credentials")(self.credentials)
        routes.get("/signout")(self.sign_out_page)
        routes.post("/signout")(self.sign_out)
        routes.get("/error")(self.error)
        routes.after_app_serving(self.close)
        return routes

    async def close(self) -> None:
        """Let go of threads and connections. Safe to call twice."""
        self._passwords.close()
        await self._oauth.aclose()
