"""Sign-in through a provider (SPEC 4): a browser goes there with a transaction in a cookie, and comes back with it.

The cookie is signed, short-lived, and belongs to this browser alone. What comes back must carry the transaction's
state, and a state works once, in whatever process it comes back to (the guard records it). Guard down: nobody gets in.
Overload: all calls to a provider together have `PROVIDER_TIMEOUT` seconds, then it counts as down (`ProviderDown`).
Shutdown: connections to the providers are closed with the app.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec
from itsdangerous import BadData, URLSafeTimedSerializer
from quart import current_app, request

from omnisonic.http.auth.provider import Provider, ProviderDown, ProviderRefused, Transaction, new_transaction
from omnisonic.http.core.cookies import BrowserCookie
from omnisonic.http.core.errors import Refusal
from omnisonic.identity.signing import Secret, believed_secrets
from omnisonic.settings.settings import Settings
from omnisonic.stores.guard import Guard
from omnisonic.studio.accounts import Identity

if TYPE_CHECKING:
    from omnisonic.http.auth.provider_client import ProviderClient

TRANSACTION_S: Final = 600
"""How long somebody may take to agree at the provider."""
PROVIDER_TIMEOUT_S: Final = 5.0
STATE: Final = "oauth state"


class OAuth:
    """Sends browsers to providers and identifies who comes back. `secret` signs the cookie."""

    def __init__(self, settings: Settings, guard: Guard, *, secret: Secret) -> None:
        self._guard = guard
        self._cookie = BrowserCookie("oauth", secure=settings.is_https)
        self._serializer = URLSafeTimedSerializer(
            believed_secrets(secret), "omnisonic oauth", signer_kwargs={"digest_method": hashlib.sha512}
        )
        self._client, self.providers = _open_providers(settings)

    async def begin(self, provider: str, *, redirect_uri: str, callback_path: str) -> str:
        """Start a sign-in and return the provider's page for the browser. The response carries the transaction.

        Raises `Refusal` (404 `no_such_provider`), `ProviderRefused`, `ProviderDown`.
        """
        transaction = new_transaction(provider, redirect_uri=redirect_uri, callback_path=callback_path)
        async with _limit_time():
            url = await self._get_provider(provider).authorization_url(transaction)
        self._cookie.set(str(self._serializer.dumps(msgspec.to_builtins(transaction))), max_age_s=TRANSACTION_S)
        return url

    async def finish(self, provider: str) -> tuple[Identity, str]:
        """Identify who comes back from the provider, and return the path that they wanted to go to.

        Raises `Refusal`: 404 `no_such_provider`, 400 `oauth_state_invalid` when it was not this browser that went, or
        not just now, 400 `oauth_state_used` when it is back already, 401 `id_token_invalid`; `ProviderRefused`, also
        when they said no there; `ProviderDown`; `Unavailable`.
        """
        client = self._get_provider(provider)
        transaction = self._read_transaction(provider)
        self._cookie.set("", max_age_s=0)
        if not await self._guard.first_use(STATE, transaction.state, ttl_s=TRANSACTION_S):
            raise Refusal(400, "oauth_state_used", "This sign-in is over already. Begin again.")
        code = request.args.get("code")
        if "error" in request.args or not code:
            raise ProviderRefused("The provider did not let you in.")
        async with _limit_time():
            return await client.identity(transaction, code), transaction.callback_path

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        if self._client is not None:
            await self._client.aclose()

    def _get_provider(self, provider: str) -> Provider:
        if provider not in self.providers:
            raise Refusal(404, "no_such_provider", "Nobody signs in that way here. Choose another.")
        return self.providers[provider]

    def _read_transaction(self, provider: str) -> Transaction:
        """Read the transaction in the cookie and check that its state came back. Raises `Refusal`."""
        try:
            data = self._serializer.loads(self._cookie.read(), max_age=TRANSACTION_S)
            transaction = msgspec.convert(data, Transaction)
        except (BadData, msgspec.ValidationError):
            raise _invalid_state() from None
        state = request.args.get("state", "").encode("utf-8", "replace")
        if transaction.provider != provider or not hmac.compare_digest(state, transaction.state.encode()):
            raise _invalid_state()
        return transaction


def _open_providers(settings: Settings) -> tuple["ProviderClient | None", dict[str, Provider]]:
    """The configured providers by id, and the client of all of them.

    Where there are none, nothing of theirs is imported: it is a tenth of a start of the web.
    """
    if not settings.providers_on:
        return None, {}
    from omnisonic.http.auth.provider_client import ProviderClient
    from omnisonic.http.auth.providers import configure_providers

    client = ProviderClient()
    return client, configure_providers(settings, client)


@asynccontextmanager
async def _limit_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(current_app.config["PROVIDER_TIMEOUT"]):
            yield
    except TimeoutError:
        raise ProviderDown from None


def _invalid_state() -> Refusal:
    return Refusal(
        400, "oauth_state_invalid", "This sign-in did not begin in this browser, or too long ago. Begin again."
    )
