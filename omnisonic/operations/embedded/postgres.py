"""The embedded Postgres: the database when `DATABASE_URL` is not set (SPEC 1).

It listens on loopback only, without a Unix socket, with a random password (SCRAM) that is never on a command line. Its
folder holds the cluster (`data`, created at the first start), the `password`, and the `url` by which other commands
find it. Its port stays the same over restarts by the supervisor.

Overload: it refuses more than `MAX_CONNECTIONS`. Crash: the supervisor restarts it, and it recovers what was committed,
for as long as that takes; the log says so meanwhile. Shutdown: SIGINT, which disconnects clients. On Linux it gets
SIGINT when its supervisor dies, too (`omnisonic.process.die_with_parent`), and the next start ends what is left.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import trio

from omnisonic.operations.child_process import ProcessSpec
from omnisonic.operations.embedded import HOST, POSTGRES_PORTS, EmbeddedUnavailable, PortReservation, server_environ
from omnisonic.operations.embedded.account import NAME
from omnisonic.operations.embedded.cluster import DATABASE, USER, Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.settings.data_directory import kept_secret, private_folder, read_if_there, write_private

FOLDER: Final = "postgres"
"""Its folder in a data directory."""
CLUSTER: Final = "data"
CREDENTIAL: Final = "password"
URL: Final = "url"
MAX_CONNECTIONS: Final = 100
PROBE_INTERVAL_S: Final = 0.02
PROBE_TIMEOUT_S: Final = 2.0
STARTING_S: Final = 10.0
"""How often the log says that it is still starting."""
STOP_SIGNALS: Final = ((signal.SIGINT, 4.0), (signal.SIGKILL, 1.0))
"""The signals that end a server of an earlier supervisor, with the seconds to wait after each."""

_log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """One server, which `omnisonic.operations.supervisor` runs from `spec`. `url` includes the password."""

    def __init__(self, folder: Path, *, max_connections: int = MAX_CONNECTIONS, account: str = NAME) -> None:
        """Prepare the server.

        Args:
            folder: The folder `FOLDER` of a locked data directory.
            max_connections: The limit of connections.
            account: The name of the account that root runs it as.

        Raises:
            EmbeddedUnavailable: There is no Postgres to run, or it cannot serve what is in the folder.
            OSError: The folder cannot be used.
        """
        self._installation = find_postgres(account=account)
        self._folder = private_folder(folder)
        self._cluster = Cluster(self._folder / CLUSTER, self._installation)
        self._max_connections = max_connections
        if self._cluster.exists:
            self._cluster.check_version()
            if not (self._folder / CREDENTIAL).exists():
                raise EmbeddedUnavailable(
                    f"The password of the database is missing: put {self._folder / CREDENTIAL} back, "
                    f"or move {self._folder} away to begin with an empty one."
                )
        password = kept_secret(self._folder, CREDENTIAL)
        self._reservation = PortReservation(POSTGRES_PORTS, instead="DATABASE_URL")
        self._port = self._reservation.port
        self._password = password
        self.url = f"postgresql://{USER}:{password}@{HOST}:{self._port}/{DATABASE}"

    def spec(self) -> ProcessSpec:
        """How to run it. Creates the cluster if there is none, which takes a second, and writes the `url`.

        Raises `EmbeddedUnavailable` and `OSError`.
        """
        if self._cluster.exists:
            self._cluster.take_over()
        else:
            self._cluster.create(self._password)
        write_private(self._folder / URL, f"{self.url}\n")
        account = self._installation.account
        user = () if account is None else ("--user", f"{account.uid}:{account.gid}")
        options = ("--folder", str(self._cluster.folder), "--signal", "INT")
        wrapper = (sys.executable, "-m", "omnisonic.process.die_with_parent", *user, *options, str(os.getpid()))
        server = self._cluster.command(self._port, [("max_connections", str(self._max_connections))])
        return ProcessSpec(
            "postgres",
            wrapper + server,
            server_environ(),
            wait_ready=self._wait_until_ready,
            is_starting=lambda: self._cluster.is_starting,
            stop_signal=signal.SIGINT,
        )

    async def end_stale(self) -> None:
        """End the server that an earlier supervisor may have left. Call it before `spec`."""
        for stop_signal, within_s in STOP_SIGNALS:
            servers = self._cluster.servers()
            for pid in servers if stop_signal is signal.SIGKILL else servers[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, stop_signal)
            with trio.move_on_after(within_s) as waiting:
                await self._wait_until_stopped()
            if not waiting.cancelled_caught:
                self._cluster.forget_server()
                return

    async def _wait_until_stopped(self) -> None:
        while True:
            if not self._cluster.servers():
                return
            await trio.sleep(PROBE_INTERVAL_S)

    async def _wait_until_ready(self, _readiness_pipe: trio.SocketStream) -> None:
        """Return when it answers a query with its password. Logs that it is still starting, every `STARTING_S`."""
        began_s = told_s = trio.current_time()
        while True:
            if self._cluster.is_ready and await trio.to_thread.run_sync(self._probe, abandon_on_cancel=True):
                return
            now_s = trio.current_time()
            if now_s - told_s >= STARTING_S and self._cluster.is_starting:
                _log.warning("database.starting", extra={"for_s": round(now_s - began_s)})
                told_s = now_s
            await trio.sleep(PROBE_INTERVAL_S)

    def _probe(self) -> bool:
        return asyncio.run(_answers_query(self.url))


async def _answers_query(url: str) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            connection = await asyncpg.connect(url)
            try:
                return bool(await connection.fetchval("SELECT true"))
            finally:
                connection.terminate()
    return False


def running_embedded_url(data_dir: Path) -> str | None:
    """The URL of the Postgres that a `serve` runs in this data directory now, or None.

    Raises `UnusableDataDirectory` when the directory is another account's.
    """
    url = (read_if_there(data_dir / FOLDER / URL) or "").strip()
    with (
        contextlib.suppress(OSError, ValueError),
        socket.create_connection((HOST, urlsplit(url).port or 0), timeout=PROBE_TIMEOUT_S),
    ):
        return url
    return None
