"""The directory in which one installation keeps its files (`OMNISONIC_DATA_DIR`), held by one supervisor at a time.

What is in it is nobody else's business: it is made with mode 0700. The lock is the kernel's (flock(2)), so it is gone
with the process, however that ends.
"""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omnisonic.errors import OmnisonicError

SECRET_BYTES: Final = 32
OPERATOR: Final = "admin-token"
"""The file that holds the operator's token, when `ADMIN_TOKEN` is not set."""
GATEWAY: Final = "gateway"
"""The file in which `serve` says where its gateway is, while it runs."""


class UnusableDataDirectory(OmnisonicError):
    """The data directory cannot be written to, or is in use."""

    code = "unusable_data_directory"


@contextlib.contextmanager
def data_directory(path: Path) -> Iterator[Path]:
    """Make `path` if it is missing and hold it until the block ends; gives its absolute path.

    Errors: `UnusableDataDirectory` when it cannot be written to, or when another supervisor holds it.
    """
    path = path.absolute()
    with contextlib.ExitStack() as held:
        try:
            private_folder(path)
            lock = held.enter_context((path / "lock").open("w"))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise UnusableDataDirectory(
                f"The data directory {path} cannot be written to ({reason}); set OMNISONIC_DATA_DIR to another one."
            ) from problem
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise UnusableDataDirectory(
                f"Another `omnisonic serve` uses the data directory {path}; stop it, or set OMNISONIC_DATA_DIR."
            ) from problem
        yield path


def private_folder(path: Path) -> Path:
    """Make `path`, with its parents, readable by its owner only. Errors: `OSError`."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path`, readable by its owner only. Errors: `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def kept_secret(folder: Path, name: str) -> str:
    """The random secret in the private file `name` in `folder`, made when there is none; the same for everybody.

    The file appears whole or not at all: it is written beside and linked, and of two who make it at once, one wins.
    Errors: `OSError`; `UnusableDataDirectory` when somebody has emptied the file.
    """
    path = private_folder(folder) / name
    if not path.exists():
        _keep(secrets.token_urlsafe(SECRET_BYTES), path)
    path.chmod(0o600)
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise UnusableDataDirectory(f"There is no secret in {path}: put it back, or remove the file to get a new one.")
    return secret


def _keep(secret: str, path: Path) -> None:
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        Path(beside).unlink()
