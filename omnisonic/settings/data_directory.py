"""The data directory: the files of one installation (`OMNISONIC_DATA_DIR`), locked by one process at a time.

It is private: the folder has mode 0700, and its files, some of which are secrets, have 0600. A folder of ours with a
wider mode, from a backup or an earlier version, is closed again, with a line in the log. One that may belong to others
is refused. The lock is the kernel's (flock(2)), so it ends with the process.
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
"""The file with the operator's token, when `ADMIN_TOKEN` is not set."""
GATEWAY: Final = "gateway"
"""The file with the URL of the gateway, while `serve` runs."""
LOCK: Final = "lock"
OTHERS: Final = 0o077
"""The permissions of group and others."""
OURS: Final = frozenset({LOCK, OPERATOR, "secret", "postgres", "valkey", "uploads", "data", "password", "valkey.conf"})
"""The names in a data directory and its folders. A folder without any of them is somebody else's."""

_log = logging.getLogger(__name__)


class UnusableDataDirectory(OmnisonicError):
    """The data directory cannot be written to, is in use, or is another account's."""

    code = "unusable_data_directory"


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder. Raises `UnusableDataDirectory` when this account may not know."""
    try:
        path.stat()
    except PermissionError as problem:
        raise _not_ours(path) from problem
    except OSError:
        return False
    return True


def read_if_there(path: Path) -> str | None:
    """The text of a private file; None without one, or when it is no text.

    Raises `UnusableDataDirectory` when this account may not read it.
    """
    try:
        return path.read_text(encoding="utf-8")
    except PermissionError as problem:
        raise _not_ours(path) from problem
    except (OSError, ValueError):
        return None


def _not_ours(path: Path) -> UnusableDataDirectory:
    return UnusableDataDirectory(f"{path} is another account's: run the command as the account of the studio.")


@contextlib.contextmanager
def data_directory(path: Path, *, disk: Disk = DISK) -> Iterator[Path]:
    """Create `path` if it is missing, and lock it until the block ends. Yields its absolute path.

    Raises `UnusableDataDirectory` when it cannot be written to, or another process has locked it.
    """
    path = path.absolute()
    with contextlib.ExitStack() as held:
        try:
            private_folder(path)
            _make_files_private(path)
            _lock(path / LOCK, held, disk)
        except BlockingIOError as problem:
            raise UnusableDataDirectory(
                f"Another `omnisonic serve` uses the data directory {path}, or a backup or restore of it runs; "
                "stop it, or set OMNISONIC_DATA_DIR."
            ) from problem
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise UnusableDataDirectory(
                f"The data directory {path} cannot be written to ({reason}); set OMNISONIC_DATA_DIR to another one."
            ) from problem
        yield path


def _lock(path: Path, held: contextlib.ExitStack, disk: Disk) -> None:
    """Lock the file at `path`, which may be replaced meanwhile. Raises `OSError`; `BlockingIOError` when locked."""
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
    """Create `path` with its parents, or make it private if it is ours.

    Raises `OSError`, and `UnusableDataDirectory` when it is open to others and may not be ours.
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
    """Replace the file at `path` by one that only its owner can read. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def kept_secret(folder: Path, name: str, *, disk: Disk = DISK) -> str:
    """The random secret in the private file `name` in `folder`, created when there is none.

    The file is written under another name and linked, so it is complete or absent; of two processes that create it at
    once, one wins. Raises `OSError`, and `UnusableDataDirectory` when the file is empty.
    """
    path = private_folder(folder) / name
    if not path.exists():
        _create_secret(secrets.token_urlsafe(SECRET_BYTES), path, disk)
    path.chmod(0o600)
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise UnusableDataDirectory(f"There is no secret in {path}: put it back, or remove the file to get a new one.")
    return secret


def put_secret(folder: Path, name: str, content: bytes, *, disk: Disk = DISK) -> None:
    """Store `content` as the private file `name` in `folder`, in place of one that is there. Raises `OSError`.

    It is written under another name and renamed, so the file is complete, whatever ends the process.
    """
    descriptor, beside = tempfile.mkstemp(prefix=f".{name}-", dir=private_folder(folder))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            disk.sync(file.fileno())
        disk.rename(Path(beside), folder / name)
        disk.sync_folder(folder)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _make_files_private(folder: Path) -> None:
    """Make the files in `folder` private, but not those in its subfolders."""
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False):
            found = entry.stat(follow_symlinks=False)
            if found.st_mode & OTHERS and found.st_uid == os.geteuid():
                Path(entry.path).chmod(0o600)
                mode = f"{stat.S_IMODE(found.st_mode):04o}"
                _log.warning("data_directory.closed", extra={"path": entry.path, "mode": mode})


def _create_secret(secret: str, path: Path, disk: Disk) -> None:
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
