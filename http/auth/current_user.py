"""The current user: the login that a request's cookie names (SPEC 4).

quart-auth signs and sets the cookie. It carries a secret token, whose row in the database can be ended at any time.
Nothing is looked up here: the store checks that a login is still valid in the same step as what is asked of it.
"""

import time
from collections.abc import Callable
from typing import Final

from quart import Quart, Response, g, request
from quart_auth import AuthUser, QuartAuth
from quart_auth.extension import Action

from omnisonic.http.core.cookies import cookie_header
from omnisonic.identity.logins import LONGEST_S, SALT, LoginCookies, login_id
from omnisonic.identity.signing import Secret, believed_secrets
from omnisonic.models import LoginId
from omnisonic.studio.sessions import NotSignedIn
from omnisonic.wire.cookies import read_cookie

CACHE_S: Final = 60.0
"""How long a verified cookie is accepted without checking its signature again."""
CACHED_LOGINS: Final = 4096
"""Most cookies in the cache; one more clears it."""
LONGEST_CACHED_HEADER: Final = 1024
"""Longest `Cookie` header that is cached."""


class LoginCache:
    """The logins of verified `Cookie` headers. `read` verifies the current request's.

    Only the result of checking the signature is cached, which never changes; not whether the login is still valid.
    """

    def __init__(self, read: Callable[[], LoginId | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._logins: dict[str, tuple[LoginId, float]] = {}

    def login(self, header: str) -> LoginId | None:
        """The login in `header`, the whole `Cookie` header of the current request."""
        cached = self._logins.get(header)
        if cached is not None and cached[1] > self._clock():
            return cached[0]
        login = self._read()
        if login is not None and len(header) <= LONGEST_CACHED_HEADER:
            if len(self._logins) >= CACHED_LOGINS:
                self._logins.clear()
            self._logins[header] = login, self._clock() + CACHE_S
        return login


class CurrentUser(QuartAuth):
    """Reads and sets the login cookie of an app, signed with `secret`. `secure`: browsers reach us over TLS."""

    def __init__(self, app: Quart, *, secret: Secret, secure: bool) -> None:
        self._cookies = LoginCookies(secret, secure=secure)
        self._cache = LoginCache(self._login_in_request)
        app.secret_key = believed_secrets(secret)[-1]
        super().__init__(app, cookie_name=self._cookies.name, cookie_secure=secure, duration=LONGEST_S, salt=SALT)

    async def after_request(self, response: Response) -> Response:
        """As quart-auth's, but do nothing for a request that did not read the login."""
        if not hasattr(g, self.attribute_name):
            return response
        if self.cookie_secure:
            # Browsers reach us over TLS, whatever the last hop to this process speaks.
            request.scheme = "https"
        return await super().after_request(response)

    def load_token(self, token: str, app: Quart | None = None) -> str | None:
        """As quart-auth's, with a serializer that is made once."""
        del app
        return self._cookies.load(token)

    def login_or_none(self) -> LoginId | None:
        """The login in the current request's cookie; it may have ended. None without a valid cookie."""
        if hasattr(g, self.attribute_name):  # it was read already, or set by this request
            token = self.load_user().auth_id
            return None if token is None else login_id(token)
        header = cookie_header()
        return self._cache.login(header) if header else None

    def load_cookie(self) -> str | None:
        """As quart-auth's, but read cookies as the gateway does."""
        value = read_cookie(cookie_header(), self._cookies.name)
        return None if value is None else self._cookies.load(value)

    def _login_in_request(self) -> LoginId | None:
        token = self.load_cookie()
        return None if token is None else login_id(token)

    def login(self) -> LoginId:
        """As `login_or_none`. Raises `NotSignedIn` without one."""
        login = self.login_or_none()
        if login is None:
            raise NotSignedIn
        return login

    def sign_in(self, token: str) -> None:
        """Set the cookie of a new login with the response."""
        self.login_user(AuthUser(token, Action.WRITE_PERMANENT))

    def sign_out(self) -> None:
        """Remove the cookie with the response."""
        self.logout_user()
