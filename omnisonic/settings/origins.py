"""Hosts, origins and URLs: which names are answered, which origins may connect, which URLs are valid (SPEC 2, 5.1).

A wrong `Host` is a sign of DNS rebinding; a foreign `Origin` is another site's page in the visitor's browser. The web
and the gateway make the same checks. Pure.

The functions that check a setting raise `ValueError` with words that continue "VARIABLE is ...: ". They never quote a
URL that may hold a password.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - these are compared with, not bound to
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
REDIS: Final = ("redis", "rediss")
POSTGRES: Final = ("postgresql", "postgres")
_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """The host names that are answered; `any_address` also lets every bare IP address in.

    A listener on a wildcard address is reached by addresses nobody can list. A rebinding attack always comes by a
    name, so answering to bare addresses gives it nothing.
    """

    names: frozenset[str]
    any_address: bool = False

    def allows(self, host: str | None) -> bool:
        """Whether a request with this `Host` header (with or without a port) is for us."""
        if not host:
            return False
        name = host_name(host)
        return name in self.names or (self.any_address and _is_address(name))


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """The origins whose pages may connect, exact, in lower case."""

    origins: frozenset[str]

    def allows(self, origin: str | None, *, host: str | None = None) -> bool:
        """Whether a page from `origin` may connect. No header at all is no page: not a browser.

        `host`, the request's own, allows the origin of what is served there. Only give it where `HostPolicy` has
        allowed it and no pages are served: then it is a program that says so by default, and never a page.
        """
        if origin is None or (known := _plain_origin(origin)) in self.origins:
            return True
        if not host:
            return False
        return known in {f"{scheme}://{_plain_host(host, port)}" for scheme, port in _PORTS}


_PORTS: Final = (("http", "80"), ("https", "443"))
"""Ports that browsers leave out of an origin."""


def _plain_origin(origin: str) -> str:
    scheme, separator, host = origin.lower().partition("://")
    return f"{scheme}{separator}{_plain_host(host, dict(_PORTS).get(scheme, ''))}"


def _plain_host(host: str, usual_port: str) -> str:
    """A host and port in lower case, without the port that goes without saying and the dot of an absolute name."""
    name, port = _split_host(host.lower())
    return name if port in ("", usual_port) else f"{name}:{port}"


def _split_host(host: str) -> tuple[str, str]:
    """The name, without the dot at the end of an absolute one (RFC 3986 3.2.2), and the port, if there is one."""
    if host.startswith("["):
        name, _, rest = host.partition("]")
        return name + "]", rest.removeprefix(":")
    name, _, port = host.partition(":") if host.count(":") <= 1 else (host, "", "")
    return name.removesuffix("."), port


def host_name(host: str) -> str:
    """The name or address in a `Host` header: lower case, without the port, without the brackets of IPv6.

    An address of IPv6 is in the form that browsers send (RFC 5952).
    """
    name = _split_host(host.lower())[0].strip("[]")
    return str(ip_address(name)) if ":" in name and _is_address(name) else name


def parse_host(value: str) -> str:
    """The host that an operator wrote, with a port or not, as `HostPolicy` compares it. Raises `ValueError`."""
    name, port = host_name(value), _split_host(value)[1]
    is_name = "[" not in value and _NAME.fullmatch(name)
    if not (is_name or _is_address(name)) or (port and not port.isdecimal()):
        raise ValueError(f"{value!r} is not a host's name such as studio.example")
    return str(ip_address(name)) if _is_address(name) else name


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def check_url(value: str, schemes: tuple[str, ...]) -> None:
    """Check that `value` is a URL with one of these schemes and a host. Raises `ValueError`."""
    parts = _split_url(value)
    if parts.scheme not in schemes:
        raise ValueError(f"it must begin with {_either([f'{scheme}://' for scheme in schemes])}")
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("it must name the socket's file, as in unix:///run/valkey.sock")
    elif not parts.hostname and not (parts.scheme in POSTGRES and "host=" in parts.query):
        raise ValueError(f"it must name a host, as in {parts.scheme}://studio.example")
    for place in _places(parts):
        _port(place)


def check_base_url(value: str, schemes: tuple[str, ...]) -> None:
    """Check a URL, as `check_url`, that others begin with: it ends in its host or in a path. Raises `ValueError`."""
    check_url(value, schemes)
    url = urlsplit(value)
    if "@" in url.netloc or "?" in value or "#" in value:
        raise ValueError("it must be a URL without a password, a query or a fragment")


def _places(url: SplitResult) -> list[SplitResult]:
    """The URL once for each of its hosts. Only Redis has several, separated by commas."""
    user, at, hosts = url.netloc.rpartition("@")
    if url.scheme not in REDIS or "," not in hosts:
        return [url]
    if not all(hosts.split(",")):
        raise ValueError("it has a comma without a host")
    return [url._replace(netloc=f"{user}{at}{host}") for host in hosts.split(",")]


def parse_origin(value: str) -> str:
    """The origin that an operator wrote, as a browser sends it. Raises `ValueError`."""
    parts = _split_url(value)
    beyond = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or beyond:
        raise ValueError(f"{value!r} is not an origin such as https://studio.example")
    return origin_of(parts)


def origin_of(url: SplitResult) -> str:
    """The origin of a web page at `url`."""
    return origin(url.scheme, url.hostname or "", _port(url))


def _split_url(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:
        # Python's own message may quote the password.
        raise ValueError("it is not a URL") from None


def _port(url: SplitResult) -> int | None:
    try:
        return url.port
    except ValueError:
        raise ValueError("its port must be a number from 0 to 65535") from None


def origin(scheme: str, host: str, port: int | None) -> str:
    """The `Origin` that a browser sends: lower case, no default port, IPv6 in brackets (RFC 6454, section 6).

    Without the dot at the end of an absolute name, as `OriginPolicy` compares it.
    """
    host = f"[{host}]" if ":" in host else host.lower().removesuffix(".")
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def _either(words: list[str]) -> str:
    """The words as a choice: `a, b or c`."""
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
