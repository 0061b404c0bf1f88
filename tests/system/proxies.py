"""nginx and Caddy in front of a studio in production, as docs/operating.md prints both, and the way in through them.

What is replaced of the printed is what every operator replaces: the ports, and where the certificate lies. The name
stays `studio.example`; a `Site` reaches it at the proxy's port on loopback.
"""

import secrets
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio
from trio_websocket import wrap_client_stream

from tests.certificates import make_certificate
from tests.cli.running import START_S, completed, eventually, running
from tests.clients import Client
from tests.ports import unused_port
from tests.prepared_postgres import prepare_data_directory
from tests.system.musicians import PASSWORD
from tests.system.printed import block, replaced, settings_in

HOST: Final = "studio.example"
EMAIL: Final = "ada@example.com"
"""Who has an account, with the password `PASSWORD`."""
STOP_S: Final = 10.0
CERTIFICATE: Final = "/etc/ssl/studio.example.pem"
KEY: Final = "/etc/ssl/studio.example.key"
NGINX: Final = """\
{user}
daemon off;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/studio.conf;
}}
"""
"""What Debian's nginx.conf does: the printed block is included in it."""
CADDY: Final = "{{\n    admin off\n    https_port {port}\n    http_port {http_port}\n}}\n"


@dataclass(frozen=True)
class Ports:
    """Where the studio listens behind its proxies."""

    web: int
    gateway: int


@dataclass(frozen=True)
class Site:
    """`https://studio.example`, by the proxy at `port` on loopback."""

    port: int
    ca: Path
    """The certificate that is to be trusted."""
    trusting: ssl.SSLContext

    def browser(self, source: str = "127.0.0.1") -> httpx.AsyncClient:
        """Somebody at the address `source`, with cookies of their own."""
        transport = _ByProxy(self, source)
        return httpx.AsyncClient(base_url=f"https://{HOST}", transport=transport, timeout=START_S)

    @asynccontextmanager
    async def entered(
        self, target: str, *, subprotocols: Sequence[str] = (), headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> AsyncIterator[Client]:
        """A member who came in by `wss://`. Errors: `ConnectionRejected`."""
        tcp = await trio.open_tcp_stream("127.0.0.1", self.port)
        stream = trio.SSLStream(tcp, self.trusting, server_hostname=HOST, https_compatible=True)
        async with stream, trio.open_nursery() as nursery:
            websocket = await wrap_client_stream(
                nursery, stream, HOST, target, subprotocols=subprotocols, extra_headers=list(headers)
            )
            client = Client(websocket)
            client.welcome = await client.next("welcome")
            yield client
            await websocket.aclose()


class _ByProxy(httpx.AsyncBaseTransport):
    """Connects to the proxy whatever the host, as its name would lead there."""

    def __init__(self, site: Site, source: str) -> None:
        self._port = site.port
        self._inner = httpx.AsyncHTTPTransport(verify=site.trusting, local_address=source)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https"
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1", port=self._port),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": request.url.host},
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


@contextmanager
def running_sites(folder: Path) -> Iterator[dict[str, Site]]:
    """One studio in production, with the settings as printed, and in front of it both proxies by their names."""
    for program in ("nginx", "caddy", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing here")
    data, ports = folder / "data", Ports(unused_port(), unused_port())
    settings = settings_in(block("sh", "TRUSTED_PROXIES=")) | {
        "OMNISONIC_ENV": "production",
        "NEXTAUTH_SECRET": secrets.token_urlsafe(32),
        "AUTH_ENABLE_CREDENTIALS": "true",
        "OMNISONIC_DATA_DIR": str(prepare_data_directory(data)),
        "WEB_PORT": str(ports.web),
        "GATEWAY_PORT": str(ports.gateway),
    }

    signed, private = make_certificate(folder, HOST)
    trusting = ssl.create_default_context(cafile=str(signed))
    names = {CERTIFICATE: str(signed), KEY: str(private)}
    with ExitStack() as stack:
        stack.enter_context(running("serve", **settings)).printed("serve.running")
        made = completed("users", "add", EMAIL, typed=PASSWORD, OMNISONIC_DATA_DIR=str(data))
        assert made.returncode == 0, made.stderr
        started = {"nginx": _running_nginx, "caddy": _running_caddy}
        yield {
            name: Site(stack.enter_context(start(folder, ports, names)), signed, trusting)
            for name, start in started.items()
        }


@contextmanager
def _running_nginx(folder: Path, ports: Ports, names: dict[str, str]) -> Iterator[int]:
    port = unused_port()
    words = {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "listen 80;": f"listen 127.0.0.1:{unused_port()};",
        "127.0.0.1:3000": f"127.0.0.1:{ports.web}",
        "127.0.0.1:8080": f"127.0.0.1:{ports.gateway}",
    }
    (folder / "studio.conf").write_text(replaced(block("nginx", "server {"), words | names))
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
    with _running(port, "nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")):
        yield port


@contextmanager
def _running_caddy(folder: Path, ports: Ports, names: dict[str, str]) -> Iterator[int]:
    port = unused_port()
    words = {"127.0.0.1:3000": f"127.0.0.1:{ports.web}", "127.0.0.1:8080": f"127.0.0.1:{ports.gateway}"}
    options = CADDY.format(port=port, http_port=unused_port())
    file = folder / "Caddyfile"
    file.write_text(options + replaced(block("caddyfile", HOST), words | names))
    with _running(port, "caddy", "run", "--adapter", "caddyfile", "--config", str(file), home=folder):
        yield port


@contextmanager
def _running(port: int, *command: str, home: Path = Path("/")) -> Iterator[None]:
    """The proxy, which listens on `port` when the block begins, and is stopped with it."""
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin", "HOME": str(home)}
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or _listens(port), what=f"{command[0]} listens")
        assert process.poll() is None, f"{command[0]} ended with exit code {process.returncode}"
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
