"""A cookie of ours in somebody's browser, besides that of their sign-in: no script reads it, no foreign form sends it.

It stays with this host alone, and under https browsers hold it to that (`__Host-`, RFC 6265bis 4.1.3).
"""

from quart import after_this_request, request
from quart.typing import ResponseTypes

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
