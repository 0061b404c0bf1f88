"""Where a browser goes after signing in or out: always a page of our own (SPEC 4). Pure.

The result is a path, so that it can name no other host. URLs are read as browsers read them: a backslash is a slash,
control characters are dropped, and `//` begins a host (WHATWG URL, 4.4).
"""

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from werkzeug.urls import iri_to_uri

from omnisonic.settings.settings import Settings

AFTER_SIGN_IN: Final = "/sessions"
HOME: Final = "/"
"""The page for callbacks that lead to another site."""
LONGEST: Final = 2048
"""Most characters in a callback URL."""
DECODINGS: Final = 3
"""How often a path may be percent-encoded. More is suspicious by itself."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")


def own_origin(settings: Settings, host: str) -> str:
    """The origin that browsers use for us: that of `NEXTAUTH_URL`, else of the request's checked `Host`."""
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
    """The part of an absolute URL after `origin`; empty when it begins otherwise."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "@" in parts.netloc or _origin(parts) != origin:
        return ""
    return parts._replace(scheme="", netloc="", path=parts.path or HOME).geturl()


def _is_harmless(path: str) -> bool:
    """Whether it is a path and stays one, however often it is decoded on its way."""
    for _ in range(DECODINGS):
        if not path.startswith("/") or path.startswith("//") or _FORBIDDEN.search(path):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False


def _origin(url: SplitResult) -> str | None:
    """The origin as browsers write it: lower case, no default port. None when it is not a web address."""
    try:
        port = url.port
    except ValueError:
        return None
    if url.scheme not in DEFAULT_PORTS or not url.hostname:
        return None
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" if port in (None, DEFAULT_PORTS[url.scheme]) else f"{url.scheme}://{host}:{port}"
