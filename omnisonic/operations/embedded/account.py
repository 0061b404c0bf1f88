"""The system account that embedded servers run as under root, created when it is missing.

Postgres refuses to run as root. Whoever runs as its account owns the database, so the account is not shared, as
`nobody` would be. It has no home, no shell and no password.

Overload and shutdown: not applicable. Crash: `useradd` creates the account or does not. Two processes that need it at
once take turns, because `useradd` itself would create two of the same name.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omnisonic.operations.embedded import EmbeddedUnavailable

NAME: Final = "omnisonic"
OPTIONS: Final = ("--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
FOLDER: Final = "/etc"
"""The folder of the accounts, which is locked while one is created."""
SEARCH_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where `useradd` is; root's PATH may lack it."""
MAKE_S: Final = 60.0
"""`useradd` waits for other programs that change accounts."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user and the group that servers run as instead of root."""

    name: str
    uid: int
    gid: int

    def own(self, file: Path | int) -> None:
        """Make the account the owner of a file or folder, without following links. Raises `OSError`."""
        if isinstance(file, int):
            os.fchown(file, self.uid, self.gid)
        else:
            os.chown(file, self.uid, self.gid, follow_symlinks=False)


def server_account(name: str = NAME, *, instead: str) -> Account | None:
    """Find or create the account called `name`. Returns None when this process is not root, and needs none.

    Raises `EmbeddedUnavailable` when it cannot be created; the sentence names the variable `instead`.
    """
    if os.geteuid() != 0:
        return None
    account, problem = _find(name), ""
    if account is None:
        account, problem = _create_locked(name)
    if account is None:
        raise EmbeddedUnavailable(
            f"Embedded servers do not run as root, and the account {name} for them cannot be made ({problem}); make it "
            f"with `useradd {' '.join(OPTIONS)} {name}`, run as an ordinary user, or set {instead}."
        )
    if account.uid == 0:
        raise EmbeddedUnavailable(
            f"The account {name} is root's, and embedded servers do not run as root; remove it, or set {instead}."
        )
    return account


def _find(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, found.pw_uid, found.pw_gid)


def _create_locked(name: str) -> tuple[Account | None, str]:
    """Create the account unless another process just did. Returns it, or why it could not be created."""
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        problem = "" if _find(name) else _run_useradd(name)
    finally:
        os.close(folder)
    return _find(name), problem


def _run_useradd(name: str) -> str:
    """Create the account. Returns why that failed, or nothing."""
    program = shutil.which("useradd", path=SEARCH_PATH)
    if program is None:
        return "there is no useradd"
    try:
        ended = subprocess.run(
            (program, *OPTIONS, name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"LC_ALL": "C"},
            timeout=MAKE_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        return str(problem)
    return (ended.stdout.strip().splitlines() or [f"exit code {ended.returncode}"])[-1].rstrip(".")
