"""Who may read `/metrics`: a program on this machine, or one that shows `METRICS_TOKEN` (SPEC 2, 9). Pure.

Without a token a request must come from this machine and must be made for it. Behind a reverse proxy on the same
machine every request comes from loopback. So a request that a proxy has passed on, by its headers, or that is for
another host than this machine, needs the token. Everything else is refused.

Wrong tokens are not counted: in production a token has at least 24 random bytes, which nobody guesses.
"""

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol

from omnisonic.settings.origins import host_name

FORWARDED: Final = (
    "forwarded",
    "via",
    "true-client-ip",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
)
"""Headers that proxies add (RFC 7239, RFC 9110 7.6.3, and what nginx, Caddy, Apache and HAProxy send)."""


class Headers(Protocol):
    """The headers of a request, found by their names in lower case. A dict is one."""

    def get(self, name: str, default: str, /) -> str: ...

    def __contains__(self, name: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Denied:
    """The HTTP answer to who may not: status, code, sentence, and headers."""

    status: int
    code: str
    message: str
    headers: dict[str, str]


class ScraperAccess:
    """Decides who may read metrics. `token` None: only programs on this machine."""

    def __init__(self, token: str | None) -> None:
        self._token = _digest(token) if token else None

    def check(self, peer: str | None, headers: Headers) -> Denied | None:
        """None for a request that is allowed.

        Args:
            peer: The address that the connection comes from; None or empty when there is none.
            headers: The headers of the request.
        """
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if shown.strip() and scheme.lower() == "bearer":
            if self._token is not None and hmac.compare_digest(_digest(shown.strip()), self._token):
                return None
            return _unauthorized("invalid_token", "This is not the token in METRICS_TOKEN.")
        if _is_loopback(peer or "") and _is_made_here(headers):
            return None
        if self._token is None:
            return Denied(
                403, "loopback_only", "Metrics are for programs on this machine until METRICS_TOKEN is set.", {}
            )
        return _unauthorized("token_required", "Metrics need the header Authorization: Bearer with METRICS_TOKEN.")


def _unauthorized(code: str, message: str) -> Denied:
    return Denied(401, code, message, {"WWW-Authenticate": "Bearer"})


def _is_made_here(headers: Headers) -> bool:
    """Whether no proxy has passed the request on, as far as it tells."""
    if any(name in headers for name in FORWARDED):
        return False
    name = host_name(headers.get("host", ""))
    return name == "localhost" or _is_loopback(name)


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _digest(token: str) -> bytes:
    """A digest of fixed length, so that the comparison reveals nothing about the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
