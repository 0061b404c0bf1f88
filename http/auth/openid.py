"""OpenID Connect: an issuer's metadata and keys, and the check of ID tokens (OpenID Connect Core 1.0, 3.1.3.7;
Discovery 1.0, 4).

Metadata and keys are cached for `CACHE_S`. A token signed with an unknown key makes us fetch the keys again, at most
every `REFETCH_S`, so that forged tokens cannot make us fetch all the time.
"""

import hmac
import time
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from omnisonic.http.auth.provider import ProviderRefused
from omnisonic.http.auth.provider_client import ProviderClient
from omnisonic.http.core.errors import Refusal
from omnisonic.settings.settings import LOOPBACK

CACHE_S: Final = 3600.0
REFETCH_S: Final = 60.0
LEEWAY_S: Final = 60
"""Largest difference between the issuer's clock and ours."""
ALGORITHMS: Final = ("RS256", "ES256")
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Issuer:
    """One issuer, named by its URL, for the client `client_id`."""

    def __init__(self, client: ProviderClient, url: str, client_id: str) -> None:
        self._client = client
        self._url = url
        self._client_id = client_id
        self._endpoints: dict[str, str] = {}
        self._endpoints_until_s = 0.0
        self._keys: KeySet | None = None
        self._keys_until_s = 0.0
        self._refetched_s = -REFETCH_S

    async def endpoint(self, name: str) -> str:
        """The URL of one of `ENDPOINTS`. Raises `ProviderRefused`, `ProviderDown`."""
        if time.monotonic() >= self._endpoints_until_s:
            self._check_transport(self._url)
            document = await self._client.get(f"{self._url}/.well-known/openid-configuration")
            if not isinstance(document, dict) or document.get("issuer") != self._url:
                raise ProviderRefused("The issuer calls itself something else.")
            self._endpoints = {name: self._check_endpoint(document.get(name)) for name in ENDPOINTS}
            self._endpoints_until_s = time.monotonic() + CACHE_S
        return self._endpoints[name]

    async def claims(self, id_token: object, *, nonce: str) -> dict[str, Any]:
        """Check an ID token and return its claims.

        Raises `Refusal` (401 `id_token_invalid`) when it is not the issuer's, not for us, not for this sign-in, or has
        run out; `ProviderRefused`, `ProviderDown`.
        """
        if not isinstance(id_token, str):
            raise _invalid()
        try:
            claims = (await self._decode(id_token)).claims
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
        token_nonce = claims.get("nonce")
        if not isinstance(token_nonce, str) or not hmac.compare_digest(
            token_nonce.encode("utf-8", "replace"), nonce.encode()
        ):
            raise _invalid()
        # For several audiences, the one it was made for (Core, 3.1.3.7, 4 and 5).
        is_shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if is_shared else self._client_id) != self._client_id:
            raise _invalid()
        return claims

    async def _decode(self, id_token: str) -> jwt.Token:
        if self._keys is None or time.monotonic() >= self._keys_until_s:
            self._keys = await self._fetch_keys()
        try:
            return jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            # Issuers rotate their keys.
            if time.monotonic() < self._refetched_s + REFETCH_S:
                raise
        self._refetched_s = time.monotonic()
        self._keys = await self._fetch_keys()
        return jwt.decode(id_token, self._keys, algorithms=ALGORITHMS)

    async def _fetch_keys(self) -> KeySet:
        document = await self._client.get(await self.endpoint("jwks_uri"))
        try:
            keys = KeySet.import_key_set(document)
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderRefused("The issuer's keys make no sense.") from None
        self._keys_until_s = time.monotonic() + CACHE_S
        return keys

    def _check_endpoint(self, url: object) -> str:
        if not isinstance(url, str):
            raise ProviderRefused("The issuer's endpoints make no sense.")
        self._check_transport(url)
        return url

    def _check_transport(self, url: str) -> None:
        """Check that `url` is reached over TLS or on this machine. Raises `ProviderRefused`."""
        try:
            parts = urlsplit(url)
            scheme, host, _ = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host = "", None
        is_local = host in LOOPBACK and urlsplit(self._url).hostname in LOOPBACK
        if not host or scheme not in ("https", "http") or (scheme == "http" and not is_local):
            raise ProviderRefused("The issuer and its endpoints must be reached over https.")


def _invalid() -> Refusal:
    return Refusal(401, "id_token_invalid", "The provider's answer is not for this sign-in. Sign in again.")
