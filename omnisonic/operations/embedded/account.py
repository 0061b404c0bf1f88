"""The account that embedded servers run as under root: one of their own, made when it is missing.

Postgres refuses to run as root, and whoever runs as its account owns the database: so it is not shared with anybody, as
`nobody` would be. It is a system account without a home, a shell and a password.

Overload and shutdown: not applicable. Crash: `useradd` makes it or does not. Of two that need it at once, one waits:
`useradd` by itself would make two of the same name.
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
"""Where accounts are. It is locked by those that make one."""
PLACES: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where `useradd` is: root's PATH may be short."""
MAKE_S: Final = 60.0
"""It waits for others that change the accounts."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user and the group that servers run as instead of root."""

    name: str
    uid: int
    gid: int

    def own(self, file: Path | int) -> None:
        """Give it this file or folder, not what a link leads to. Errors: `OSError`."""
        if isinstance(file, int):
            os.fchown(file, self.uid, self.gid)
        else:
            os.chown(file, self.uid, self.gid, follow_symlinks=False)


def server_account(name: str = NAME, *, instead: str) -> Account | None:
    """The account called `name`, made when it is missing; None when this process is not root and needs none.

    Errors: `EmbeddedUnavailable` when there is none and it cannot be made, naming the variable `instead`.
    """
    if os.geteuid() != 0:
        return None
    account, problem = _found(name), ""
    if account is None:
        account, problem = _made(name)
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


def _found(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, found.pw_uid, found.pw_gid)


def _made(name: str) -> tuple[Account | None, str]:
    """The account, made unless somebody else has just done so; or why it could not be made."""
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        problem = "" if _found(name) else _make(name)
    finally:
        os.close(folder)
    return _found(name), problem


def _make(name: str) -> str:
    """Make it; why that failed."""
    program = shutil.which("useradd", path=PLACES)
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
