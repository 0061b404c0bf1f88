"""File system calls whose order matters, because a crash of the machine undoes what was not synced. They block.

Tests pass an object that records the order. All methods raise `OSError`.
"""

import fcntl
import os
from io import IOBase
from pathlib import Path
from typing import BinaryIO, Final


class Disk:
    """The real file system."""

    def sync(self, descriptor: int) -> None:
        """Make what was written to this file durable."""
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make the list of files in `folder` durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, file: Path, to: Path) -> None:
        """Rename a file, and replace a file with that name."""
        file.rename(to)

    def link(self, file: Path, to: Path) -> None:
        """Add a hard link. Raises `FileExistsError`."""
        to.hardlink_to(file)

    def lock(self, file: IOBase | BinaryIO) -> None:
        """Lock `file` until it is closed. Raises `BlockingIOError` when another process has locked it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


DISK: Final = Disk()
