"""The address of a client, also behind proxies: what rate limits and connection limits count by (SPEC 4).

Anybody can write `X-Forwarded-For`, so it is believed only as far as trusted proxies (`TRUSTED_PROXIES`) wrote it: from
the right, and only when the peer itself is one of them.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from quart import request

from omnisonic.settings.fields import Networks

IPV6_SITE_BITS: Final = 64
"""An IPv6 subscriber has at least a network of this size (RFC 6177), so its addresses count as one."""
UNKNOWN: Final = "unknown"
"""The address of a client on a Unix socket."""

Address: TypeAlias = IPv4Address | IPv6Address


def request_address(trusted: Networks) -> str:
    """The client address of the current request, as `client_address`. `trusted` are the proxies."""
    return client_address(request.remote_addr, request.headers.getlist("X-Forwarded-For"), trusted)


def client_address(peer: str | None, forwarded_for: Iterable[str], trusted: Networks) -> str:
    """The address to count a client by: an IPv4 address, an IPv6 network of 64 bits, or `unknown`.

    Args:
        peer: The address of the peer of the connection, None on a Unix socket.
        forwarded_for: Every `X-Forwarded-For` header, in order. The rightmost address that is not a trusted proxy's is
            the client's. Text that is no address ends the chain at the proxy that passed it on.
        trusted: The networks of the proxies.
    """
    address = _parse_address(peer or "")
    if address is None:
        return UNKNOWN
    hops = [hop for header in forwarded_for for hop in header.split(",")]
    while hops and _is_trusted(address, trusted):
        before = _parse_address(hops.pop())
        if before is None:
            break
        address = before
    return _site(address)


def site_of(peer: str, trusted: Networks) -> str | None:
    """The address to count connections of `peer` by, as `client_address`; None for a trusted proxy or no address."""
    address = _parse_address(peer)
    return None if address is None or _is_trusted(address, trusted) else _site(address)


def _is_trusted(address: Address, trusted: Networks) -> bool:
    return any(address in network for network in trusted)


def _site(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_SITE_BITS), strict=False))
    return str(address)


def _parse_address(text: str) -> Address | None:
    """Parse `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`."""
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
