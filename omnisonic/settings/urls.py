"""The URLs in the settings: which can be used, and the origin of one as a browser says it (RFC 6454). Pure.

Errors: every function raises `ValueError` with words that go on from "VARIABLE is ...: "; none of them quotes a URL
that may hold a password.
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
POSTGRES: Final = ("postgresql", "postgres")


def check_url(value: str, schemes: tuple[str, ...]) -> None:
    """See that `value` is a URL of one of these schemes, and says where."""
    parts = _split(value)
    if parts.scheme not in schemes:
        raise ValueError(f"it must begin with {either([f'{scheme}://' for scheme in schemes])}")
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("it must name the socket's file, as in unix:///run/valkey.sock")
    elif not parts.hostname and not (parts.scheme in POSTGRES and "host=" in parts.query):
        raise ValueError(f"it must name a host, as in {parts.scheme}://studio.example")
    _port(parts)


def origin_in(value: str) -> str:
    """The origin that an operator wrote, as a browser would say it."""
    parts = _split(value)
    beyond = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or beyond:
        raise ValueError(f"{value!r} is not an origin such as https://studio.example")
    return origin_of(parts)


def origin_of(url: SplitResult) -> str:
    """The origin of a web page at `url`."""
    return origin(url.scheme, url.hostname or "", _port(url))


def _split(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:
        # Python's own words may quote it.
        raise ValueError("it is not a URL") from None


def _port(url: SplitResult) -> int | None:
    try:
        return url.port
    except ValueError:
        raise ValueError("its port must be a number from 0 to 65535") from None


def origin(scheme: str, host: str, port: int | None) -> str:
    """What a browser sends as `Origin`: lower case, no default port, IPv6 in brackets (RFC 6454, section 6)."""
    host = f"[{host}]" if ":" in host else host.lower()
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def either(words: list[str]) -> str:
    """These words as a choice."""
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
