"""The embedded Postgres under a supervisor: in this program, or in one of its own that can be killed."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import trio

from omnisonic.operations.embedded.account import NAME
from omnisonic.operations.embedded.cluster import Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.operations.embedded.postgres import EmbeddedPostgres
from omnisonic.operations.supervisor import run_processes
from tests.postgres_server import blocking
from tests.process.other_users import import_path
from tests.processes import ended_with_block

DEADLINE_S: Final = 40.0

SUPERVISOR: Final = """
import signal, sys
from pathlib import Path
import trio
from omnisonic.operations.embedded.postgres import EmbeddedPostgres
from omnisonic.operations.supervisor import run_processes

async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    await postgres.end_stale()
    stop = trio.Event()

    async def until_told():
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_told)
        spec = postgres.spec()
        started = lambda: print("url", postgres.url, flush=True)
        hear = lambda _, line: print(line, flush=True)
        await run_processes([spec], on_line=hear, stop=stop, started=started)
        nursery.cancel_scope.cancel()

trio.run(main)
"""


@asynccontextmanager
async def in_service(folder: Path, *, account: str = NAME) -> AsyncIterator[EmbeddedPostgres]:
    """An embedded Postgres with its data in `folder`, supervised; stopped in order with the block."""
    postgres = EmbeddedPostgres(folder, account=account)
    await postgres.end_stale()
    started, stop = trio.Event(), trio.Event()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await run_processes([postgres.spec()], on_line=lambda *_: None, stop=stop, started=started.set)

            nursery.start_soon(run)
            await started.wait()
            yield postgres
            stop.set()


@contextlib.contextmanager
def supervisor(
    folder: Path, *, python: str = sys.executable, user: str | None = None, environ: dict[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """A program of its own that supervises one, in service: its process id and the URL. Stopped with the block."""
    account = pwd.getpwnam(user) if user else None
    started = subprocess.Popen(
        [python, "-c", SUPERVISOR, str(folder)],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(import_path())} | (environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
    with ended_with_block(started) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("url "):
                    break
            assert "".join(said[-1:]).startswith("url "), "".join(said)
            yield process.pid, said[-1].split()[1]
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


def query(url: str, statement: str) -> object:
    """The first value that `statement` gives."""

    async def ask() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return blocking(ask())


def servers(folder: Path) -> list[int]:
    """The processes that serve what is in `folder`."""
    return Cluster(folder / "data", find_postgres()).servers()


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that everybody can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
