"""Responses of `/api/auth`: their shapes, and how each client gets them (SPEC 4).

A page's form is answered with a redirect; NextAuth's clients and programs get `{"url"}`. Errors take the same two ways:
as `error` in the page's address, in NextAuth's words, and for programs with a status, a sentence and a code. Auth.js 5
reads the code from the address, too.

NextAuth has two generations of clients, which expect different answers when nobody is signed in. Auth.js 5 takes
anything truthy for somebody, so nobody is `null`. next-auth 4 reads `{}` as nobody; from 4.21 on it also accepts
`null`, but logs an error. Both send the same request, except for a `Content-Type` on the GET, which next-auth before
4.21 and nearly all programs do not send. So:

- Without that header nobody is `{}`.
- With it nobody is `null`, because a stranger must never pass for somebody.
- With it, in a browser that has been seen to run next-auth 4, nobody is `{}`. Its posts say `json=true`, and the error
  that it logs is sent to `/api/auth/_log`. A cookie records that until the browser closes, or until Auth.js 5 posts
  something, which its header shows.

Nothing is stored here.
"""

import re
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, Field
from quart import Response, request

from omnisonic.errors import InvalidInput, OmnisonicError, Unavailable
from omnisonic.http.auth.provider import ProviderDown, ProviderRefused
from omnisonic.http.core.cookies import BrowserCookie
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.inputs import AUTH_JS_HEADER, Input, Post
from omnisonic.http.core.responses import JSON_TYPE, json_response
from omnisonic.models import Person
from omnisonic.studio.accounts import NotLinked, PasswordChanged


class ProviderAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """One way to sign in: the address for its form, and the address that the provider sends the browser back to."""

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
    """The token that forms must carry, together with the cookie of this response."""

    csrf_token: str


class SignedInAnswer(msgspec.Struct, frozen=True):
    """Who is signed in, and until when if it is not used again; an empty object when nobody is."""

    user: Person | msgspec.UnsetType = msgspec.UNSET
    expires: datetime | msgspec.UnsetType = msgspec.UNSET


class UrlAnswer(msgspec.Struct, frozen=True):
    """The address to open now."""

    url: str


class SignInProblem(msgspec.Struct, frozen=True):
    """What went wrong. NextAuth's clients read it from `error` in the query of `url`, the sign-in page."""

    error: str
    code: str
    url: str | msgspec.UnsetType = msgspec.UNSET


class AnswerHeader(BaseModel):
    """The header that asks for JSON instead of a redirect."""

    return_redirect: str | None = Field(
        default=None,
        alias=AUTH_JS_HEADER,
        description="With any value: respond to a form with JSON, not with a redirect.",
    )


class Going(Input):
    """The page of this studio to open afterwards."""

    callback_url: str | None = None


class GoingForm(Going):
    """The same as a form. It must carry the CSRF token. `json` is `true` for a response without redirect."""

    csrf_token: str | None = None
    json_: str | None = Field(default=None, alias="json")


class ClientLogForm(Input):
    """What next-auth 4 sends when it has logged something. The fields are ignored."""


class CredentialsForm(GoingForm):
    """An e-mail address and a password as a form. Invalid values lead back to the sign-in page."""

    email: str | None = None
    password: str | None = None


SIGN_IN_PAGE: Final = "/signin"
SIGN_OUT_PAGE: Final = "/signout"
FOUND: Final = 302

_NEXTAUTH_ERRORS: Final = {
    "csrf_token_missing": "Csrf",
    "csrf_token_invalid": "Csrf",
    "too_many_tries": "TooManyTries",
    "wrong_credentials": "CredentialsSignin",
}
_ERROR = re.compile(r"\w{1,64}", re.ASCII)


def page_url(page: str, *, error: str | None = None, code: str | None = None, callback: str | None = None) -> str:
    """Build the address of a sign-in or sign-out page. An `error` that is not a word is left out."""
    query = {}
    if error and _ERROR.fullmatch(error):
        query["error"] = error
    if code:
        query["code"] = code
    if callback:
        query["callbackUrl"] = callback
    return f"{page}?{urlencode(query)}" if query else page


def redirect(url: str) -> Response:
    """Redirect the browser to `url`."""
    return Response(b"", FOUND, {"Location": url}, content_type="text/plain; charset=utf-8")


def respond_success(post: Post, url: str, origin: str) -> Response:
    """Respond to a successful post: with a redirect to `url`, or with `url` as JSON."""
    return json_response(UrlAnswer(_absolute(url, origin))) if post.wants_json else redirect(url)


def respond_failure(post: Post, error: OmnisonicError, page: str, origin: str, *, callback: str) -> Response:
    """Respond to a failed post: back to `page`, or as JSON. Raises `error` itself when it is not about signing in."""
    url = page_url(page, error=nextauth_error(error), code=error.code if post.is_auth_js else None, callback=callback)
    if not post.wants_json:
        return redirect(url)
    status, headers = _status_and_headers(error)
    return json_response(SignInProblem(error.message, error.code, _absolute(url, origin)), status, headers)


def nextauth_error(error: OmnisonicError) -> str:
    """NextAuth's name for `error`, or our own where it has none."""
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
            return _NEXTAUTH_ERRORS.get(error.code, "Callback")


def _status_and_headers(error: OmnisonicError) -> tuple[int, dict[str, str] | None]:
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
    """Make a path absolute: NextAuth's client reads the URL without a base."""
    return origin + url if url.startswith("/") else url


NEXT_AUTH_4: Final = "next-auth-4"


class ClientVersions:
    """Tells next-auth 4 from Auth.js 5. `secure`: browsers reach us over TLS."""

    def __init__(self, *, secure: bool) -> None:
        self._cookie = BrowserCookie("client", secure=secure)

    def note_post(self, post: Post) -> None:
        """Record in a cookie which client the browser runs, when `post` shows it."""
        if post.is_auth_js and self._cookie.read():
            self._cookie.set("", max_age_s=0)
        elif post.is_form and post.wants_json and not post.is_auth_js:
            self.note_next_auth_4()

    def note_next_auth_4(self) -> None:
        """Record in a cookie that the browser runs next-auth 4."""
        if self._cookie.read() != NEXT_AUTH_4:
            self._cookie.set(NEXT_AUTH_4)

    def nobody_is_null(self) -> bool:
        """Whether the client of the current request expects `null` for nobody, not `{}`."""
        return request.mimetype == JSON_TYPE and self._cookie.read() != NEXT_AUTH_4
