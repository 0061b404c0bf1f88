"""The gateway as the web knows it: its address, its readiness, and the description of its protocol (SPEC 5.4).

Readiness is the gateway's own `/readyz`, answered by the loop that runs its rooms. Where only the public address is
known, a proxy on the way may pass on no other path. Then the address itself is requested, and a healthy gateway answers
that it expects a WebSocket.

Overload: the caller limits how often it checks. Gateway crashed or stalled: `Unavailable`, after `CHECK_TIMEOUT_S`.
Shutdown: the HTTP client is closed by whoever opened it.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
from quart import Blueprint, Response, request

from omnisonic.errors import Unavailable
from omnisonic.http.core.http_client import httpx
from omnisonic.http.core.openapi import describe_route
from omnisonic.http.core.responses import RealtimeDocument, encode_json, encoded_response
from omnisonic.settings.origins import WILDCARDS
from omnisonic.settings.settings import Settings
from omnisonic.wire.asyncapi import asyncapi_document

CHECK_TIMEOUT_S: Final = 1.5
"""The gateway answers within a second, whatever its own checks say, and the web within three."""
WEBSOCKET_EXPECTED: Final = "upgrade_required"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class _Answer(msgspec.Struct):
    ok: bool = False
    code: str = ""
    error: str = ""


class GatewayReadiness:
    """Checks a gateway. `url` is its `/readyz`, or with `is_public` the address that browsers open."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, *, headers: Mapping[str, str] = NO_HEADERS, is_public: bool = False
    ) -> None:
        self._client = client
        self._url = url
        self._headers = dict(headers)
        self._is_public = is_public

    async def check(self) -> None:
        """Return when the gateway is ready. Raises `Unavailable`, with what is wrong but without addresses."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                answer = await self._client.get(self._url, headers=self._headers)
            body = msgspec.json.decode(answer.content, type=_Answer)
        except TimeoutError:
            raise Unavailable(f"No answer within {CHECK_TIMEOUT_S:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Unavailable("Nothing answers.") from None
        except (msgspec.DecodeError, UnicodeError):
            raise Unavailable("What answers is no gateway.") from None
        if not (body.ok or (self._is_public and body.code == WEBSOCKET_EXPECTED)):
            raise Unavailable(body.error or "What answers is no gateway.")


def open_probe_client() -> httpx.AsyncClient:
    """Open an HTTP client for checks of this studio's own processes. It ignores proxy settings. Close it after use."""
    return httpx.AsyncClient(timeout=CHECK_TIMEOUT_S, trust_env=False)


def host_header(settings: Settings) -> dict[str, str]:
    """The `Host` header for a process that does not accept its own address as a name."""
    if not settings.allowed_hosts:
        return {}
    name = min(settings.allowed_hosts)
    return {"Host": f"[{name}]" if ":" in name else name}


def find_gateway(settings: Settings, client: httpx.AsyncClient) -> GatewayReadiness | None:
    """The gateway in the settings: by GATEWAY_HOST and GATEWAY_PORT, or else by GATEWAY_PUBLIC_URL.

    None when the settings name none: then there may be a gateway or not.
    """
    if {"gateway_host", "gateway_port"} & settings.model_fields_set and settings.gateway_port:
        url = f"{local_url(settings.gateway_host, settings.gateway_port)}/readyz"
        return GatewayReadiness(client, url, headers=host_header(settings))
    if settings.gateway_public_url is None:
        return None
    return GatewayReadiness(client, f"http{settings.gateway_public_url.removeprefix('ws')}", is_public=True)


def local_url(host: str, port: int) -> str:
    """The URL on this machine of a server that listens on `host`, which may be a wildcard."""
    if host in WILDCARDS:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


ADDRESS: Final = "/api/asyncapi.json"


class GatewayAddress:
    """The gateway's address for browsers: from the settings, else the web's own host with the gateway's port."""

    def __init__(self, settings: Settings, gateway_port: int) -> None:
        self._public_url = settings.gateway_public_url
        self._scheme = "wss" if settings.is_https else "ws"
        self._port = gateway_port

    def url(self, host: str, **query: str) -> str:
        """The URL with this query, for a browser that reached the web by this `Host`."""
        return f"{self.address(host)}?{urlencode(query)}"

    def address(self, host: str) -> str:
        """The URL without a query."""
        return self._public_url or self._default_address(host)

    def _default_address(self, host: str) -> str:
        name = urlsplit(f"//{host}").hostname or ""
        return f"{self._scheme}://{f'[{name}]' if ':' in name else name}:{self._port}/"


class RealtimeReference:
    """The route of `/api/asyncapi.json`: the realtime protocol, described for programs (`omnisonic.wire.asyncapi`)."""

    def __init__(self, gateway: GatewayAddress) -> None:
        self._gateway = gateway

    def blueprint(self) -> Blueprint:
        routes = Blueprint("realtime_document", __name__)
        routes.get(ADDRESS)(self.asyncapi)
        return routes

    @describe_route(RealtimeDocument)
    async def asyncapi(self) -> Response:
        """Get the description of the realtime protocol, in AsyncAPI 3."""
        return encoded_response(encode_json(asyncapi_document(self._gateway.address(request.host))))
