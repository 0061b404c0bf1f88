"""The embedded Postgres: a database of our own, when `DATABASE_URL` names none (SPEC 1).

It listens on loopback only, without a Unix socket, under a random password (SCRAM), which never stands on a command
line. Its folder holds the cluster (`data`, made at the first start), the `password`, and the `url` by which the other
commands find it while it runs. Its port is chosen once, so that after a restart its clients find it where it was.

Overload: it refuses more than `MAX_CONNECTIONS`. Crash: its supervisor starts it again, and it recovers what was
committed. Shutdown: SIGINT, which cuts clients off; it gets the same on Linux when its supervisor dies
(`omnisonic.process.die_with_parent`), and the next start ends whatever the last one left.
"""

import asyncio
import contextlib
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
from omnisonic.operations.embedded import HOST, POSTGRES_PORTS, EmbeddedUnavailable, free_port, server_environ
from omnisonic.operations.embedded.account import NAME
from omnisonic.operations.embedded.cluster import DATABASE, USER, Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.settings.data_directory import kept_secret, private_folder, write_private

FOLDER: Final = "postgres"
"""Its folder in a data directory."""
CLUSTER: Final = "data"
CREDENTIAL: Final = "password"
URL: Final = "url"
MAX_CONNECTIONS: Final = 100
PROBE_INTERVAL_S: Final = 0.02
PROBE_TIMEOUT_S: Final = 2.0
ENDINGS: Final = ((signal.SIGINT, 4.0), (signal.SIGKILL, 1.0))
"""How a server that was left behind is ended, each with the seconds that it has for it: at once but in order, then all
of its processes by force, after which the next one recovers."""


class EmbeddedPostgres:
    """One server, to be run by `omnisonic.operations.supervisor` from `spec`. `url` is how clients reach it, with the
    password.
    """

    def __init__(self, folder: Path, *, max_connections: int = MAX_CONNECTIONS, account: str = NAME) -> None:
        """`folder` is its own: the `FOLDER` of a data directory that is held; `account` is what root runs it as.

        Errors: `EmbeddedUnavailable` when there is no server to run, or not on what is in the folder; `OSError`.
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
        self._port = free_port(POSTGRES_PORTS, instead="DATABASE_URL")
        self._password = password
        self.url = f"postgresql://{USER}:{password}@{HOST}:{self._port}/{DATABASE}"

    def spec(self) -> ProcessSpec:
        """How to run it. Makes the cluster, which takes a second, when there is none; and writes the `url`.

        Errors: `EmbeddedUnavailable`, `OSError`.
        """
        if self._cluster.exists:
            self._cluster.take_over()
        else:
            self._cluster.create(self._password)
        write_private(self._folder / URL, f"{self.url}\n")
        account = self._installation.account
        whose = () if account is None else ("--user", f"{account.uid}:{account.gid}")
        where = ("--folder", str(self._cluster.folder), "--signal", "INT")
        leash = (sys.executable, "-m", "omnisonic.process.die_with_parent", *whose, *where, str(os.getpid()))
        server = self._cluster.command(self._port, [("max_connections", str(self._max_connections))])
        return ProcessSpec(
            "postgres", leash + server, server_environ(), wait_ready=self._wait_until_ready, stop_signal=signal.SIGINT
        )

    async def end_stale(self) -> None:
        """End the server that an earlier supervisor left behind, if it did. Call it before `spec`."""
        for how, within_s in ENDINGS:
            servers = self._cluster.servers()
            for pid in servers if how is signal.SIGKILL else servers[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
            with trio.move_on_after(within_s) as waiting:
                await self._nobody_serves()
            if not waiting.cancelled_caught:
                self._cluster.forget_server()
                return

    async def _nobody_serves(self) -> None:
        while True:
            if not self._cluster.servers():
                return
            await trio.sleep(PROBE_INTERVAL_S)

    async def _wait_until_ready(self, _readiness_pipe: trio.SocketStream) -> None:
        """Return once it answers a query, to its password."""
        while True:
            if self._cluster.is_ready and await trio.to_thread.run_sync(self._asked, abandon_on_cancel=True):
                return
            await trio.sleep(PROBE_INTERVAL_S)

    def _asked(self) -> bool:
        return asyncio.run(_answers_to(self.url))


async def _answers_to(url: str) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            connection = await asyncpg.connect(url)
            try:
                return bool(await connection.fetchval("SELECT true"))
            finally:
                connection.terminate()
    return False


def running_embedded_url(data_dir: Path) -> str | None:
    """The URL of the Postgres that `serve` runs in this data directory now; None when it does not."""
    with contextlib.suppress(OSError, ValueError):
        url = (data_dir / FOLDER / URL).read_text(encoding="utf-8").strip()
        with socket.create_connection((HOST, urlsplit(url).port or 0), timeout=PROBE_TIMEOUT_S):
            return url
    return None
