"""A cookie of ours in somebody's browser, besides that of their sign-in: no script reads it, no foreign form sends it.

It stays with this host alone, and under https browsers hold it to that (`__Host-`, RFC 6265bis 4.1.3).

CSRF tokens for forms: what shows that a form was one of our own pages' (SPEC 4), as NextAuth does it.

A double submit: the token is in the page and, with a keyed digest that only we can make, in an HttpOnly cookie. A
foreign page can make a browser send the cookie, but can read neither. Programs send JSON instead, which foreign pages
cannot, and which the `Origin` check at the door guards; they need no token. Nothing is kept here.
"""

import hashlib
import hmac
import secrets
from typing import Final

from quart import after_this_request, g, request
from quart.typing import ResponseTypes

from omnisonic.http.core.errors import Refusal
from omnisonic.wire.cookies import read_cookie


def cookie_header() -> str:
    """All that the current request says under `Cookie`; nothing when it does not."""
    return ";".join(request.headers.getlist("Cookie"))


class BrowserCookie:
    """The cookie `omnisonic.<name>`. `secure`: browsers reach us over TLS."""

    def __init__(self, name: str, *, secure: bool) -> None:
        self.name = f"__Host-omnisonic.{name}" if secure else f"omnisonic.{name}"
        self._secure = secure

    def read(self) -> str:
        """What the current request brings; nothing when it brings none."""
        return read_cookie(cookie_header(), self.name) or ""

    def keep(self, value: str, *, max_age_s: int | None = None) -> None:
        """Let the answer carry `value`, for `max_age_s` or until the browser is closed; 0 takes the cookie back."""

        @after_this_request
        async def set_it(response: ResponseTypes) -> ResponseTypes:
            response.set_cookie(
                self.name,
                value,
                max_age=max_age_s,
                path="/",
                secure=self._secure,
                httponly=True,
                # It comes along when a link, or a provider, leads here.
                samesite="Lax",
            )
            return response


TOKEN_BYTES: Final = 32
SEPARATOR: Final = "|"


class Csrf:
    """Gives tokens out and checks them. `secret` signs; `secure`: browsers reach us over TLS."""

    def __init__(self, secret: str, *, secure: bool) -> None:
        self._cookie = BrowserCookie("csrf", secure=secure)
        self._key = hashlib.sha256(b"omnisonic csrf\0" + secret.encode()).digest()

    def token_for_page(self) -> str:
        """The token for the forms of the page that the current request gets, and its cookie on that answer."""
        token: str | None = g.get("csrf_token")
        if token is None:
            token = self._token_in_cookie() or self._new_token()
            g.csrf_token = token
        return token

    def check(self, token: object) -> None:
        """See that the current request's form carries its cookie's token.

        Errors: `Refusal`: 403 `csrf_token_missing` without one, 403 `csrf_token_invalid` with another.
        """
        if not isinstance(token, str) or not token:
            raise Refusal(403, "csrf_token_missing", "This form is not complete. Open the page again and send it anew.")
        stored = self._token_in_cookie()
        if stored is None or not hmac.compare_digest(token.encode("utf-8", "replace"), stored.encode()):
            raise Refusal(403, "csrf_token_invalid", "This form has gone stale. Open the page again and send it anew.")

    def _token_in_cookie(self) -> str | None:
        """The token that we once gave to this browser; None without a cookie of ours."""
        token, _, digest = self._cookie.read().partition(SEPARATOR)
        ours = hmac.compare_digest(digest.encode("utf-8", "replace"), self._digest(token).encode())
        return token if token and ours else None

    def _new_token(self) -> str:
        token = secrets.token_hex(TOKEN_BYTES)
        self._cookie.keep(token + SEPARATOR + self._digest(token))
        return token

    def _digest(self, token: str) -> str:
        return hmac.new(self._key, token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
