"""The HTTP client for sign-in providers, and the authorization code grant with PKCE (SPEC 4; RFC 6749, 4.1; RFC 7636).

`ProviderClient` is limited in time and bytes and follows no redirects. There is one for each process, made at the first
call and closed with the app. Connections are not reused: people sign in rarely, and one that the provider has closed
meanwhile would fail somebody's sign-in. Overload: at most `MAX_CONNECTIONS` at once; who would wait longer than a
sign-in may take gives up. Answers of providers are never logged, because they hold tokens.

`CodeFlow` builds the requests of the grant with authlib and sends them through the client. Nothing is stored here: a
`Transaction` travels with the browser.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import prepare_token_request  # type: ignore[import-untyped]

from omnisonic import __version__
from omnisonic.http.auth.provider import ProviderDown, ProviderRefused, Transaction
from omnisonic.http.core.http_client import httpx

MAX_CONNECTIONS: Final = 20
CALL_S: Final = 5.0
"""Longest wait for the next bytes; all calls together have a deadline of the caller."""
MAX_ANSWER_BYTES: Final = 262_144


class ProviderClient:
    """Sends requests that are answered in JSON. Each raises `ProviderRefused`, `ProviderDown`."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def get(self, url: str, *, token: str | None = None) -> Any:
        """Get `url`, with `token` as a bearer token."""
        return await self._call("GET", url, {"Authorization": f"Bearer {token}"} if token else {})

    async def post(self, url: str, form: str, headers: Mapping[str, str]) -> Any:
        """Post an encoded form."""
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
            async with self._client.stream(method, url, headers=headers, content=content) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise ProviderRefused("The provider's answer is too large.")
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise ProviderDown from failure
        if response.status_code >= 500 or response.status_code == 429:
            raise ProviderDown
        if not response.is_success:
            raise ProviderRefused("The provider refused.")
        return _decode(bytes(body))


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderRefused("The provider's answer is not JSON.") from None


FORM_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT_AUTHENTICATION: Final = "client_secret_post"
"""How we authenticate (RFC 6749, 2.3.1): the one method that all three providers accept."""


class CodeFlow:
    """The grant for one client at one provider."""

    def __init__(self, provider_client: ProviderClient, client_id: str, client_secret: str, *, scope: str) -> None:
        self._provider_client = provider_client
        self._client = OAuth2Client(
            None,
            client_id=client_id,
            client_secret=client_secret,
            token_endpoint_auth_method=CLIENT_AUTHENTICATION,
            scope=scope,
            code_challenge_method="S256",
        )

    def authorization_url(self, endpoint: str, transaction: Transaction, *, with_nonce: bool = False) -> str:
        """The provider's page that asks for consent."""
        url, _ = self._client.create_authorization_url(
            endpoint,
            state=transaction.state,
            code_verifier=transaction.verifier,
            redirect_uri=transaction.redirect_uri,
            nonce=transaction.nonce if with_nonce else None,
        )
        return str(url)

    async def token(self, endpoint: str, transaction: Transaction, code: str) -> dict[str, Any]:
        """Exchange `code` for an object with a bearer `access_token`. Raises `ProviderRefused`, `ProviderDown`."""
        form = prepare_token_request(
            "authorization_code", code=code, redirect_uri=transaction.redirect_uri, code_verifier=transaction.verifier
        )
        authentication = self._client.client_auth(CLIENT_AUTHENTICATION)
        url, headers, form = authentication.prepare("POST", endpoint, dict(FORM_HEADERS), form)
        token = await self._provider_client.post(url, form, headers)
        # GitHub sends errors with status 200.
        if not isinstance(token, dict) or "error" in token or not isinstance(token.get("access_token"), str):
            raise ProviderRefused("The provider gave no token.")
        return token
