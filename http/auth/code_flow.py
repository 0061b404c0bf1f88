"""The authorization code grant with PKCE (RFC 6749, 4.1; RFC 7636), by authlib: where a browser is sent, and what the
code that it brings back is worth.

authlib writes the requests; `ProviderClient`, which bounds them and which all sign-ins share, sends them. Nothing is
kept here: a `Transaction` goes with the browser.
"""

import secrets
from typing import Any, Final

import msgspec
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import prepare_token_request  # type: ignore[import-untyped]

from omnisonic.http.auth.provider_client import ProviderClient, ProviderRefused

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
