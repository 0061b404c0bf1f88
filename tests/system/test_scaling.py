"""The proxy in front of several gateways, as docs/scaling.md prints it: a room's members come to the same gateway."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import httpx
import pytest

from tests.cli.running import eventually
from tests.ports import unused_port
from tests.system.printed import ROOT, block, replaced

SCALING: Final = ROOT / "docs/scaling.md"
ROOMS: Final = 40
STOP_S: Final = 10.0
AROUND: Final = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {blocks}
    server {{
        listen 127.0.0.1:{port};
        location = /rooms {{ proxy_pass http://gateways/; }}
    }}
}}
"""


@contextmanager
def gateway(name: str) -> Iterator[int]:
    """A server that says its name; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def nginx(folder: Path, blocks: str) -> Iterator[str]:
    """nginx with these blocks; the address of its rooms."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("needs nginx")
    port, user = unused_port(), "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(user=user, folder=folder, blocks=blocks, port=port))
    process = subprocess.Popen([program, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"])
    try:
        url = f"http://127.0.0.1:{port}/rooms"
        eventually(lambda: _answers(url), what="nginx")
        yield url
    finally:
        process.terminate()
        process.wait(STOP_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, params={"roomId": "any"}).status_code == 200
    except httpx.TransportError:
        return False


def test_nginx_sends_the_members_of_a_room_to_one_gateway_and_spreads_rooms_that_are_named(tmp_path: Path) -> None:
    """Each room is on one of them, and there are rooms on both."""
    printed = block("nginx", "upstream gateways", SCALING)
    by_room = replaced(printed, {"hash $arg_roomId consistent;": "hash $room_key consistent;"})
    blocks = block("nginx", "map $arg_roomId", SCALING) + by_room
    with gateway("one") as one, gateway("two") as two:
        ports = {"10.0.0.6:8080": f"127.0.0.1:{one}", "10.0.0.7:8080": f"127.0.0.1:{two}"}
        with nginx(tmp_path, replaced(blocks, ports)) as url, httpx.Client() as client:
            places = {}
            for room in range(ROOMS):
                answers = [client.get(url, params={"roomId": f"room-{room}", "memberId": member}) for member in "abc"]
                (places[room],) = {answer.text for answer in answers}
            assert set(places.values()) == {"one", "two"}
            spread = Counter(client.get(url, params={"roomId": "release-party"}).text for _ in range(ROOMS))
            assert set(spread) == {"one", "two"}
