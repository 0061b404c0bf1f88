"""OpenID Connect: what an issuer says about itself, and whether an ID token is its own and for us (OpenID Connect Core
1.0, 3.1.3.7; Discovery 1.0, 4).

What it says is kept for `KEPT_S`. A token signed with a key that is not known makes us ask for the keys again, at most
every `ASK_AGAIN_S`, so that made-up tokens cannot make us ask all the time.
"""

import hmac
import time
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from omnisonic.http.auth.provider_client import ProviderClient, ProviderRefused
from omnisonic.http.core.errors import Refusal
from omnisonic.settings.settings import LOOPBACK

KEPT_S: Final = 3600.0
ASK_AGAIN_S: Final = 60.0
LEEWAY_S: Final = 60
"""How far the issuer's clock and ours may be apart."""
ALGORITHMS: Final = ("RS256", "ES256")
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Issuer:
    """One issuer, known by its URL, for the client `client_id`."""

    def __init__(self, calls: ProviderClient, url: str, client_id: str) -> None:
        self._calls = calls
        self._url = url
        self._client_id = client_id
        self._endpoints: dict[str, str] = {}
        self._endpoints_until_s = 0.0
        self._keys: KeySet | None = None
        self._keys_until_s = 0.0
        self._asked_again_s = -ASK_AGAIN_S

    async def endpoint(self, name: str) -> str:
        """One of `ENDPOINTS`. Errors: `ProviderRefused`, `ProviderDown`."""
        if time.monotonic() >= self._endpoints_until_s:
            self._check_way(self._url)
            said = await self._calls.get(f"{self._url}/.well-known/openid-configuration")
            if not isinstance(said, dict) or said.get("issuer") != self._url:
                raise ProviderRefused("The issuer calls itself something else.")
            self._endpoints = {name: self._checked_endpoint(said.get(name)) for name in ENDPOINTS}
            self._endpoints_until_s = time.monotonic() + KEPT_S
        return self._endpoints[name]

    async def claims(self, id_token: object, *, nonce: str) -> dict[str, Any]:
        """What the ID token says about somebody.

        Errors: `Refusal` (401 `id_token_invalid`) when it is not the issuer's, not for us, not for this sign-in, or has
        run out; `ProviderRefused`, `ProviderDown`.
        """
        if not isinstance(id_token, str):
            raise _invalid()
        try:
            claims = (await self._decoded(id_token)).claims
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._url},
                aud={"essential": True, "value": self._client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError):
            raise _invalid() from None
        said_nonce = claims.get("nonce")
        if not isinstance(said_nonce, str) or not hmac.compare_digest(
            said_nonce.encode("utf-8", "replace"), nonce.encode()
        ):
            raise _invalid()
        # For several audiences, the one it was made for (Core, 3.1.3.7, 4 and 5).
        is_shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if is_shared else self._client_id) != self._client_id:
            raise _invalid()
        return claims

    async def _decoded(self, id_token: str) -> jwt.Token:
        if self._keys is None or time.monotonic() >= self._keys_until_s:
            self._keys = await self._asked_keys()
        try:
            return jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            # Issuers change their keys.
            if time.monotonic() < self._asked_again_s + ASK_AGAIN_S:
                raise
        self._asked_again_s = time.monotonic()
        self._keys = await self._asked_keys()
        return jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)

    async def _asked_keys(self) -> KeySet:
        said = await self._calls.get(await self.endpoint("jwks_uri"))
        try:
            keys = KeySet.import_key_set(said)
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderRefused("The issuer's keys make no sense.") from None
        self._keys_until_s = time.monotonic() + KEPT_S
        return keys

    def _checked_endpoint(self, url: object) -> str:
        if not isinstance(url, str):
            raise ProviderRefused("The issuer's endpoints make no sense.")
        self._check_way(url)
        return url

    def _check_way(self, url: str) -> None:
        """See that nobody on the way to `url` reads or changes what is said: over TLS, or on this very machine."""
        try:
            parts = urlsplit(url)
            scheme, host, _ = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host = "", None
        is_here = host in LOOPBACK and urlsplit(self._url).hostname in LOOPBACK
        if not host or scheme not in ("https", "http") or (scheme == "http" and not is_here):
            raise ProviderRefused("The issuer and its endpoints must be reached over https.")


def _invalid() -> Refusal:
    return Refusal(401, "id_token_invalid", "The provider's answer is not for this sign-in. Sign in again.")
