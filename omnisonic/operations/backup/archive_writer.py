"""Writes an archive as a stream. Everything blocks, which is fine in a command that does nothing else.

The file gets its name when it is complete and synced. Until then it is called `FILE.partial`; a backup that was killed
leaves one, and the next backup writes it anew. A full disk: `ArchiveNotWritten`, and nothing is left.
"""

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from omnisonic.operations.backup import ArchiveNotWritten
from omnisonic.operations.backup.contents import BLOCK, MANIFEST, Entry, header, identify, padding_of
from omnisonic.process.disk import DISK, Disk

PARTIAL: Final = ".partial"
READ_BYTES: Final = 1_048_576

Record = TypeVar("Record", bound=msgspec.Struct)


class ArchiveWriter:
    """Writes members into `file`, which is called `place` in errors.

    Example:
        writer.begin("objects/uploads/1", size)
        writer.write(block)
        writer.end()
    """

    def __init__(self, file: BinaryIO, place: str, *, written_at: int) -> None:
        self._file = file
        self._place = place
        self._written_at = written_at
        self._manifest = LineFile(place)
        self._name = ""
        self._left = 0
        self._size = 0
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        """How much is written so far."""

    def begin(self, name: str, size: int) -> None:
        """Begin a member of `size` bytes. Raises `ArchiveNotWritten`, as all methods do."""
        assert identify(name), name
        self._name, self._size, self._left, self._digest = name, size, size, hashlib.sha256()
        self._put(header(name, size, self._written_at))

    def write(self, block: bytes) -> None:
        """Append to the member that was begun. Never more than its size."""
        assert len(block) <= self._left
        self._left -= len(block)
        self._digest.update(block)
        self._put(block)

    def end(self) -> str:
        """End the member. Bytes that are missing become zeros. Returns its SHA-256."""
        while self._left:
            self.write(bytes(min(self._left, READ_BYTES)))
        self._put(bytes(padding_of(self._size)))
        entry = Entry(self._name, self._size, self._digest.hexdigest())
        if self._name != MANIFEST:
            self._manifest.add(entry)
        return entry.sha256

    def add(self, name: str, content: bytes) -> None:
        """Write a small member."""
        self.begin(name, len(content))
        self.write(content)
        self.end()

    def add_lines(self, name: str, lines: "LineFile") -> None:
        """Write a member that consists of these lines."""
        self.begin(name, lines.size)
        for block in lines.blocks():
            self.write(block)
        self.end()

    def finish(self) -> None:
        """Write the manifest and the end of the archive."""
        self.add_lines(MANIFEST, self._manifest)
        self._put(bytes(2 * BLOCK))
        try:
            self._file.flush()
        except OSError as problem:
            raise _not_written(self._place, problem) from problem

    def close(self) -> None:
        """Forget the manifest. The file stays open."""
        self._manifest.close()

    def _put(self, block: bytes) -> None:
        try:
            self._file.write(block)
        except OSError as problem:
            raise _not_written(self._place, problem) from problem
        self.size_bytes += len(block)


class LineFile:
    """JSON objects, one a line, in a file without a name: nothing of it is left, however this process ends."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._file = tempfile.TemporaryFile(prefix="omnisonic-")  # noqa: SIM115 - `close`
        self.size = 0

    def add(self, record: msgspec.Struct) -> None:
        """Append a line. Raises `ArchiveNotWritten`."""
        line = msgspec.json.encode(record) + b"\n"
        try:
            self._file.write(line)
        except OSError as problem:
            raise _not_written(f"A temporary file for {self._place}", problem) from problem
        self.size += len(line)

    def blocks(self) -> Iterator[bytes]:
        """All lines, in blocks."""
        self._file.seek(0)
        while block := self._file.read(READ_BYTES):
            yield block

    def lines(self) -> Iterator[bytes]:
        """All lines."""
        self._file.seek(0)
        yield from self._file

    def records(self, type_: type[Record]) -> Iterator[Record]:
        """All lines, decoded."""
        decoder = msgspec.json.Decoder(type_)
        for line in self.lines():
            yield decoder.decode(line)

    def close(self) -> None:
        """Delete them."""
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def new_archive(path: Path, *, replace: bool, disk: Disk = DISK) -> Iterator[BinaryIO]:
    """The file that becomes the archive at `path` when the block ends; when it raises, nothing is left of it.

    Args:
        path: Where the archive will be.
        replace: Whether an archive that is there is replaced.
        disk: The file system.

    Yields:
        A file that only its owner can read (mode 0600).

    Raises:
        ArchiveNotWritten: It cannot be written, is there already, or is being written by another process.
    """
    path = path.absolute()
    _check_free(path, replace=replace)
    partial = path.with_name(path.name + PARTIAL)
    file = _open_partial(partial, disk)
    try:
        yield file
        _check_free(path, replace=replace)
        _commit(file, partial, path, disk)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        with contextlib.suppress(OSError):  # a full disk, for data that is not needed any more
            file.close()


@contextlib.contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Standard output, for an archive. Raises `ArchiveNotWritten` when it is a terminal."""
    if sys.stdout.isatty():
        raise ArchiveNotWritten(
            "An archive is not written to a terminal: name a file, or send the output to a program."
        )
    yield sys.stdout.buffer


def _check_free(path: Path, *, replace: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as problem:
        raise _not_written(str(path), problem) from problem
    if not stat.S_ISREG(mode):
        raise ArchiveNotWritten(f"{path} is not an ordinary file: name another one.")
    if not replace:
        raise ArchiveNotWritten(f"{path} is there already: name another file, or replace it with --force.")


def _open_partial(partial: Path, disk: Disk) -> BinaryIO:
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise _not_written(str(partial), problem) from problem
    file = os.fdopen(descriptor, "wb")
    try:
        _claim(file, partial, disk)
        os.fchmod(file.fileno(), 0o600)
        file.truncate()
    except (BlockingIOError, FileNotFoundError):
        file.close()
        raise ArchiveNotWritten(f"Another backup writes {partial} now: wait for it, or name another file.") from None
    except OSError as problem:
        file.close()
        raise _not_written(str(partial), problem) from problem
    return file


def _commit(file: BinaryIO, partial: Path, path: Path, disk: Disk) -> None:
    """Give the file its name. When this returns, no crash can undo it."""
    try:
        file.flush()
        disk.sync(file.fileno())
        disk.rename(partial, path)
        disk.sync_folder(path.parent)
    except OSError as problem:
        raise _not_written(str(path), problem) from problem


def _claim(file: BinaryIO, partial: Path, disk: Disk) -> None:
    """Lock `file`, and check that it still is `partial`: the last holder of the lock may have given it its name."""
    disk.lock(file)
    if not os.path.samestat(os.fstat(file.fileno()), partial.lstat()):
        raise BlockingIOError


def _not_written(place: str, problem: OSError) -> ArchiveNotWritten:
    return ArchiveNotWritten(f"{place} cannot be written ({problem.strerror or type(problem).__name__}).")
