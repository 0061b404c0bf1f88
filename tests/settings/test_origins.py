"""Which names a listener answers to, and whose pages may connect."""

import pytest

from omnisonic.settings.origins import HostPolicy, OriginPolicy


@pytest.mark.parametrize(
    "host",
    [
        "studio.example",
        "STUDIO.example",
        "studio.example:443",
        "studio.example.",
        "studio.example.:80",
        "[::1]:3000",
        "[::1]",
        "::1",
    ],
)
def test_a_host_is_known_by_its_name_whatever_the_port(host: str) -> None:
    """Ports, case and brackets make no difference."""
    assert HostPolicy(frozenset({"studio.example", "::1"})).allows(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        ":443",
        "evil.example",
        "studio.example.evil.example",
        "studio.example@evil.example",
        "studio.example..",
        ".",
        "192.0.2.7",
        "[::2]",
    ],
)
def test_any_other_host_is_turned_away(host: str | None) -> None:
    """Look-alikes, and no host at all."""
    assert not HostPolicy(frozenset({"studio.example", "::1"})).allows(host)


@pytest.mark.parametrize("host", ["192.0.2.7", "192.0.2.7:80", "[2001:db8::7]:80"])
def test_bare_addresses_are_answered_only_where_nobody_can_list_them(host: str) -> None:
    """A listener on a wildcard address is reached by addresses that it does not know."""
    assert HostPolicy(frozenset(), any_address=True).allows(host)
    assert not HostPolicy(frozenset()).allows(host)


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.7.evil.example", "0x7f.1", "1.2.3"])
def test_what_only_looks_like_an_address_is_a_name(host: str) -> None:
    """Rebinding attacks come by names."""
    assert not HostPolicy(frozenset(), any_address=True).allows(host)


def test_pages_from_an_allowed_origin_may_connect() -> None:
    """Browsers write origins in lower case; others may not."""
    policy = OriginPolicy(frozenset({"https://studio.example"}))
    assert policy.allows("https://studio.example")
    assert policy.allows("HTTPS://Studio.Example")
    assert policy.allows("https://studio.example:443")
    assert policy.allows("https://studio.example.")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://studio.example",
        "https://studio.example:444",
        "https://studio.example.evil.example",
        "https://evil.example/https://studio.example",
        "https://studio.example/",
    ],
)
def test_pages_from_elsewhere_may_not(origin: str) -> None:
    """Foreign, look-alike and opaque origins are all foreign."""
    assert not OriginPolicy(frozenset({"https://studio.example"})).allows(origin)


def test_something_that_sends_no_origin_is_no_page() -> None:
    """Only browsers can be used against their owners."""
    assert OriginPolicy(frozenset({"https://studio.example"})).allows(None)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://rooms.example", "rooms.example:80"),
        ("https://rooms.example", "rooms.example"),
        ("https://rooms.example:443", "Rooms.Example."),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_a_program_that_names_the_gateway_itself_as_its_origin_may_connect(origin: str, host: str) -> None:
    """Many WebSocket clients do by default; where no pages are served no page can."""
    policy = OriginPolicy(frozenset({"https://studio.example"}))
    assert policy.allows(origin, host=host)
    assert not policy.allows(origin)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:3001", "127.0.0.1:8080"),
        ("http://127.0.0.1", "127.0.0.1:8080"),
        ("https://rooms.example", "rooms.example:80"),
        ("https://rooms.example", "rooms.example:8443"),
        ("ws://127.0.0.1:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("null", "null"),
        ("", ""),
        ("http://", ""),
        ("https://rooms.example.evil.example", "rooms.example"),
    ],
)
def test_another_port_or_host_is_foreign_to_the_gateway(origin: str, host: str) -> None:
    """The same machine is not the same origin."""
    assert not OriginPolicy(frozenset({"https://studio.example"})).allows(origin, host=host)
