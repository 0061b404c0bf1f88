"""`create_app`: the studio's web in somebody's web app, on real stores (SPEC 3, 8)."""

import asyncio
import re
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import omnisonic
from tests.embedding.printed import DOCUMENT, running, save_all
from tests.http.route_table import ROUTES
from tests.postgres_server import PostgresServer
from tests.valkey_server import ValkeyServer

NOWHERE: Final = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "REDIS_URL": "redis://127.0.0.1:9"}
DISPATCHED: Final = """
from hypercorn.middleware.dispatcher import AsyncioDispatcherMiddleware
from quart import Quart
import omnisonic

theirs = Quart("theirs")
studio = omnisonic.create_app()

@theirs.get("/news")
async def news() -> str:
    return "The band is on tour."

app = AsyncioDispatcherMiddleware({"/band": theirs, "/": studio})
"""


def environ(database_url: str, valkey: ValkeyServer, folder: Path, port: int) -> dict[str, str]:
    """What the environment says about the stores, and where the studio is."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey.url,
        "OMNISONIC_DATA_DIR": str(folder / "data"),
        "NEXTAUTH_URL": f"http://127.0.0.1:{port}",
    }


@pytest.mark.timing
@pytest.mark.parametrize(("module", "theirs"), [("mounted", "/news"), ("dispatched", "/band/news")])
async def test_the_studio_lives_behind_somebodys_own_routes(
    module: str, theirs: str, database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """In Starlette as printed, and beside a Quart: their routes first, then its pages, its API and its sign-in."""
    save_all(tmp_path)
    (tmp_path / "dispatched.py").write_text(DISPATCHED)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Hypercorn's dispatcher does not expect the cancellation with which a group of tasks ends since Python 3.12.
    last_words = "asyncio.exceptions.CancelledError" if module == "dispatched" and sys.version_info >= (3, 12) else ""
    serve = ["-m", "hypercorn", "--bind", f"127.0.0.1:{port}", f"{module}:app"]
    async with (
        running(
            Path(sys.executable),
            tmp_path,
            *serve,
            last_words=last_words,
            **environ(database_url, valkey, tmp_path, port),
        ) as program,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web,
    ):
        await program.line("Running on")
        assert (await web.get(theirs)).text == "The band is on tour."
        assert (await web.get("/readyz")).json()["ok"] is True
        page = await web.get("/signin")
        assert (page.status_code, "Continue with email" in page.text) == (200, True)
        csrf = (await web.get("/api/auth/csrf")).json()["csrfToken"]
        reported = {"csrfToken": csrf, "email": "ada@example.com", "password": "correct horse", "json": "true"}
        await web.post("/api/auth/callback/credentials", data=reported, headers={"Origin": f"http://127.0.0.1:{port}"})
        assert (await web.get("/api/auth/session")).json()["user"]["email"] == "ada@example.com"
        assert (await web.post("/api/sessions", json={"name": "Night jam"})).status_code == 201
        assert (await web.get("/", headers={"Host": "evil.example"})).status_code in (421, 200)


def test_the_document_names_all_paths_that_are_the_studios() -> None:
    """Whoever mounts it routes these to it."""
    words = re.search(r"Leave these paths to it:\*\* (.*?)\. The cookie", DOCUMENT.read_text(), re.DOTALL)
    assert words is not None
    named = {path.rstrip("…").rstrip("/") for path in re.findall(r"`([^`]*)`", words[1])}
    assert named == {f"/{path.split('/')[1]}".rstrip("/") for _, path in ROUTES}


def studio(**differently: str) -> omnisonic.StudioWeb:
    """The web on stores that are nowhere."""
    return omnisonic.create_app(omnisonic.Settings.load({**NOWHERE, **differently}))


def asked(app: omnisonic.StudioWeb, **scope: Any) -> list[MutableMapping[str, Any]]:
    """What the app sends to a request of this scope."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    whole = {"type": "http", "path": "/", "raw_path": b"/", "root_path": "", "headers": [], **scope}
    asyncio.run(app(whole, receive, send))
    return sent


@pytest.mark.parametrize(
    "scope",
    [
        {"root_path": "/studio", "path": "/studio/signin", "raw_path": b"/studio/signin"},
        {"root_path": "/studio/"},
        {"path": "/signin", "raw_path": b"/studio/signin?a=b"},
    ],
)
def test_under_a_prefix_it_is_refused_in_a_sentence(scope: dict[str, Any]) -> None:
    """By whichever of the ways that routers tell it; at the root it goes on to the next question."""
    with pytest.raises(RuntimeError, match=r"mounted under /studio, .*Mount it at the root"):
        asked(studio(), **scope)


@pytest.mark.parametrize("scope", [{}, {"root_path": "/"}, {"path": "/a b", "raw_path": b"/a%20b"}, {"raw_path": b""}])
def test_without_its_lifespan_it_says_so(scope: dict[str, Any]) -> None:
    """As in Starlette, which runs only its own."""
    with pytest.raises(RuntimeError, match=r"run its lifespan: .*|async with studio.running"):
        asked(studio(), **scope)


def test_it_needs_to_be_told_where_its_stores_are() -> None:
    """Before anything is served, with a sentence for each."""
    with pytest.raises(omnisonic.BadSettings) as bad:
        omnisonic.create_app(omnisonic.Settings.load({}))
    assert [problem.split()[0] for problem in bad.value.problems] == ["REDIS_URL", "DATABASE_URL"]


def test_a_database_that_was_not_migrated_fails_the_start(postgres_process: PostgresServer) -> None:
    """The ASGI server hears why."""
    sent: list[MutableMapping[str, Any]] = []
    app = studio(DATABASE_URL=postgres_process.url)

    async def start() -> None:
        async def receive() -> MutableMapping[str, Any]:
            return {"type": "lifespan.startup"}

        async def send(event: MutableMapping[str, Any]) -> None:
            sent.append(event)

        await app({"type": "lifespan"}, receive, send)

    asyncio.run(start())
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "omnisonic migrate" in sent[0]["message"]


def test_it_runs_once_at_a_time(database_url: str, tmp_path: Path) -> None:
    """Two lifespans at once are a mistake; one after the other is none. A Redis that is away is none either."""
    app = studio(OMNISONIC_DATA_DIR=str(tmp_path), DATABASE_URL=database_url)

    async def run() -> None:
        async with app.running():
            with pytest.raises(RuntimeError, match="runs already"):
                async with app.running():
                    pass
        async with app.running():
            pass

    asyncio.run(run())
