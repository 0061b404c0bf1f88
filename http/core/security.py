"""Security of every request and response: Content-Security-Policies, headers, and the request filter (SPEC 2).

`RequestFilter` checks the raw headers of a request once, before any route: framing that two servers could read
differently, a foreign `Host` (DNS rebinding), a foreign `Origin` on a request that changes something. `SecureHeaders`
is an ASGI middleware, so that its headers are also on responses that no route made. CORS is allowed for the client's
module alone (`omnisonic.http.core.client_module`).

The policies (CSP 3) limit what a browser may load, run and embed. Nothing we serve has inline scripts or styles, so no
nonce is needed, and no text ever becomes markup.
"""

from collections.abc import Iterable
from typing import Final, cast

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope
from quart import Quart, request

from omnisonic.http.core.errors import Refusal
from omnisonic.settings.origins import HostPolicy, OriginPolicy

_NEVER: Final = "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"

DATA: Final = f"default-src 'none'; form-action 'none'; {_NEVER}"
"""For everything that is not a page: may load, run and embed nothing."""

STILL_PAGE: Final = f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; {_NEVER}"
"""For a page without scripts."""


def live_page(*, sockets: str = "", forms: str = "", plays: bool = False) -> str:
    """For a page that runs our scripts.

    `sockets` is where it may open sockets to, and `forms` where its forms may lead besides our own pages: browsers
    hold the policy also against the redirects that follow a form (CSP 3, 6.4.2). Each is CSP sources, apart by spaces.
    `plays`: whether it may play what we keep.
    """
    media = "media-src 'self'; " if plays else ""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; {media}"
        f"connect-src {_own_sources_and(sockets)}; form-action {_own_sources_and(forms)}; "
        f"require-trusted-types-for 'script'; {_NEVER}"
    )


def _own_sources_and(sources: str) -> str:
    return f"'self' {sources}".rstrip()


_DEVICES: Final = "camera=(), display-capture=(), geolocation=(), microphone={}, midi=(), usb=()"

NO_DEVICES: Final = _DEVICES.format("()")
"""`Permissions-Policy`: neither the page nor what it embeds may ask for a device."""

MICROPHONE: Final = _DEVICES.format("(self)")
"""For the page that records: it may ask for a microphone, and what it embeds may not."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
HSTS_MAX_AGE_S: Final = 31_536_000

Headers = Iterable[tuple[bytes, bytes]]


class RequestFilter:
    """Refuses requests that are ambiguous, for another host, or from a foreign page."""

    def __init__(self, hosts: HostPolicy, origins: OriginPolicy) -> None:
        self._hosts = hosts
        self._origins = origins

    def check(self, method: str, http_version: str, headers: Headers) -> None:
        """Check a request. Raises `Refusal`: 400 `bad_request`, 421 `wrong_host`, 403 `foreign_origin`."""
        host = origin = None
        has_length = has_encoding = False
        for name, value in headers:
            match name:
                case b"host":
                    host = value.decode("latin1")
                case b"origin":
                    origin = value.decode("latin1")
                case b"content-length":
                    has_length = True
                case b"transfer-encoding":
                    has_encoding = True
                case b"upgrade" if b"h2c" in value.lower():
                    raise _bad_request("This server does not upgrade to HTTP/2.")
        if http_version not in ("1.1", "1.0"):
            raise _bad_request("This server speaks HTTP/1.1 only.")
        if has_length and has_encoding:
            raise _bad_request("Send either Content-Length or Transfer-Encoding, not both.")
        if not self._hosts.allows(host):
            raise Refusal(421, "wrong_host", "This server does not answer to that name. See ALLOWED_HOSTS.")
        if method not in SAFE_METHODS and not self._origins.allows(origin):
            raise Refusal(403, "foreign_origin", "Pages from that origin may not do this. See ALLOWED_ORIGINS.")


class SecureHeaders:
    """ASGI middleware: adds the headers `fixed` to every response, and `defaults` where the route set none."""

    def __init__(self, app: ASGIFramework, *, fixed: Headers, defaults: Headers) -> None:
        self._app = app
        self._fixed = tuple(fixed)
        self._defaults = tuple(defaults)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            # WebSockets belong to the gateway. Closing before accepting is a 403 to the peer.
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return

        async def send_with_headers(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                headers = list(event["headers"])
                present = {name for name, _ in headers}
                headers += self._fixed
                headers += [header for header in self._defaults if header[0] not in present]
                event["headers"] = headers
            await send(event)

        await self._app(scope, receive, send_with_headers)


def secure(app: Quart, hosts: HostPolicy, origins: OriginPolicy, *, https: bool) -> None:
    """Add the request filter and the headers to `app`. `https`: browsers reach it over TLS."""
    request_filter = RequestFilter(hosts, origins)
    fixed = [
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if https:
        fixed.append((b"strict-transport-security", b"max-age=%d" % HSTS_MAX_AGE_S))
    defaults = [
        (b"content-security-policy", DATA.encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"same-origin"),
        (b"permissions-policy", NO_DEVICES.encode()),
    ]
    inner = cast("ASGIFramework", app.asgi_app)
    app.asgi_app = SecureHeaders(inner, fixed=fixed, defaults=defaults)  # type: ignore[method-assign]

    @app.before_request
    async def filter_request() -> None:
        scope = cast("HTTPScope", request.scope)
        request_filter.check(scope["method"], scope["http_version"], scope["headers"])


def _bad_request(message: str) -> Refusal:
    # Bytes that follow on this connection may not be a request.
    return Refusal(400, "bad_request", message, headers={"Connection": "close"})
