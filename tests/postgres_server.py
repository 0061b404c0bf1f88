"""A real Postgres for tests: one for the whole session, and servers of one's own that can be made to fail.

Everything here blocks, for the moments that it takes.
"""

import asyncio
import contextlib
import itertools
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
import pytest

from omnisonic.operations.embedded import POSTGRES_PORTS, PortReservation
from omnisonic.operations.embedded.cluster import DATABASE, USER, Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.stores.database.migrations import migrate
from omnisonic.stores.database.pool import Deadlines
from tests.prepared_postgres import copy_cluster, run_folder
from tests.processes import ended_with_block, send_signal

START_TIMEOUT_S: Final = 90.0
POLL_S: Final = 0.01
TEMPLATE: Final = "migrated"
FAST: Final = (
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "32MB"),
    ("dynamic_shared_memory_type", "mmap"),  # goes with the folder, however the server ends
)
"""What is in it need not survive the machine; it does survive the server."""
PATIENT: Final = Deadlines(acquire_s=60.0, query_s=60.0, release_s=20.0)
"""For tests that use a database without trying its deadlines. On a busy machine a new connection, for which the server
starts a process, was seen to take 10 s."""

T = TypeVar("T")
_names = itertools.count(1)


class PostgresServer:
    """A server on 127.0.0.1, which anybody may enter unless it has a password. Port and data outlive a restart."""

    def __init__(self, folder: Path, *, max_connections: int = 100, password: str | None = None) -> None:
        """`folder` is for its data, and is kept."""
        self._installation = find_postgres()
        self._cluster = Cluster(folder / "data", self._installation)
        self._max_connections = max_connections
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._reservation = PortReservation(POSTGRES_PORTS, instead="DATABASE_URL")
        self.port = self._reservation.port

    @property
    def url(self) -> str:
        """The database that is there from the beginning."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """How a client reaches `database`."""
        secret = f":{self._password}" if self._password else ""
        return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, unless it runs; it answers when this returns."""
        if self._process is not None:
            return
        if not self._cluster.exists:
            if self._password is None:
                copy_cluster(self._cluster.folder)
            else:
                self._cluster.create(self._password)
        self._process = subprocess.Popen(
            self._cluster.command(self.port, [*FAST, ("max_connections", str(self._max_connections))]),
            cwd=self._cluster.folder,
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._installation.user,
            group=self._installation.group,
            extra_groups=self._installation.extra_groups,
            process_group=0,
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._cluster.is_ready:
            assert self._process.poll() is None, f"postgres ended with exit code {self._process.returncode}"
            assert time.monotonic() < deadline_s, "postgres does not start"
            threading.Event().wait(POLL_S)

    def stop(self) -> None:
        """End it in order and at once (SIGINT): statements under way fail, clients are cut off."""
        self._end(signal.SIGINT)

    def abort(self) -> None:
        """End it without tidying (SIGQUIT): the next start recovers."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), and wait until what it left behind has noticed."""
        self._end(signal.SIGKILL)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while self.processes():
            assert time.monotonic() < deadline_s, "some of postgres lives on"
            threading.Event().wait(POLL_S)

    def restart(self) -> None:
        """`stop` and `start`."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Make all of it hang (SIGSTOP): connections still open, and nothing is ever answered."""
        for pid in self.processes():
            send_signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT), with all it was sent meanwhile."""
        for pid in self.processes():
            send_signal(pid, signal.SIGCONT)

    def processes(self) -> list[int]:
        """All that serve its data now. Some come and go by themselves."""
        return self._cluster.servers()

    def execute(self, query: str, *values: object, database: str = DATABASE) -> list[asyncpg.Record]:
        """Run one statement beside the code under test."""
        return blocking(_execute(self.url_of(database), query, *values))

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            with ended_with_block(process):
                self.resume()
                process.send_signal(how)
                process.wait(START_TIMEOUT_S)


def blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run asyncio code to its end from anywhere, a trio test included: in a thread of its own."""
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as problem:  # noqa: BLE001 - raised again where it was asked for
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


async def _execute(url: str, query: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


@contextlib.contextmanager
def running_postgres(*, max_connections: int = 100, password: str | None = None) -> Iterator[PostgresServer]:
    """A server of one's own with an empty database, at `url`; ended with the block."""
    folder = Path(tempfile.mkdtemp(prefix="omnisonic-postgres-"))
    try:
        server = PostgresServer(folder, max_connections=max_connections, password=password)
        try:
            with run_folder():  # the benchmarks have no run
                server.start()
            yield server
        finally:
            server.abort()
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def fresh_database(server: PostgresServer) -> Iterator[str]:
    """The URL of a migrated database of one's own, dropped with the block, whoever is still connected."""
    name = f"test_{next(_names)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    try:
        yield server.url_of(name)
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_process() -> Iterator[PostgresServer]:
    """The one server of the test session, with a migrated template. Do not stop it: others use it, too."""
    with running_postgres() as server:
        server.execute(f"CREATE DATABASE {TEMPLATE}")
        blocking(migrate(server.url_of(TEMPLATE)))
        yield server


@pytest.fixture
def database_url(postgres_process: PostgresServer) -> Iterator[str]:
    """A migrated database of the test's own, with nothing in it."""
    with fresh_database(postgres_process) as url:
        yield url
