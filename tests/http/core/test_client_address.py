"""Whose address a request comes from: proxies are believed when they are ours, and nobody else."""

from ipaddress import ip_network

import pytest

from omnisonic.http.core.client_address import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"), ip_network("127.0.0.1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        # Not a proxy of ours: whatever it says.
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        # Only what our proxies have written counts; the rest is the client's own invention.
        ("10.0.0.1", ["192.0.2.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.1, 198.51.100.1, 10.0.0.9"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.1", "198.51.100.1", "10.0.0.9"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        # What is no address ends the chain at whoever passed it on.
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.9"], "10.0.0.9"),
        ("10.0.0.1", ["x" * 10_000], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:2::7]:4711"], "2001:db8:2::/64"),
        # One subscriber, however many addresses they make up.
        ("2001:db8:2:3:aaaa::1", [], "2001:db8:2:3::/64"),
        ("2001:db8:2:3:bbbb::9", [], "2001:db8:2:3::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("2001:db8:1::1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], "unknown"),
        ("", ["198.51.100.1"], "unknown"),
    ],
)
def test_the_rightmost_untrusted_address_is_the_clients(peer: str | None, forwarded: list[str], address: str) -> None:
    """From the right, as far as our own proxies have written it."""
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_proxies_of_ours_nobody_is_believed() -> None:
    """The default."""
    assert client_address("127.0.0.1", ["198.51.100.1"], ()) == "127.0.0.1"
