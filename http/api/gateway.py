"""How the gateway is, asked over HTTP: its own `/readyz`, which the loop of its rooms answers (SPEC 5.4).

Where only its public address is known, the way there leads through a proxy that may know no other path: then the
address itself is asked, and a gateway that goes on answers that it wants a WebSocket.

Overload: whoever asks bounds how often. Crash and stand-still of the gateway: `Unavailable`, after `ASK_S`. Shutdown:
the client is closed by whoever opened it.

`/api/asyncapi.json`: the realtime protocol, described for programs (SPEC 5; `omnisonic.wire.asyncapi`).
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from quart import Blueprint, Response, request

from omnisonic.errors import Unavailable
from omnisonic.http.core.openapi import describe_route
from omnisonic.http.core.responses import RealtimeDocument, encoded, encoded_response
from omnisonic.settings.origins import WILDCARDS
from omnisonic.settings.settings import Settings
from omnisonic.wire.asyncapi import asyncapi_document

CHECK_TIMEOUT_S: Final = 1.5
"""The gateway answers within a second, however its own checks end; and a web that asks it answers within three."""
WANTS_WEBSOCKET: Final = "upgrade_required"
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class _Answer(msgspec.Struct):
    ok: bool = False
    code: str = ""
    error: str = ""


class GatewayReadiness:
    """Asks a gateway. `url` is its `/readyz`, or with `is_public` the address that browsers open."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, *, headers: Mapping[str, str] = NOTHING, is_public: bool = False
    ) -> None:
        self._client = client
        self._url = url
        self._headers = dict(headers)
        self._is_public = is_public

    async def check(self) -> None:
        """Return when the gateway is ready. Errors: `Unavailable`, saying what is wrong and leaking no address."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                answer = await self._client.get(self._url, headers=self._headers)
            said = msgspec.json.decode(answer.content, type=_Answer)
        except TimeoutError:
            raise Unavailable(f"No answer within {CHECK_TIMEOUT_S:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Unavailable("Nothing answers.") from None
        except (msgspec.DecodeError, UnicodeError):
            raise Unavailable("What answers is no gateway.") from None
        if not (said.ok or (self._is_public and said.code == WANTS_WEBSOCKET)):
            raise Unavailable(said.error or "What answers is no gateway.")


def open_probe_client() -> httpx.AsyncClient:
    """A client for asking parts of this studio how they are, to be closed. It takes no way through a proxy."""
    return httpx.AsyncClient(timeout=CHECK_TIMEOUT_S, trust_env=False)


def host_header(settings: Settings) -> dict[str, str]:
    """The header that asks a part under a name that it answers to, when its address is none."""
    return {"Host": min(settings.allowed_hosts)} if settings.allowed_hosts else {}


def find_gateway(settings: Settings, client: httpx.AsyncClient) -> GatewayReadiness | None:
    """The gateway that these settings name: by GATEWAY_HOST and GATEWAY_PORT, or else by GATEWAY_PUBLIC_URL.

    None when they name none: nobody knows then whether there is one.
    """
    if {"gateway_host", "gateway_port"} & settings.model_fields_set and settings.gateway_port:
        url = f"{local_url(settings.gateway_host, settings.gateway_port)}/readyz"
        return GatewayReadiness(client, url, headers=host_header(settings))
    if settings.gateway_public_url is None:
        return None
    return GatewayReadiness(client, f"http{settings.gateway_public_url.removeprefix('ws')}", is_public=True)


def local_url(host: str, port: int) -> str:
    """How somebody on this machine reaches what listens on `host`, which may be a wildcard."""
    if host in WILDCARDS:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


ADDRESS: Final = "/api/asyncapi.json"


class GatewayAddress:
    """Where browsers find the gateway: what the settings say, or beside the web."""

    def __init__(self, settings: Settings, gateway_port: int) -> None:
        self._public_url = settings.gateway_public_url
        self._scheme = "wss" if settings.is_https else "ws"
        self._port = gateway_port

    def url(self, host: str, **query: str) -> str:
        """Its URL for somebody who reached the web by this `Host`, with the query."""
        return f"{self.address(host)}?{urlencode(query)}"

    def address(self, host: str) -> str:
        """The same without a query."""
        return self._public_url or self._beside(host)

    def _beside(self, host: str) -> str:
        name = urlsplit(f"//{host}").hostname or ""
        return f"{self._scheme}://{f'[{name}]' if ':' in name else name}:{self._port}/"


class RealtimeReference:
    """The route. `gateway` is where browsers find the gateway."""

    def __init__(self, gateway: GatewayAddress) -> None:
        self._gateway = gateway

    def blueprint(self) -> Blueprint:
        routes = Blueprint("realtime_document", __name__)
        routes.get(ADDRESS)(self.asyncapi)
        return routes

    @describe_route(RealtimeDocument)
    async def asyncapi(self) -> Response:
        """Describe what goes over the WebSocket."""
        return encoded_response(encoded(asyncapi_document(self._gateway.address(request.host))))
