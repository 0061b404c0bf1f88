"""Which names this server answers to, and whose pages may talk to it (SPEC 2, 5.1).

A wrong `Host` is how DNS rebinding looks from here; a foreign `Origin` is somebody else's page using the visitor's
browser. Both checks are pure and the same on the web and on the gateway.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - these are compared with, not bound to


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
        name = _without_port(host.lower())
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
    name, port = _split(host.lower())
    return name if port in ("", usual_port) else f"{name}:{port}"


def _split(host: str) -> tuple[str, str]:
    """The name, without the dot at the end of an absolute one (RFC 3986 3.2.2), and the port, if there is one."""
    if host.startswith("["):
        name, _, rest = host.partition("]")
        return name + "]", rest.removeprefix(":")
    name, _, port = host.partition(":") if host.count(":") <= 1 else (host, "", "")
    return name.removesuffix("."), port


def _without_port(host: str) -> str:
    return _split(host)[0].strip("[]")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
