"""A database cluster: the folder of files that one Postgres serves.

Under root it belongs to another account, which cannot reach it by path inside a private data directory. So programs are
started *in* the folder, and get the working directory as its name. A cluster of another account (earlier versions used
`nobody`) is taken over.

Overload: not applicable. Crash: it is created under another name and renamed, so it is complete or absent. Shutdown:
nothing to do; `servers` lists the processes that still run.
"""

import logging
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnisonic.operations.embedded import HERE, EmbeddedUnavailable
from omnisonic.operations.embedded.installation import MAJOR, Installation

USER: Final = "omnisonic"
DATABASE: Final = "postgres"
SETTINGS: Final = {
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    # The log shows what stops the server, but no statements, because these hold people's data.
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "log_line_prefix": "",
}
PID_FILE: Final = "postmaster.pid"
STARTING: Final = "starting"
READY: Final = "ready"
_STATUS_LINE: Final = 7

_log = logging.getLogger(__name__)


class Cluster:
    """The cluster in `folder`, which may not exist yet; its parent must."""

    def __init__(self, folder: Path, installation: Installation) -> None:
        self.folder = folder
        self._installation = installation

    @property
    def exists(self) -> bool:
        """Whether it has been created."""
        return self.folder.exists()

    def create(self, password: str | None) -> None:
        """Create it, empty, for the user `USER`. Without a password (in tests) anybody on this machine may connect.

        Raises `EmbeddedUnavailable` and `OSError`.
        """
        beside = self.folder.with_name(f"{self.folder.name}.new")
        if beside.exists():
            shutil.rmtree(beside)
        beside.mkdir(mode=0o700)
        self._change_owner(beside)
        with tempfile.TemporaryFile() as secret:
            secret.write(f"{password}\n".encode())
            secret.flush()
            self._change_owner(secret.fileno())
            sign_in = ("--auth=scram-sha-256", f"--pwfile=/dev/fd/{secret.fileno()}") if password else ("--auth=trust",)
            self._installation.run(
                "initdb",
                f"--pgdata={self._name(beside)}",
                f"--username={USER}",
                "--encoding=UTF8",
                "--locale=C",
                *sign_in,
                cwd=beside,
                fds=(secret.fileno(),),
            )
        beside.rename(self.folder)

    def take_over(self) -> None:
        """Make the account the owner of all files, if another account is. Call it only while no server runs.

        The old owner may have put anything into the folder. So only its own files change their owner, links are not
        followed, and a file with a second hard link is refused. The folder itself comes last, so that the next start
        repeats this after a crash. Raises `EmbeddedUnavailable` when a file belongs to a third account.
        """
        account = self._installation.account
        if account is None or (owner := self.folder.stat().st_uid) == account.uid:
            return
        for _, folders, files, at in os.fwalk(self.folder, topdown=False):
            for name in (*folders, *files):
                found = os.stat(name, dir_fd=at, follow_symlinks=False)
                if found.st_uid == account.uid:
                    continue
                if found.st_uid != owner or (found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)):
                    raise EmbeddedUnavailable(
                        f"The database in {self.folder} is of another account, and {name} in it is not its own alone; "
                        f"see who put it there, then `chown -R {account.name} {self.folder}`."
                    )
                os.chown(name, account.uid, account.gid, dir_fd=at, follow_symlinks=False)
        account.own(self.folder)
        _log.warning("database.taken_over", extra={"folder": str(self.folder), "account": account.name})

    def check_version(self) -> None:
        """Check the major version of Postgres that created it. Raises `EmbeddedUnavailable` for another one."""
        try:
            made_by = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
        except (OSError, ValueError) as problem:
            raise EmbeddedUnavailable(
                f"{self.folder} is not a database of Postgres; move it away to begin with an empty one, "
                "or set DATABASE_URL."
            ) from problem
        if made_by != str(MAJOR):
            raise EmbeddedUnavailable(
                f"The database in {self.folder} was made by Postgres {made_by} and this is Postgres {MAJOR}: "
                f"dump it with Postgres {made_by} and move it away, or set DATABASE_URL."
            )

    def command(self, port: int, settings: Sequence[tuple[str, str]] = ()) -> tuple[str, ...]:
        """The command that serves it at `port`. Run it in its folder, as the installation's account."""
        every = [*SETTINGS.items(), ("port", str(port)), *settings]
        options = [option for name, value in every for option in ("-c", f"{name}={value}")]
        return (self._installation.program("postgres"), "-D", str(self._name(self.folder)), *options)

    @property
    def is_ready(self) -> bool:
        """Whether its server has said that it is ready, and still runs."""
        return self._status() == READY

    @property
    def is_starting(self) -> bool:
        """Whether its server says that it starts, and still runs. After a crash that takes as long as its recovery."""
        return self._status() == STARTING

    def servers(self) -> list[int]:
        """The processes that serve it, the postmaster first if it runs. Without /proc only the postmaster is found."""
        lines = self._pid_lines()
        postmaster = int(lines[0]) if lines and lines[0].strip().isdecimal() else 0
        if not HERE.exists():
            return [postmaster] if postmaster and _is_postgres(postmaster) else []
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        serving = [pid for pid in found if self._is_in(pid)]
        return sorted(serving, key=lambda pid: (pid != postmaster, pid))

    def forget_server(self) -> None:
        """Remove the PID file of a killed server. Call it only while no server runs.

        Otherwise Postgres mistakes any process with that PID and user for the old server.
        """
        (self.folder / PID_FILE).unlink(missing_ok=True)

    def _status(self) -> str | None:
        """What its server says of itself. None when no server runs."""
        lines = self._pid_lines()
        if len(lines) <= _STATUS_LINE or not lines[0].strip().isdecimal() or not _is_running(int(lines[0])):
            return None
        return lines[_STATUS_LINE].strip()

    def _pid_lines(self) -> list[str]:
        try:
            return (self.folder / PID_FILE).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return []

    def _is_in(self, pid: int) -> bool:
        """Whether `pid` is a Postgres with this working directory."""
        try:
            program = Path(f"/proc/{pid}/exe").readlink().name
            return program.startswith("postgres") and Path(f"/proc/{pid}/cwd").samefile(self.folder)
        except OSError:
            return False

    def _name(self, folder: Path) -> Path:
        """The path of `folder` for a program that runs in it. Raises `EmbeddedUnavailable`."""
        if self._installation.account is None:
            return folder
        if not HERE.exists():
            raise EmbeddedUnavailable(
                "Postgres cannot be run by root here; run as an ordinary user, or set DATABASE_URL."
            )
        return HERE

    def _change_owner(self, file: Path | int) -> None:
        if self._installation.account is not None:
            self._installation.account.own(file)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _is_postgres(pid: int) -> bool:
    listed = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in listed.stdout.split(" ", 1)[0]
