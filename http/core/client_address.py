"""Whose address a request comes from, also behind proxies (SPEC 4: the rate limit of sign-in). Pure.

`X-Forwarded-For` is what anybody cares to write, so it is believed only as far as proxies of our own have written it:
from the right, and only when the peer itself is one of them (`TRUSTED_PROXIES`).
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from omnisonic.settings.fields import Networks

IPV6_SITE_BITS: Final = 64
"""An IPv6 subscriber has at least this network to take addresses from (RFC 6177), so they count as one."""
UNKNOWN: Final = "unknown"
"""Who comes by a Unix socket has no address."""

Address: TypeAlias = IPv4Address | IPv6Address


def client_address(peer: str | None, forwarded_for: Iterable[str], trusted: Networks) -> str:
    """What to count a client by: an IPv4 address, an IPv6 network of 64 bits, or `unknown`.

    `forwarded_for` is every `X-Forwarded-For` header, in order. The rightmost address that is not a trusted proxy's is
    the client's; something that is no address ends the chain at the proxy that passed it on.
    """
    address = _address(peer or "")
    if address is None:
        return UNKNOWN
    hops = [hop for header in forwarded_for for hop in header.split(",")]
    while hops and _is_trusted(address, trusted):
        before = _address(hops.pop())
        if before is None:
            break
        address = before
    return _site(address)


def site_of(peer: str, trusted: Networks) -> str | None:
    """What to count the connections of a peer by, as `client_address`; None for a trusted proxy, or no address."""
    address = _address(peer)
    return None if address is None or _is_trusted(address, trusted) else _site(address)


def _is_trusted(address: Address, trusted: Networks) -> bool:
    return any(address in network for network in trusted)


def _site(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_SITE_BITS), strict=False))
    return str(address)


def _address(text: str) -> Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # IPv4 through an IPv6 socket is IPv4.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
