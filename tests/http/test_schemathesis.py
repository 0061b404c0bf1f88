"""A property-based client finds no difference between the OpenAPI document and the answers (SPEC 3).

schemathesis reads the document, and sends what it allows and what it forbids to every route: answers with a status, a
media type, a header or a shape that is not declared, our own failures, valid requests refused and invalid ones accepted
are all differences. The same requests each time.
"""

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from omnisonic.stores.bus.events import Reply
from tests.http.api.test_sessions import make
from tests.http.running import Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

UNLIMITED: Final = {"REST_RATE_PER_S": "0", "REST_ADDRESS_RATE_PER_S": "0"}
"""A client that asks thousands of times in a minute, on a guard whose clock stands still."""
EXAMPLES: Final = 5
OPTIONS: Final = (
    "--checks=all",
    "--mode=all",
    # It would take the cookie out of a request and put the same one back from the configuration.
    "--generation-with-security-parameters=false",
    "--warnings=off",
    "--no-color",
    "--no-shrink",
)

DRAWN: Final = ("--phases=coverage,fuzzing", f"--max-examples={EXAMPLES}")
"""What is drawn as well as what is derived."""
BY_ACCESS: Final = {"open": (), "ticket": ("--include-path-regex=^/api/(rooms|presence)",)}
"""What is asked in each mode: all, and what differs."""

HOOKS: Final = """
import schemathesis

# Bytes as they are, under the name that tus has for them.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
schemathesis.serializer.alias("application/x-ndjson", "application/octet-stream")
"""


@pytest.fixture(scope="module")
def shared_web(postgres_process: PostgresServer) -> Iterator[Web]:
    with fresh_database(postgres_process) as url, running_web(UNLIMITED, database_url=url) as web:
        yield web


@pytest.fixture(scope="module")
def shared_ticket_web(postgres_process: PostgresServer) -> Iterator[Web]:
    with (
        fresh_database(postgres_process) as url,
        running_web({"ROOM_ACCESS": "ticket", **UNLIMITED}, database_url=url) as web,
    ):
        yield web


def differences(url: str, folder: Path, configuration: str = "", *options: str) -> str:
    """What it finds; nothing when it finds nothing."""
    # Coverage would slow it by a third, and none of it is ours.
    uncovered = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "schemathesis.toml").write_text(f'hooks = "hooks"\n{configuration}')
    done = subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "schemathesis",
            "run",
            f"{url}/api/openapi.json",
            *OPTIONS,
            *options,
        ],
        cwd=folder,
        env=uncovered | {"COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout


def configured(client: httpx.Client, room: str) -> str:
    """Every request carries the client's cookie, and what is said is said in `room`."""
    (cookie,) = client.cookies.jar
    return f"""
headers = {{ Cookie = "{cookie.name}={cookie.value}" }}

[[operations]]
include-path = "/api/rooms/{{roomId}}/messages"
parameters = {{ "path.roomId" = "{room}" }}

[[operations]]
include-name = "GET /api/export"
# It wants one of two parameters, which OpenAPI has no words for.
checks.positive_data_acceptance.expected-statuses = [200, 400, 401, 404, 429, 503]

[[operations]]
include-name = "POST /api/upload"
# Whether a file is sound, a picture or a film is decided by its content, which OpenAPI has no words for either.
checks.positive_data_acceptance.expected-statuses = [201, 400, 401, 403, 404, 415, 429, 503, 507]

[[operations]]
include-name = "POST /api/upload/tus"
# It wants one of two headers.
checks.positive_data_acceptance.expected-statuses = [201, 400, 401, 403, 404, 408, 412, 413, 503]

[[operations]]
include-name = "GET /api/rooms/{{roomId}}/events"
# Here is no gateway; otherwise the answer would not end. Streams have tests of their own.
checks.not_a_server_error.expected-statuses = ["4xx", "503"]
"""


@pytest.mark.parametrize("access", ["open", "ticket"])
def test_signed_in_nothing_differs(access: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Sessions are made, found, changed, shared and deleted; rooms are entered and spoken to."""
    web: Web = request.getfixturevalue("web" if access == "open" else "ticket_web")
    web.bus.gateway = lambda said: Reply(offset=1)
    ada = web.sign_up("ada@example.com")
    room = make(ada)["id"]
    # Signing out would end it all; strangers do, below.
    # What tus asks of a request, and how it refuses, is for its own version to say (tests/http/api/test_tus.py).
    but = ("--exclude-path=/api/auth/signout", "--exclude-path-regex=^/api/upload/tus")
    found = differences(web.url, tmp_path, configured(ada, room), *DRAWN, *but, *BY_ACCESS[access])
    assert not found, found
    assert web.bus.published


def test_for_a_stranger_nothing_differs(ticket_web: Web, tmp_path: Path) -> None:
    """Where it is decided that they get nothing that is what the document says, too."""
    found = differences(ticket_web.url, tmp_path, "", "--phases=coverage")
    assert not found, found
    assert not ticket_web.do(ticket_web.database.rows("SELECT 1 FROM sessions"))
