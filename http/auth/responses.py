"""The shapes of sign-in on the wire, as NextAuth's clients know them (SPEC 4).

How a sign-in is answered (SPEC 4): a redirect for a page's form, `{"url"}` for NextAuth's clients and for programs.

What went wrong is told in the same two ways: as the `error` of the page's address, in NextAuth's words, and to programs
with a status, a sentence and a code as well. Auth.js 5 reads the code out of the address, too. Pure.

NextAuth's two generations of clients (SPEC 4): which one asks, and what it is told when nobody is signed in.

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

import re
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, Field
from quart import Response, request

from omnisonic.errors import InvalidInput, OmnisonicError, Unavailable
from omnisonic.http.auth.provider_client import ProviderDown, ProviderRefused
from omnisonic.http.core.cookies import BrowserCookie
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.inputs import AUTH_JS_HEADER, Input, Post
from omnisonic.http.core.responses import JSON_TYPE, json_response
from omnisonic.models import Person
from omnisonic.studio.accounts import NotLinked, PasswordChanged


class ProviderAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """One way to sign in: where its form is posted to, and where the provider sends the browser back to."""

    id: str
    name: str
    type: Literal["oauth", "credentials"]
    signin_url: str
    callback_url: str


class ProvidersAnswer(msgspec.Struct, frozen=True):
    """The ways to sign in here, by their ids."""

    github: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET
    google: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET
    discord: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET
    credentials: ProviderAnswer | msgspec.UnsetType = msgspec.UNSET


class CsrfAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What a form must carry, besides the cookie that comes with this answer."""

    csrf_token: str


class SignedInAnswer(msgspec.Struct, frozen=True):
    """Who is signed in, and until when if it is not used again; an empty object when nobody is."""

    user: Person | msgspec.UnsetType = msgspec.UNSET
    expires: datetime | msgspec.UnsetType = msgspec.UNSET


class UrlAnswer(msgspec.Struct, frozen=True):
    """Where to go now."""

    url: str


class SignInProblem(msgspec.Struct, frozen=True):
    """What went wrong, and where NextAuth's clients read it: in the `error` of the sign-in page's address."""

    error: str
    code: str
    url: str | msgspec.UnsetType = msgspec.UNSET


class AnswerHeader(BaseModel):
    """How a form is to be answered."""

    return_redirect: str | None = Field(
        default=None, alias=AUTH_JS_HEADER, description="With any value a form is answered with JSON: no redirect."
    )


class Going(Input):
    """Where to go afterwards: a page of this studio."""

    callback_url: str | None = None


class GoingForm(Going):
    """The same, from a page's form. `json` is `true` for who wants no redirect. Without its token it gets nowhere."""

    csrf_token: str | None = None
    json_: str | None = Field(default=None, alias="json")


class ClientLogForm(Input):
    """What next-auth 4 sends when it has logged something. Its fields are not looked at."""


class CredentialsForm(GoingForm):
    """An e-mail address and a password, from a page's form: when they cannot be, the way leads back to the page."""

    email: str | None = None
    password: str | None = None


SIGN_IN_PAGE: Final = "/signin"
SIGN_OUT_PAGE: Final = "/signout"
FOUND: Final = 302

_WORDS: Final = {
    "csrf_token_missing": "Csrf",
    "csrf_token_invalid": "Csrf",
    "too_many_tries": "TooManyTries",
    "wrong_credentials": "CredentialsSignin",
}
_ERROR = re.compile(r"\w{1,64}", re.ASCII)


def page_url(page: str, *, error: str | None = None, code: str | None = None, callback: str | None = None) -> str:
    """The address of a page about signing in or out. An `error` that is no word is left out."""
    query = {}
    if error and _ERROR.fullmatch(error):
        query["error"] = error
    if code:
        query["code"] = code
    if callback:
        query["callbackUrl"] = callback
    return f"{page}?{urlencode(query)}" if query else page


def redirect(url: str) -> Response:
    """Send the browser there."""
    return Response(b"", FOUND, {"Location": url}, content_type="text/plain; charset=utf-8")


def respond_success(post: Post, url: str, origin: str) -> Response:
    """All is well: to `url`, which is a path of ours or a page of a provider."""
    return json_response(UrlAnswer(_absolute(url, origin))) if post.wants_json else redirect(url)


def respond_failure(post: Post, error: OmnisonicError, page: str, origin: str, *, callback: str) -> Response:
    """It did not work: back to `page`. Errors: `error` itself, when it has nothing to do with signing in."""
    url = page_url(page, error=nextauth_error(error), code=error.code if post.is_auth_js else None, callback=callback)
    if not post.wants_json:
        return redirect(url)
    status, headers = _status(error)
    return json_response(SignInProblem(error.message, error.code, _absolute(url, origin)), status, headers)


def nextauth_error(error: OmnisonicError) -> str:
    """What NextAuth calls `error`, or we where it has no word."""
    match error:
        case NotLinked():
            return "OAuthAccountNotLinked"
        case ProviderDown():
            return "OAuthSignin"
        case ProviderRefused():
            return "OAuthCallback"
        case Unavailable():
            return "Unavailable"
        case InvalidInput() | PasswordChanged():
            return "CredentialsSignin"
        case _:
            return _WORDS.get(error.code, "Callback")


def _status(error: OmnisonicError) -> tuple[int, dict[str, str] | None]:
    match error:
        case Refusal():
            return error.status, error.headers
        case Unavailable():
            return 503, retry_after(error.retry_after_s)
        case InvalidInput():
            return 400, None
        case PasswordChanged():
            return 401, None
        case ProviderRefused():
            return 502, None
        case _:
            raise error


def _absolute(url: str, origin: str) -> str:
    """NextAuth's client reads the answer's URL without a base."""
    return origin + url if url.startswith("/") else url


NEXT_AUTH_4: Final = "next-auth-4"


class ClientVersions:
    """Tells next-auth 4 from Auth.js 5. `secure`: browsers reach us over TLS."""

    def __init__(self, *, secure: bool) -> None:
        self._cookie = BrowserCookie("client", secure=secure)

    def note_post(self, post: Post) -> None:
        """Remember, with the answer to `post`, which client this browser runs, when it shows."""
        if post.is_auth_js and self._cookie.read():
            self._cookie.set("", max_age_s=0)
        elif post.is_form and post.wants_json and not post.is_auth_js:
            self.note_next_auth_4()

    def note_next_auth_4(self) -> None:
        """Remember, with the current answer, that this browser runs next-auth 4."""
        if self._cookie.read() != NEXT_AUTH_4:
            self._cookie.set(NEXT_AUTH_4)

    def nobody_is_null(self) -> bool:
        """Whether the client that asks for the session now takes `null` for nobody, and not `{}`."""
        return request.mimetype == JSON_TYPE and self._cookie.read() != NEXT_AUTH_4
