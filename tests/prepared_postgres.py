"""Data directories of Postgres: made once in a run of the tests, and copied for each server that begins with a new one.

To make one takes a second of processor time; to copy it, a twentieth of that. How they are made has tests of its own
(tests/operations), and the studios of tests/cli make theirs.
"""

import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from omnisonic.operations.embedded.cluster import Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.operations.embedded.postgres import CLUSTER, FOLDER, EmbeddedPostgres

VARIABLE: Final = "OMNISONIC_TESTS_PREPARED"
"""Names the folder of the run to its workers, which inherit it."""
COPY_S: Final = 60.0


@contextlib.contextmanager
def run_folder() -> Iterator[None]:
    """The folder of this run, removed with the block. In a worker it is that of the run that it belongs to."""
    if VARIABLE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="omnisonic-prepared-") as folder:
        os.environ[VARIABLE] = folder
        yield
        del os.environ[VARIABLE]


def copy_cluster(folder: Path) -> None:
    """Have in `folder`, which must not exist, an empty cluster that anybody on this machine may enter."""

    def make(prepared: Path) -> None:
        prepared.mkdir()
        Cluster(prepared / CLUSTER, find_postgres()).create(None)

    _copy(_prepared("open", make) / CLUSTER, folder)


def prepare_data_directory(folder: Path) -> Path:
    """The data directory `folder`, as a `serve` leaves it that was stopped when its new Postgres had not started yet.

    What is there already stays.
    """

    def make(prepared: Path) -> None:
        EmbeddedPostgres(prepared).spec()

    if not (folder / FOLDER).exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(_prepared("embedded", make), folder / FOLDER)
    return folder


def _prepared(name: str, make: Callable[[Path], None]) -> Path:
    """What `make` makes under this name: once, for all workers of the run."""
    root = Path(os.environ[VARIABLE])
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / name).exists():
            make(root / f"{name}.new")
            (root / f"{name}.new").rename(root / name)
    return root / name


def _copy(source: Path, to: Path) -> None:
    """Copy with the owners, who are not this process's under root."""
    subprocess.run(["cp", "-a", source, to], check=True, timeout=COPY_S)
