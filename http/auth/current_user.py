"""Who is calling: the sign-in that a request's cookie stands for (SPEC 4).

quart-auth signs and sets the cookie; what it carries is a secret token whose row in the database can be ended at any
time. Nothing is looked up here: whether the sign-in still holds is for the store to say, in the same step as what is
asked of it.
"""

import time
from collections.abc import Callable
from typing import Final

from quart import Quart, Response, g, request
from quart_auth import AuthUser, QuartAuth
from quart_auth.extension import Action

from omnisonic.http.core.cookies import cookie_header
from omnisonic.identity.logins import LONGEST_S, SALT, LoginCookies, login_id
from omnisonic.models import LoginId
from omnisonic.studio.sessions import NotSignedIn
from omnisonic.wire.cookies import read_cookie

CACHE_S: Final = 60.0
"""How long a cookie that was found to be ours is known again without looking at its signature."""
CACHED_LOGINS: Final = 4096
"""Most cookies that are known; one more, and they are all looked at anew."""
LONGEST_CACHED_HEADER: Final = 1024
"""Longest `Cookie` header that is worth knowing."""


class LoginCache:
    """The `Cookie` headers that stand for a sign-in of ours, and for which. `read` reads one anew.

    What is kept is what the signature says, which never changes; whether the sign-in still holds is not.
    """

    def __init__(self, read: Callable[[], LoginId | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._logins: dict[str, tuple[LoginId, float]] = {}

    def login(self, header: str) -> LoginId | None:
        """The sign-in that this header, all of the current request's, stands for."""
        known = self._logins.get(header)
        if known is not None and known[1] > self._clock():
            return known[0]
        login = self._read()
        if login is not None and len(header) <= LONGEST_CACHED_HEADER:
            if len(self._logins) >= CACHED_LOGINS:
                self._logins.clear()
            self._logins[header] = login, self._clock() + CACHE_S
        return login


class CurrentUser(QuartAuth):
    """The cookie of a sign-in, on an app whose secret key is `secret`."""

    def __init__(self, app: Quart, *, secret: str, secure: bool) -> None:
        self._cookies = LoginCookies(secret, secure=secure)
        self._known = LoginCache(self._login_in_request)
        app.secret_key = secret
        super().__init__(app, cookie_name=self._cookies.name, cookie_secure=secure, duration=LONGEST_S, salt=SALT)

    async def after_request(self, response: Response) -> Response:
        """The same as quart-auth's, and nothing at all for a request that did not ask who is calling."""
        if not hasattr(g, self.attribute_name):
            return response
        if self.cookie_secure:
            # Browsers reach us over TLS, whatever the last hop to this process speaks.
            request.scheme = "https"
        return await super().after_request(response)

    def load_token(self, token: str, app: Quart | None = None) -> str | None:
        """The same as quart-auth's, with a serializer that is made once."""
        del app
        return self._cookies.load(token)

    def login_or_none(self) -> LoginId | None:
        """The sign-in that the current request's cookie names; it may have ended. None without a cookie of ours."""
        if hasattr(g, self.attribute_name):  # it was asked for already, or has changed since the request came
            token = self.load_user().auth_id
            return None if token is None else login_id(token)
        header = cookie_header()
        return self._known.login(header) if header else None

    def load_cookie(self) -> str | None:
        """The same as quart-auth's, with the reading of cookies that the gateway has, too."""
        value = read_cookie(cookie_header(), self._cookies.name)
        return None if value is None else self._cookies.load(value)

    def _login_in_request(self) -> LoginId | None:
        token = self.load_cookie()
        return None if token is None else login_id(token)

    def login(self) -> LoginId:
        """As `login_or_none`. Errors: `NotSignedIn`."""
        login = self.login_or_none()
        if login is None:
            raise NotSignedIn
        return login

    def sign_in(self, token: str) -> None:
        """Let the answer carry this new sign-in's cookie."""
        self.login_user(AuthUser(token, Action.WRITE_PERMANENT))

    def sign_out(self) -> None:
        """Let the answer take the cookie back."""
        self.logout_user()
