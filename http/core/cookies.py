"""Cookies of our own besides that of the login, and the CSRF tokens for forms in one of them (SPEC 4).

A cookie is HttpOnly, is not sent with foreign forms, and belongs to this host alone, which browsers enforce under https
(`__Host-`, RFC 6265bis 4.1.3).

CSRF protection is a double submit, as in NextAuth: the token is in the page and, with a digest under our key, in a
cookie. A foreign page can make a browser send the cookie, but can read neither. Programs send JSON, which foreign pages
cannot, and which the `Origin` check of the request filter guards; they need no token. Nothing is stored here.
"""

import hashlib
import hmac
import secrets
from typing import Final

from quart import after_this_request, g, request
from quart.typing import ResponseTypes

from omnisonic.http.core.errors import Refusal
from omnisonic.identity.signing import Secret, believed_secrets
from omnisonic.wire.cookies import read_cookie


def cookie_header() -> str:
    """The `Cookie` header of the current request; empty without one."""
    return ";".join(request.headers.getlist("Cookie"))


class BrowserCookie:
    """The cookie `omnisonic.<name>`. `secure`: browsers reach us over TLS."""

    def __init__(self, name: str, *, secure: bool) -> None:
        self.name = f"__Host-omnisonic.{name}" if secure else f"omnisonic.{name}"
        self._secure = secure

    def read(self) -> str:
        """The value that the current request carries; empty without one."""
        return read_cookie(cookie_header(), self.name) or ""

    def set(self, value: str, *, max_age_s: int | None = None) -> None:
        """Set `value` with the response, for `max_age_s` or until the browser closes; 0 removes the cookie."""

        @after_this_request
        async def add_cookie(response: ResponseTypes) -> ResponseTypes:
            response.set_cookie(
                self.name,
                value,
                max_age=max_age_s,
                path="/",
                secure=self._secure,
                httponly=True,
                # Sent when a link or a provider leads here.
                samesite="Lax",
            )
            return response


TOKEN_BYTES: Final = 32
SEPARATOR: Final = "|"


class Csrf:
    """Issues and checks CSRF tokens. `secret` signs them; `secure`: browsers reach us over TLS."""

    def __init__(self, secret: Secret, *, secure: bool) -> None:
        self._cookie = BrowserCookie("csrf", secure=secure)
        keys = [hashlib.sha256(b"omnisonic csrf\0" + each.encode()).digest() for each in believed_secrets(secret)]
        self._key, self._believed_keys = keys[-1], keys

    def token_for_page(self) -> str:
        """The token for forms of the page being rendered. Sets its cookie with the response."""
        token: str | None = g.get("csrf_token")
        if token is None:
            token = self._token_in_cookie() or self._new_token()
            g.csrf_token = token
        return token

    def check(self, token: object) -> None:
        """Check that the current request's form carries its cookie's token.

        Raises `Refusal`: 403 `csrf_token_missing` without one, 403 `csrf_token_invalid` with another.
        """
        if not isinstance(token, str) or not token:
            raise Refusal(403, "csrf_token_missing", "This form is not complete. Open the page again and send it anew.")
        stored = self._token_in_cookie()
        if stored is None or not hmac.compare_digest(token.encode("utf-8", "replace"), stored.encode()):
            raise Refusal(403, "csrf_token_invalid", "This form has gone stale. Open the page again and send it anew.")

    def _token_in_cookie(self) -> str | None:
        """The token in the cookie, when we signed it; else None."""
        token, _, digest = self._cookie.read().partition(SEPARATOR)
        shown = digest.encode("utf-8", "replace")
        ours = any(hmac.compare_digest(shown, _digest(token, key).encode()) for key in self._believed_keys)
        return token if token and ours else None

    def _new_token(self) -> str:
        token = secrets.token_hex(TOKEN_BYTES)
        self._cookie.set(token + SEPARATOR + _digest(token, self._key))
        return token


def _digest(token: str, key: bytes) -> str:
    return hmac.new(key, token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
