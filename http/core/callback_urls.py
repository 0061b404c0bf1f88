"""Where a browser goes after signing in or out: only ever to a page of our own (SPEC 4). Pure.

What comes out is a path, so that no reader of it can see another host there. It is looked at as browsers look at it:
a backslash is a slash to them, control characters are not there, and `//` begins a host (WHATWG URL, 4.4).
"""

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from werkzeug.urls import iri_to_uri

from omnisonic.settings.settings import Settings

AFTER_SIGN_IN: Final = "/sessions"
HOME: Final = "/"
"""Where whatever leads elsewhere leads instead."""
LONGEST: Final = 2048
"""Most characters in a callback URL."""
DECODINGS: Final = 3
"""How many times over something may be percent-encoded before it is suspect for that alone."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")


def own_origin(settings: Settings, host: str) -> str:
    """The origin that browsers know us by: `NEXTAUTH_URL`'s, or that of the `Host` they asked, which is one of ours."""
    if settings.nextauth_url:
        return _origin(urlsplit(settings.nextauth_url)) or ""
    return f"http://{host.lower()}"


def own_path(url: str | None, origin: str, *, default: str = AFTER_SIGN_IN) -> str:
    """The path, query and fragment of `url` when it leads to `origin`; `default` without one, else `/`."""
    if not url:
        return default
    if len(url) > LONGEST or _FORBIDDEN.search(url):
        return HOME
    if not url.startswith("/"):
        url = _beyond_origin(url, origin)
    return str(iri_to_uri(url)) if _is_harmless(url) else HOME


def _beyond_origin(url: str, origin: str) -> str:
    """What follows `origin` in an absolute URL; nothing when it begins otherwise."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "@" in parts.netloc or _origin(parts) != origin:
        return ""
    return parts._replace(scheme="", netloc="", path=parts.path or HOME).geturl()


def _is_harmless(path: str) -> bool:
    """Whether it is a path and nobody takes it for anything else, however many times it is decoded on its way."""
    for _ in range(DECODINGS):
        if not path.startswith("/") or path.startswith("//") or _FORBIDDEN.search(path):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False


def _origin(url: SplitResult) -> str | None:
    """As a browser says it: lower case, no default port. None when it is not a web address."""
    try:
        port = url.port
    except ValueError:
        return None
    if url.scheme not in DEFAULT_PORTS or not url.hostname:
        return None
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" if port in (None, DEFAULT_PORTS[url.scheme]) else f"{url.scheme}://{host}:{port}"
