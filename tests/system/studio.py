"""A whole studio as real processes, started in one of two ways, and what its visitors do with it.

`Served` is `omnisonic serve`. `Apart` is `gateway`, `web` and `worker` started each by itself, on sockets that stay
open, as a service manager with socket activation does it, with a Valkey and a Postgres from outside. Both start a part
again that has ended.
"""

import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import trio

from omnisonic.operations.embedded.postgres import running_embedded_url
from tests.cli.running import START_S, Command, alive, children, completed, environ, eventually, running
from tests.postgres_server import PostgresServer, running_postgres
from tests.prepared_postgres import prepare_data_directory
from tests.processes import end as end_process
from tests.processes import send_signal
from tests.system.visitors import Visitors
from tests.valkey_server import ValkeyServer, running_valkey

TTL_S: Final = 15
"""The shortest that there is (SPEC 2)."""
STOP_S: Final = 10.0
SETTINGS: Final = {
    "PRESENCE_TTL": str(TTL_S),
    "MEMBER_RATE_PER_S": "0",
    "REST_RATE_PER_S": "0",
    "REST_ADDRESS_RATE_PER_S": "0",
    "PARITY_ENABLED": "false",
    "DATABASE_TIMEOUT_SECONDS": "25",
}
"""Rates and the parity service have tests of their own. The database may be slow, as the machine may be busy."""
LISTENING: Final = ("gateway", "web")
PARTS: Final = (*LISTENING, "worker")
BACKLOG: Final = 128


class Studio(ABC):
    """A running studio. `visitors` is the way in from outside; the rest is what an operator can do to it. Blocking.

    `database_url` is its database's.
    """

    def __init__(self, web_port: int, gateway_port: int, database_url: str) -> None:
        self.visitors = Visitors(web_port, gateway_port)
        self.database_url = database_url

    @abstractmethod
    def processes(self) -> list[int]:
        """Every process of it."""

    @abstractmethod
    def pid(self, part: str) -> int:
        """The process that is this part now."""

    @abstractmethod
    def end(self, part: str, how: signal.Signals) -> int:
        """Send the part a signal that ends it; its exit code, below zero for a signal. It is then started again."""

    @abstractmethod
    def restart_database(self) -> None:
        """Stop its Postgres as an operator would, cutting everybody off, and start it again at once."""

    @abstractmethod
    def stop(self) -> list[int]:
        """Stop all of it by SIGTERM, for good; the exit codes of what this test started."""


class Served(Studio):
    """`omnisonic serve`."""

    def __init__(self, command: Command, data: Path) -> None:
        command.printed("is running")
        database_url = running_embedded_url(data)
        assert database_url is not None
        super().__init__(command.port("Studio"), command.port("Gateway"), database_url)
        self._command = command

    def processes(self) -> list[int]:
        return [self._command.pid, *children(self._command.pid)]

    def pid(self, part: str) -> int:
        return self._command.part(part)

    def end(self, part: str, how: signal.Signals) -> int:
        lines, pid = self._command.lines, self.pid(part)
        seen = len(lines)
        assert send_signal(pid, how), f"the {part} has ended by itself"
        ended = re.compile(rf"`{part}` (?:exited with code (\d+)|was killed by (\w+))\. Starting it again\.")
        epitaph = partial(_first_match, ended, lines, seen)
        eventually(lambda: epitaph() is not None, what=f"the {part} ends")
        match = epitaph()
        assert match is not None
        code, by = match.groups()
        return -signal.Signals[by].value if by else int(code)

    def restart_database(self) -> None:
        assert self.end("postgres", signal.SIGINT) == 0

    def stop(self) -> list[int]:
        return [self._command.stop()]

    def kill(self) -> None:
        """End the supervisor as nobody expects, and wait until all of it is gone."""
        pids = self.processes()
        self._command.kill()
        all_gone(pids)


class Apart(Studio):
    """`gateway`, `web` and `worker`, each by itself. What they print goes to files in `folder`."""

    def __init__(self, valkey: ValkeyServer, postgres: PostgresServer, folder: Path, **settings: str) -> None:
        self._sockets = {part: socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) for part in LISTENING}
        ports = {part: int(listener.getsockname()[1]) for part, listener in self._sockets.items()}
        super().__init__(ports["web"], ports["gateway"], postgres.url)
        places = {"REDIS_URL": valkey.url, "DATABASE_URL": postgres.url, "NEXTAUTH_SECRET": secrets.token_hex(32)}
        names = {f"{part.upper()}_PORT": str(port) for part, port in ports.items()}
        self._environ = environ(**places, **names, **(SETTINGS | settings))
        self._folder = folder
        self._postgres = postgres
        self._processes = {part: self._started(part) for part in PARTS}

    def _started(self, part: str) -> subprocess.Popen[bytes]:
        fds = [self._sockets[part].fileno()] if part in LISTENING else []
        with (self._folder / f"{part}.log").open("ab") as log:
            command = [sys.executable, "-m", "omnisonic", part, *(word for fd in fds for word in ("--fd", str(fd)))]
            return subprocess.Popen(
                command,
                env=self._environ,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def pid(self, part: str) -> int:
        return self._processes[part].pid

    def end(self, part: str, how: signal.Signals) -> int:
        process = self._processes[part]
        process.send_signal(how)
        code = process.wait(STOP_S)
        self._processes[part] = self._started(part)
        return code

    def restart_database(self) -> None:
        self._postgres.restart()

    def stop(self) -> list[int]:
        for process in self._processes.values():
            process.terminate()
        deadline_s = time.monotonic() + STOP_S
        return [process.wait(max(0.0, deadline_s - time.monotonic())) for process in self._processes.values()]

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._processes.values():
            end_process(process)
        for listener in self._sockets.values():
            listener.close()


@contextmanager
def running_studio(way: str, folder: Path, **settings: str) -> Iterator[Studio]:
    """A studio that is in service, until the block ends. `way` is `serve` or `apart`."""
    if way == "serve":
        data = prepare_data_directory(folder / "data")
        with running("serve", OMNISONIC_DATA_DIR=str(data), **(SETTINGS | settings)) as command:
            yield Served(command, data)
        return
    with running_valkey(password="outside") as valkey, running_postgres() as postgres:
        migrated = completed("migrate", DATABASE_URL=postgres.url)
        assert migrated.returncode == 0, migrated.stderr
        studio = Apart(valkey, postgres, folder, **settings)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{studio.visitors.web_port}", timeout=START_S) as client:
                # Its gateway may have yet to take the connections that wait in its socket.
                eventually(lambda: client.get("/readyz").status_code == 200, what="the web and its gateway are ready")
            yield studio
        finally:
            studio.close()


def _first_match(pattern: re.Pattern[str], lines: list[str], start: int) -> re.Match[str] | None:
    return next(filter(None, map(pattern.search, lines[start:])), None)


async def end(studio: Studio, part: str, how: signal.Signals) -> int:
    """`studio.end` while the visitors go on."""
    return await trio.to_thread.run_sync(studio.end, part, how)


def all_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    eventually(lambda: not any(map(alive, pids)), what="no process is left", within_s=STOP_S)
