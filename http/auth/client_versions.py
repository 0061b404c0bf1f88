"""NextAuth's two generations of clients (SPEC 4): which one asks, and what it is told when nobody is signed in.

To Auth.js 5 whatever is truthy is somebody: nobody is `null`. next-auth 4 reads `{}` as nobody; from 4.21 on it also
takes `null`, but then logs an error. Both ask for the session with the same request, and the only mark on it is a
`Content-Type` on a GET, which next-auth before 4.21 and nearly all programs do not send. So:

- Without that mark nobody is `{}`.
- With it nobody is `null`, because a stranger must never pass for somebody.
- With it, in a browser that has shown itself to run next-auth 4, nobody is `{}`. Its posts say `json=true`, and the
  error it logs is sent to `/api/auth/_log`. A cookie remembers that until the browser is closed, or until Auth.js 5
  posts something, which its header shows.

Nothing is kept here.
"""

from typing import Final

from quart import request

from omnisonic.http.core.browser_cookie import BrowserCookie
from omnisonic.http.core.forms import Post
from omnisonic.http.core.responses import JSON_TYPE

NEXT_AUTH_4: Final = "next-auth-4"


class ClientVersions:
    """Tells next-auth 4 from Auth.js 5. `secure`: browsers reach us over TLS."""

    def __init__(self, *, secure: bool) -> None:
        self._cookie = BrowserCookie("client", secure=secure)

    def note_post(self, post: Post) -> None:
        """Remember, with the answer to `post`, which client this browser runs, when it shows."""
        if post.is_auth_js and self._cookie.read():
            self._cookie.keep("", max_age_s=0)
        elif post.is_form and post.wants_json and not post.is_auth_js:
            self.note_next_auth_4()

    def note_next_auth_4(self) -> None:
        """Remember, with the current answer, that this browser runs next-auth 4."""
        if self._cookie.read() != NEXT_AUTH_4:
            self._cookie.keep(NEXT_AUTH_4)

    def nobody_is_null(self) -> bool:
        """Whether the client that asks for the session now takes `null` for nobody, and not `{}`."""
        return request.mimetype == JSON_TYPE and self._cookie.read() != NEXT_AUTH_4
