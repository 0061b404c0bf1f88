"""A sign-in through a provider: what a provider does, what the browser carries meanwhile, and what can fail (SPEC 4).

Nothing here loads the libraries that talk to providers: a studio without providers never does
(`omnisonic.http.auth.oauth`).
"""

import secrets
from typing import Final, Protocol

import msgspec

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.studio.accounts import Identity

RETRY_AFTER_S: Final = 5.0
SECRET_BYTES: Final = 32


class ProviderRefused(OmnisonicError):
    """The provider refused, or its answer makes no sense."""

    code = "provider_refused"


class ProviderDown(Unavailable):
    """The provider does not answer, or is overloaded."""

    def __init__(self) -> None:
        super().__init__("The provider does not answer now. Try again in a moment.", retry_after_s=RETRY_AFTER_S)


class Transaction(msgspec.Struct, frozen=True):
    """A sign-in through a provider in progress, carried by the browser, signed."""

    provider: str
    state: str
    verifier: str
    nonce: str
    redirect_uri: str
    callback_path: str


def new_transaction(provider: str, *, redirect_uri: str, callback_path: str) -> Transaction:
    """Start a sign-in, with fresh secrets."""
    state, verifier, nonce = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
    return Transaction(provider, state, verifier, nonce, redirect_uri, callback_path)


class Provider(Protocol):
    """One provider. `id` is used in addresses and the database, `name` is shown to people."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    async def authorization_url(self, transaction: Transaction) -> str:
        """The provider's page that asks for consent. Raises `ProviderRefused`, `ProviderDown`."""
        ...

    async def identity(self, transaction: Transaction, code: str) -> Identity:
        """Identify who came back with `code`. Raises `ProviderRefused`, `ProviderDown`, `Refusal` (401)."""
        ...
