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

    def allows(self, origin: str | None) -> bool:
        """Whether a page from `origin` may connect. No header at all is no page: not a browser."""
        return origin is None or origin.lower() in self.origins


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") <= 1 else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
