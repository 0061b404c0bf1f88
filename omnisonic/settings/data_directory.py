"""The directory in which one installation keeps its files (`OMNISONIC_DATA_DIR`), held by one supervisor at a time.

What is in it is nobody else's business: it is made with mode 0700, and the files that it holds itself, some of which
are secrets, with 0600. One that was opened to others, by a backup or an earlier version, is closed again, with a line
in the log. One that is not surely ours alone is refused. The lock is the kernel's (flock(2)), so it is gone with the
process, however that ends.
"""

import contextlib
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omnisonic.errors import OmnisonicError
from omnisonic.process.disk import DISK, Disk

SECRET_BYTES: Final = 32
OPERATOR: Final = "admin-token"
"""The file that holds the operator's token, when `ADMIN_TOKEN` is not set."""
GATEWAY: Final = "gateway"
"""The file in which `serve` says where its gateway is, while it runs."""
LOCK: Final = "lock"
OTHERS: Final = 0o077
"""What a mode lets others do."""
OURS: Final = frozenset({LOCK, OPERATOR, "secret", "postgres", "valkey", "uploads", "data", "password", "valkey.conf"})
"""What a data directory and its folders hold. A folder without any of it is somebody else's."""

_log = logging.getLogger(__name__)


class UnusableDataDirectory(OmnisonicError):
    """The data directory cannot be written to, or is in use."""

    code = "unusable_data_directory"


@contextlib.contextmanager
def data_directory(path: Path, *, disk: Disk = DISK) -> Iterator[Path]:
    """Make `path` if it is missing and hold it until the block ends; gives its absolute path.

    Errors: `UnusableDataDirectory` when it cannot be written to, or when another supervisor holds it.
    """
    path = path.absolute()
    with contextlib.ExitStack() as held:
        try:
            private_folder(path)
            _close_files(path)
            _hold(path / LOCK, held, disk)
        except BlockingIOError as problem:
            raise UnusableDataDirectory(
                f"Another `omnisonic serve` uses the data directory {path}; stop it, or set OMNISONIC_DATA_DIR."
            ) from problem
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise UnusableDataDirectory(
                f"The data directory {path} cannot be written to ({reason}); set OMNISONIC_DATA_DIR to another one."
            ) from problem
        yield path


def _hold(path: Path, held: contextlib.ExitStack, disk: Disk) -> None:
    """Lock the file at `path`; it may be replaced meanwhile. Errors: `OSError`; `BlockingIOError`: it is held."""
    while True:
        lock = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w")
        try:
            disk.lock(lock)
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                held.enter_context(lock)
                return
        except FileNotFoundError:
            pass
        except BaseException:
            lock.close()
            raise
        lock.close()


def private_folder(path: Path) -> Path:
    """Make `path`, with its parents, or close it to others if it is ours.

    Errors: `OSError`; `UnusableDataDirectory` when it is open to others and not ours alone.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & OTHERS:
        inside = {entry.name for entry in path.iterdir()}
        if found.st_uid != os.geteuid() or mode & stat.S_IWOTH or (inside and not inside & OURS):
            raise UnusableDataDirectory(
                f"The folder {path} is open to others (mode {mode:04o}), and may be somebody else's, too; set "
                f"OMNISONIC_DATA_DIR to a folder of its own, or `chmod 700 {path}`."
            )
        path.chmod(0o700)
        _log.warning("data_directory.closed", extra={"path": str(path), "mode": f"{mode:04o}"})
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path`, readable by its owner only. Errors: `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def kept_secret(folder: Path, name: str, *, disk: Disk = DISK) -> str:
    """The random secret in the private file `name` in `folder`, made when there is none; the same for everybody.

    The file appears whole or not at all: it is written beside and linked, and of two who make it at once, one wins.
    Errors: `OSError`; `UnusableDataDirectory` when somebody has emptied the file.
    """
    path = private_folder(folder) / name
    if not path.exists():
        _keep(secrets.token_urlsafe(SECRET_BYTES), path, disk)
    path.chmod(0o600)
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise UnusableDataDirectory(f"There is no secret in {path}: put it back, or remove the file to get a new one.")
    return secret


def _close_files(folder: Path) -> None:
    """Let nobody else read or write the files in `folder`; what is in its folders is theirs to see to."""
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False):
            found = entry.stat(follow_symlinks=False)
            if found.st_mode & OTHERS and found.st_uid == os.geteuid():
                Path(entry.path).chmod(0o600)
                mode = f"{stat.S_IMODE(found.st_mode):04o}"
                _log.warning("data_directory.closed", extra={"path": entry.path, "mode": mode})


def _keep(secret: str, path: Path, disk: Disk) -> None:
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secret}\n")
            file.flush()
            disk.sync(file.fileno())
        with contextlib.suppress(FileExistsError):
            disk.link(Path(beside), path)
        disk.sync_folder(path.parent)
    finally:
        Path(beside).unlink()
