"""What is asked of the file system where the order matters: a crash of the machine undoes what was not synced. It
blocks.

Tests hand in one that notes the order. Errors: `OSError`.
"""

import fcntl
import os
from io import IOBase
from pathlib import Path
from typing import Final


class Disk:
    """The real one."""

    def sync(self, descriptor: int) -> None:
        """See that no crash can undo what was written to this file."""
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """See that no crash can undo which files are in `folder`."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, file: Path, to: Path) -> None:
        """Give it another name, in place of what has that."""
        file.rename(to)

    def link(self, file: Path, to: Path) -> None:
        """Give it one more name. Errors: `FileExistsError`."""
        to.hardlink_to(file)

    def lock(self, file: IOBase) -> None:
        """Hold `file`, until it is closed. Errors: `BlockingIOError` when another one holds it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


DISK: Final = Disk()
