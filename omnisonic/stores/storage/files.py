"""Writes and reads one file. Everything here blocks, and belongs in a thread. Errors: `OSError`.

A lock lets one thread at a time use each file. So a caller that gives up on a thread that hangs in the disk can discard
the file, and the descriptor is not closed while that thread uses it.
"""

import contextlib
import errno
import logging
import os
import threading
from io import FileIO
from pathlib import Path
from typing import Final

from omnisonic.process.disk import DISK, Disk
from omnisonic.stores.storage import Digest

PART: Final = ".part"
"""The suffix of the part: the file while it is being written."""

_log = logging.getLogger(__name__)


class FileWriter:
    """Writes a file that appears at `path`, under `root`, whole or not at all. `digest` is updated with its bytes.

    A kernel lock on the part tells one that is being written from one that a crash has left, which is written anew.
    """

    def __init__(self, root: Path, path: Path, digest: Digest | None = None, *, disk: Disk = DISK) -> None:
        self._disk = disk
        self._digest = digest
        self._root = root
        self._path = path
        self._part = part_of(path)
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._is_there = False
        self._is_over = False

    def open(self) -> None:
        """Open the part. Errors: `BlockingIOError` when another process or writer has it."""
        with self._lock:
            if self._is_over:
                return
            self._make_folders()
            file = _open(self._part, os.O_WRONLY | os.O_CREAT)
            try:
                self._claim(file)
                file.truncate()
            except BaseException:
                file.close()
                raise
            self._file = file

    def write(self, block: bytes) -> None:
        """Append a block."""
        with self._lock:
            if self._file is None:
                return
            rest = memoryview(block)
            while rest:
                rest = rest[self._file.write(rest) :]
            if self._digest is not None:
                self._digest.update(block)

    def sync(self) -> None:
        """Sync to the disk what is written so far. Another thread may write more meanwhile."""
        with self._lock:
            if self._file is None:
                return
            own = os.dup(self._file.fileno())
        try:
            self._disk.sync(own)
        finally:
            os.close(own)

    def commit(self) -> None:
        """Make the file appear. When this returns, no crash can undo it."""
        with self._lock:
            if self._file is None:
                return
            self._disk.sync(self._file.fileno())
            self._disk.rename(self._part, self._path)
            self._is_there = True
            self._disk.sync_folder(self._path.parent)
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete the file, also after `commit`. Later calls do nothing. Never raises."""
        with self._lock:
            self._is_over = True
            try:
                if self._is_there:
                    self._path.unlink(missing_ok=True)
                elif self._file is not None:
                    self._part.unlink(missing_ok=True)
            except OSError as problem:
                _log.warning("%s could not be removed: %s", self._part.name, problem.strerror)
            finally:
                self._close()

    def _make_folders(self) -> None:
        """Create the missing folders from above, each so that no crash can undo it."""
        missing = [folder for folder in (self._path.parent, *self._path.parent.parents) if not folder.is_dir()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._disk.sync_folder(folder.parent)

    def _claim(self, file: FileIO) -> None:
        """Lock `file`, and check that it still is the part: the last holder of the lock may have renamed it."""
        self._disk.lock(file)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), self._part.stat()):
                return
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk, for data that is not needed any more
                file.close()


class FileReader:
    """Reads the file at `path`, from the byte `begin` on."""

    def __init__(self, path: Path, begin: int) -> None:
        self._path = path
        self._begin = begin
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._is_over = False

    def open(self) -> None:
        """Open it. Errors: `FileNotFoundError`."""
        with self._lock:
            if not self._is_over:
                self._file = _open(self._path, os.O_RDONLY)
                self._file.seek(self._begin)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        with self._lock:
            return b"" if self._file is None else self._file.read(size) or b""

    def close(self) -> None:
        """Close it. Idempotent."""
        with self._lock:
            self._is_over = True
            if self._file is not None:
                self._file.close()


def part_of(path: Path) -> Path:
    """Where the file that will appear at `path` is written."""
    return path.with_name(path.name + PART)


def remove(path: Path) -> None:
    """Delete the file and its part. Idempotent."""
    if not path.parent.is_dir():
        return
    for one in (part_of(path), path):
        one.unlink(missing_ok=True)
    DISK.sync_folder(path.parent)


def _open(path: Path, flags: int) -> FileIO:
    def private(name: str, _flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    return FileIO(str(path), "w" if flags & os.O_WRONLY else "r", opener=private)
