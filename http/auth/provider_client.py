"""Asking the providers of sign-in over HTTP (SPEC 4): bounded in time and in bytes, and without following redirects.

One client for each process, made at the first call and closed with the app. A connection is not kept for the next call:
people sign in rarely, and one that the provider has closed meanwhile would cost somebody theirs. Overload: at most
`MAX_CONNECTIONS` at once; whoever would wait longer than the time that a sign-in has gives up. What a provider answers
is never logged, for it holds tokens.

The authorization code grant with PKCE (RFC 6749, 4.1; RFC 7636), by authlib: where a browser is sent, and what the
code that it brings back is worth.

authlib writes the requests; `ProviderClient`, which bounds them and which all sign-ins share, sends them. Nothing is
kept here: a `Transaction` goes with the browser.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import prepare_token_request  # type: ignore[import-untyped]

from omnisonic import __version__
from omnisonic.errors import OmnisonicError, Unavailable

MAX_CONNECTIONS: Final = 20
CALL_S: Final = 5.0
"""Longest wait for the next bytes; the conversation as a whole has a deadline from whoever leads it."""
MAX_ANSWER_BYTES: Final = 262_144
RETRY_AFTER_S: Final = 5.0


class ProviderRefused(OmnisonicError):
    """The provider answered, and not with what was asked for: the code was used, or its answer makes no sense."""

    code = "provider_refused"


class ProviderDown(Unavailable):
    """The provider does not answer, or says that it cannot now."""

    def __init__(self) -> None:
        super().__init__("The provider does not answer now. Try again in a moment.", retry_after_s=RETRY_AFTER_S)


class ProviderClient:
    """Calls that are answered in JSON. Errors of each: `ProviderRefused`, `ProviderDown`."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def get(self, url: str, *, token: str | None = None) -> Any:
        """What is at `url`, for the bearer of `token`."""
        return await self._call("GET", url, {"Authorization": f"Bearer {token}"} if token else {})

    async def post(self, url: str, form: str, headers: Mapping[str, str]) -> Any:
        """The answer to a form, encoded already."""
        return await self._call("POST", url, headers, form.encode())

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _call(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> Any:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=CALL_S,
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
                headers={"Accept": "application/json", "User-Agent": f"omnisonic/{__version__}"},
            )
        body = bytearray()
        try:
            async with self._client.stream(method, url, headers=headers, content=content) as answer:
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise ProviderRefused("The provider's answer is too large.")
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise ProviderDown from failure
        if answer.status_code >= 500 or answer.status_code == 429:
            raise ProviderDown
        if not answer.is_success:
            raise ProviderRefused("The provider refused.")
        return _decoded(bytes(body))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderRefused("The provider's answer is not JSON.") from None


SECRET_BYTES: Final = 32
FORM_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT_AUTHENTICATION: Final = "client_secret_post"
"""How we show who we are (RFC 6749, 2.3.1): the one way that all three providers take."""


class Transaction(msgspec.Struct, frozen=True):
    """One sign-in on its way through a provider, as the browser carries it, signed."""

    provider: str
    state: str
    verifier: str
    nonce: str
    redirect_uri: str
    callback_path: str


def new_transaction(provider: str, *, redirect_uri: str, callback_path: str) -> Transaction:
    """A sign-in that begins now, with secrets that nobody can guess."""
    state, verifier, nonce = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
    return Transaction(provider, state, verifier, nonce, redirect_uri, callback_path)


class CodeFlow:
    """The grant, for one client at one provider."""

    def __init__(self, calls: ProviderClient, client_id: str, client_secret: str, *, scope: str) -> None:
        self._calls = calls
        self._client = OAuth2Client(
            None,
            client_id=client_id,
            client_secret=client_secret,
            token_endpoint_auth_method=CLIENT_AUTHENTICATION,
            scope=scope,
            code_challenge_method="S256",
        )

    def authorization_url(self, endpoint: str, transaction: Transaction, *, with_nonce: bool = False) -> str:
        """Where the browser goes to be asked."""
        url, _ = self._client.create_authorization_url(
            endpoint,
            state=transaction.state,
            code_verifier=transaction.verifier,
            redirect_uri=transaction.redirect_uri,
            nonce=transaction.nonce if with_nonce else None,
        )
        return str(url)

    async def token(self, endpoint: str, transaction: Transaction, code: str) -> dict[str, Any]:
        """What `code` is worth: an object with a bearer `access_token`. Errors: `ProviderRefused`, `ProviderDown`."""
        form = prepare_token_request(
            "authorization_code", code=code, redirect_uri=transaction.redirect_uri, code_verifier=transaction.verifier
        )
        authentication = self._client.client_auth(CLIENT_AUTHENTICATION)
        url, headers, form = authentication.prepare("POST", endpoint, dict(FORM_HEADERS), form)
        token = await self._calls.post(url, form, headers)
        # GitHub says its errors with 200.
        if not isinstance(token, dict) or "error" in token or not isinstance(token.get("access_token"), str):
            raise ProviderRefused("The provider gave no token.")
        return token
