"""Programs that send messages into rooms by a server key, exactly as docs/publishing.md prints them."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from tests.cli.running import completed, eventually
from tests.no_tls import NO_TLS
from tests.ports import unused_port
from tests.processes import ended_with_block
from tests.system.printed import ROOT, block, replaced
from tests.system.studio import Studio

DOCUMENT: Final = ROOT / "docs/publishing.md"
TIMEOUT_S: Final = 30.0
SITES: Final = {
    "flask_site.py": ("-m", "flask", "--app", "flask_site", "run", "--port", "{port}"),
    "django_site.py": ("django_site.py", "runserver", "--noreload", "{port}"),
}


@pytest.fixture(scope="module")
def key(studio: Studio) -> str:
    """A server key of this studio, made by its operator."""
    shown = completed("keys", "create", "interop", DATABASE_URL=studio.database_url)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.strip()


@pytest.fixture(params=SITES)
def site(
    request: pytest.FixtureRequest, studio: Studio, key: str, generator_python: Path, tmp_path: Path
) -> Iterator[httpx.Client]:
    """The program of the document, running, and a visitor of it."""
    (tmp_path / request.param).write_text(block("python", f"# {request.param}", DOCUMENT))
    port = unused_port()
    command = [str(generator_python), *(word.format(port=port) for word in SITES[request.param])]
    environ = {"OMNISONIC_URL": f"http://127.0.0.1:{studio.visitors.web_port}", "OMNISONIC_KEY": key}
    with (
        (tmp_path / "log").open("wb") as log,
        ended_with_block(subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=log, stderr=log)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S, verify=NO_TLS) as client,
    ):
        eventually(lambda: _answers(client), what="the site answers")
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/").status_code == 404
    except httpx.TransportError:
        return False


async def test_a_site_is_received_in_the_room(
    studio: Studio, site: httpx.Client, request: pytest.FixtureRequest
) -> None:
    """By whoever is in the room; the site knows when nobody is."""
    room = f"jam {request.node.callspec.id}"
    path = f"/takes/{room}/Take 3"
    answer = await trio.to_thread.run_sync(site.post, path)
    assert (answer.status_code, answer.json()) == (200, {"received": False})
    async with studio.visitors.member("ada", room) as ada:
        answer = await trio.to_thread.run_sync(site.post, path)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        message = await ada.next("take.ready")
        assert (message["payload"], message["from"]) == ({"name": "Take 3"}, None)


async def test_curl_is_received_in_the_room(studio: Studio, key: str) -> None:
    """As printed, but for the port."""
    printed = replaced(block("sh", "curl", DOCUMENT), {"127.0.0.1:3000": f"127.0.0.1:{studio.visitors.web_port}"})
    async with studio.visitors.member("ada", "night-jam") as ada:
        done = await trio.run_process(
            ["sh", "-c", printed.replace("curl ", "curl --silent --show-error ")],
            env={"PATH": "/usr/bin:/bin", "OMNISONIC_KEY": key},
            capture_stdout=True,
        )
        assert re.fullmatch(rb'\{"offset": ?\d+\}\s*', done.stdout)
        message: dict[str, Any] = await ada.next("take.ready")
        assert message["payload"] == {"name": "Take 3"}
