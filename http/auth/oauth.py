"""Signing in through a provider (SPEC 4): a browser goes there with a transaction in a cookie, and comes back with it.

The cookie is signed, short-lived, and belongs to this browser alone; what comes back must carry its state, and a state
is good once, in whatever process it comes back to (the guard knows). When the guard does not answer, nobody passes.
Overload: a conversation with a provider has `PROVIDER_TIMEOUT` seconds, then it counts as down (`ProviderDown`).
Shutdown: the connections to the providers are closed with the app.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from itsdangerous import BadData, URLSafeTimedSerializer
from quart import current_app, request

from omnisonic.http.auth.provider_client import (
    ProviderClient,
    ProviderDown,
    ProviderRefused,
    Transaction,
    new_transaction,
)
from omnisonic.http.auth.providers import Provider, providers_on
from omnisonic.http.core.cookies import BrowserCookie
from omnisonic.http.core.errors import Refusal
from omnisonic.settings.settings import Settings
from omnisonic.stores.guard import Guard
from omnisonic.studio.accounts import Identity

TRANSACTION_S: Final = 600
"""How long somebody may take to say yes at the provider."""
PROVIDER_TIMEOUT_S: Final = 5.0
STATE: Final = "oauth state"


class OAuth:
    """The way there and back. `secret` signs the cookie."""

    def __init__(self, settings: Settings, guard: Guard, *, secret: str) -> None:
        self._calls = ProviderClient()
        self._guard = guard
        self._cookie = BrowserCookie("oauth", secure=settings.is_https)
        self._serializer = URLSafeTimedSerializer(
            secret, "omnisonic oauth", signer_kwargs={"digest_method": hashlib.sha512}
        )
        self.providers = providers_on(settings, self._calls)

    async def begin(self, provider: str, *, redirect_uri: str, callback_path: str) -> str:
        """The page of the provider that the browser goes to now; the answer carries the transaction.

        Errors: `Refusal` (404 `no_such_provider`), `ProviderRefused`, `ProviderDown`.
        """
        transaction = new_transaction(provider, redirect_uri=redirect_uri, callback_path=callback_path)
        async with _in_time():
            url = await self._provider(provider).authorization_url(transaction)
        self._cookie.set(str(self._serializer.dumps(msgspec.to_builtins(transaction))), max_age_s=TRANSACTION_S)
        return url

    async def finish(self, provider: str) -> tuple[Identity, str]:
        """Who comes back from the provider with the current request, and the path that they wanted to go to.

        Errors: `Refusal`: 404 `no_such_provider`, 400 `oauth_state_invalid` when it was not this browser that went, or
        not just now, 400 `oauth_state_used` when it is back already, 401 `id_token_invalid`; `ProviderRefused`, also
        when they said no there; `ProviderDown`; `Unavailable`.
        """
        there = self._provider(provider)
        transaction = self._transaction(provider)
        self._cookie.set("", max_age_s=0)
        if not await self._guard.first_use(STATE, transaction.state, ttl_s=TRANSACTION_S):
            raise Refusal(400, "oauth_state_used", "This sign-in is over already. Begin again.")
        code = request.args.get("code")
        if "error" in request.args or not code:
            raise ProviderRefused("The provider did not let you in.")
        async with _in_time():
            return await there.identity(transaction, code), transaction.callback_path

    async def aclose(self) -> None:
        """Let go of the connections. Safe to call twice."""
        await self._calls.aclose()

    def _provider(self, provider: str) -> Provider:
        if provider not in self.providers:
            raise Refusal(404, "no_such_provider", "Nobody signs in that way here. Choose another.")
        return self.providers[provider]

    def _transaction(self, provider: str) -> Transaction:
        """The transaction in the request's cookie, when it is the one that comes back."""
        try:
            said = self._serializer.loads(self._cookie.read(), max_age=TRANSACTION_S)
            transaction = msgspec.convert(said, Transaction)
        except (BadData, msgspec.ValidationError):
            raise _foreign_state() from None
        state = request.args.get("state", "").encode("utf-8", "replace")
        if transaction.provider != provider or not hmac.compare_digest(state, transaction.state.encode()):
            raise _foreign_state()
        return transaction


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(current_app.config["PROVIDER_TIMEOUT"]):
            yield
    except TimeoutError:
        raise ProviderDown from None


def _foreign_state() -> Refusal:
    return Refusal(
        400, "oauth_state_invalid", "This sign-in did not begin in this browser, or too long ago. Begin again."
    )
