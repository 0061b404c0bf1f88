"""How a sign-in is answered (SPEC 4): a redirect for a page's form, `{"url"}` for NextAuth's clients and for programs.

What went wrong is told in the same two ways: as the `error` of the page's address, in NextAuth's words, and to programs
with a status, a sentence and a code as well. Auth.js 5 reads the code out of the address, too. Pure.
"""

import re
from typing import Final
from urllib.parse import urlencode

from quart import Response

from omnisonic.errors import InvalidInput, OmnisonicError, Unavailable
from omnisonic.http.auth.provider_client import ProviderDown, ProviderRefused
from omnisonic.http.auth.responses import SignInProblem, UrlAnswer
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.forms import Post
from omnisonic.http.core.responses import answer
from omnisonic.studio.accounts import NotLinked, PasswordChanged

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


def going(post: Post, url: str, origin: str) -> Response:
    """All is well: to `url`, which is a path of ours or a page of a provider."""
    return answer(UrlAnswer(_absolute(url, origin))) if post.wants_json else redirect(url)


def refused(post: Post, error: OmnisonicError, page: str, origin: str, *, callback: str) -> Response:
    """It did not work: back to `page`. Errors: `error` itself, when it has nothing to do with signing in."""
    url = page_url(page, error=word_for(error), code=error.code if post.is_auth_js else None, callback=callback)
    if not post.wants_json:
        return redirect(url)
    status, headers = _status(error)
    return answer(SignInProblem(error.message, error.code, _absolute(url, origin)), status, headers)


def word_for(error: OmnisonicError) -> str:
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
