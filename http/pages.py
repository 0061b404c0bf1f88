"""The pages that people see, and the files they are made of (SPEC 6).

Pages are rendered here and loaded from here alone: the policy on each lets it run our scripts and talk to our gateway,
and nothing else. The files are read once, at the start, and live under an address that holds a digest of them all, so
that browsers may keep them for ever and modules can import one another by plain names.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from quart import Blueprint, Response, render_template, request
from quart_schema import hide
from werkzeug.exceptions import NotFound

from omnisonic.config import Settings
from omnisonic.http.policies import live_page

STATIC_DIR: Final = Path(__file__).parent / "static"
DIGEST_LENGTH: Final = 16
STATIC_MAX_AGE_S: Final = 31_536_000
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """The content of a folder, in memory, and the digest of all of it."""

    def __init__(self, folder: Path) -> None:
        files = sorted(path for path in folder.iterdir() if path.suffix in MEDIA_TYPES)
        self._files = {path.name: (path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files}
        digest = hashlib.sha256()
        for name, (content, _) in self._files.items():
            digest.update(f"{name} {len(content)}\n".encode() + content)
        self.digest = digest.hexdigest()[:DIGEST_LENGTH]

    def url(self, name: str) -> str:
        """Where `name` is served. Errors: `KeyError` when there is no such file, so that a typing error shows."""
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"

    def response(self, digest: str, name: str) -> Response:
        """The file, to be kept for ever. Errors: `NotFound`, also when it is of another version."""
        if digest != self.digest or name not in self._files:
            raise NotFound
        content, media_type = self._files[name]
        headers = {"Cache-Control": f"public, max-age={STATIC_MAX_AGE_S}, immutable"}
        return Response(content, headers=headers, content_type=media_type)


class Pages:
    """The routes that answer people."""

    def __init__(self, settings: Settings, gateway_port: int) -> None:
        self._gateway_url = settings.gateway_public_url
        self._gateway_port = gateway_port
        self._access = settings.access
        self.files = StaticFiles(STATIC_DIR)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("pages", __name__)
        routes.get("/")(self.home)
        routes.get("/static/<digest>/<name>")(self.static)
        routes.app_template_global("asset")(self.files.url)
        return routes

    @hide
    async def home(self) -> Response:
        """Enter a room: who is there, and what they say."""
        page = await render_template(
            "home.html", gateway_url=self._gateway_url or "", gateway_port=self._gateway_port, access=self._access
        )
        policy = live_page(self._gateway_sources(request.host))
        return Response(page, headers={"Content-Security-Policy": policy}, content_type="text/html; charset=utf-8")

    @hide
    async def static(self, digest: str, name: str) -> Response:
        """One of the files that the pages are made of."""
        return self.files.response(digest, name)

    def _gateway_sources(self, host: str) -> str:
        """What the page may open sockets to: the gateway, and no other server."""
        if self._gateway_url:
            parts = urlsplit(self._gateway_url)
            return f"{parts.scheme}://{parts.netloc}"
        if host.startswith("["):
            # A policy cannot name an IPv6 address (CSP 3, 2.3.1: host-source).
            return "ws: wss:"
        name = host.partition(":")[0]
        return f"ws://{name}:{self._gateway_port} wss://{name}:{self._gateway_port}"
