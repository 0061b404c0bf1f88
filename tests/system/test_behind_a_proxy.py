"""Production behind a proxy with nothing said about who may enter: rooms are by ticket all the same (SPEC 2, 5.1)."""

import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.cli.running import Command, children, command_line, completed, running
from tests.clients import upgrade_request
from tests.ports import unused_port
from tests.prepared_postgres import prepare_data_directory

SITE: Final = "https://studio.example"
PRODUCTION: Final = {
    "OMNISONIC_ENV": "production",
    "NEXTAUTH_URL": SITE,
    "GATEWAY_PUBLIC_URL": "wss://studio.example/rooms",
    "TRUSTED_PROXIES": "127.0.0.1",
    "AUTH_ENABLE_CREDENTIALS": "true",
}
"""The documented set-up, without a line on ROOM_ACCESS; the parts are bound to loopback, as their defaults are."""


@dataclass(frozen=True)
class Site:
    """It, running."""

    command: Command
    web_port: int
    gateway_port: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """It, on ports that nobody else has."""
    web, gateway = unused_port(), unused_port()
    data = {"OMNISONIC_DATA_DIR": str(prepare_data_directory(tmp_path_factory.mktemp("production")))}
    ports = {"WEB_PORT": str(web), "GATEWAY_PORT": str(gateway)}
    with running("serve", NEXTAUTH_SECRET=secrets.token_hex(32), **PRODUCTION, **data, **ports) as command:
        command.printed('"event": "serve.running"')
        yield Site(command, web, gateway)


@pytest.mark.parametrize("room", ["7d2f9a54-3c1e-4b60-8f0a-5e6d7c8b9a01", "jam"])
def test_a_stranger_enters_no_room(site: Site, room: str) -> None:
    """401 before the upgrade, with the site's origin and without one; and nothing over REST."""
    for headers in ({}, {"Origin": SITE}):
        request = upgrade_request(f"/?roomId={room}&memberId=eve&displayName=Eve", site.gateway_port, **headers)
        with socket.create_connection(("127.0.0.1", site.gateway_port), timeout=10) as connection:
            connection.sendall(request)
            head, _, body = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401 "), head
        assert json.loads(body)["code"] == "ticket_required"
    here = {"roomId": room, "memberId": "eve", "displayName": "Eve"}
    with httpx.Client(base_url=f"http://127.0.0.1:{site.web_port}", timeout=10) as client:
        assert client.post("/api/presence", json=here).status_code == 401
        assert client.get("/api/presence", params={"roomId": room}).status_code == 401


def test_the_parity_service_is_off(site: Site) -> None:
    """It has no sign-in: serve says so, and no process of it runs."""
    site.command.printed('"parity": "off"')
    assert not any(" omnisonic parity " in command_line(pid) for pid in children(site.command.pid))


@pytest.mark.parametrize(
    ("command", "token"), [("serve", "a"), ("gateway", "changeme-changeme-changeme-changeme"), ("web", "a")]
)
def test_nothing_starts_with_an_operators_token_that_can_be_guessed(command: str, token: str, tmp_path: Path) -> None:
    """A sentence names it, and does not show it; exit code 2."""
    urls = {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    secret = {"NEXTAUTH_SECRET": secrets.token_hex(32), "ADMIN_TOKEN": token, "OMNISONIC_DATA_DIR": str(tmp_path)}
    shown = completed(command, **PRODUCTION, **urls, **secret)
    assert shown.returncode == 2
    (reported,) = [line for line in shown.stderr.splitlines() if "ADMIN_TOKEN is too easy to guess: " in line]
    assert "changeme-" not in reported
