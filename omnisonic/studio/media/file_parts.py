"""A file that consists of parts of another one and of bytes that it lacks, without copying it. Blocking.

It is as good as the file under it: what cannot be read there is an error here. One thread at a time may use either, and
whoever reads the file itself meanwhile moves this one's place, which does not matter: each read seeks first.
"""

import io
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple


class Part(NamedTuple):
    """The bytes of the file from `begin` to before `end`."""

    begin: int
    end: int


class FileParts(io.RawIOBase):
    """These parts of `file`, one after the other; bytes among them stand for themselves. Closing it closes nothing."""

    def __init__(self, file: BinaryIO, parts: Sequence[Part | bytes]) -> None:
        super().__init__()
        self._file = file
        self._parts: list[tuple[int, Part | bytes]] = []
        self._size = self._at = 0
        for part in parts:
            self._parts.append((self._size, part))
            self._size += len(part) if isinstance(part, bytes) else part.end - part.begin

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As every file. Errors: `OSError` before the beginning."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise OSError("There is nothing before the beginning.")
        self._at = at
        return at

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """As every file: up to where a part ends."""
        view = memoryview(buffer).cast("B")
        for begin, part in self._parts:
            within = self._at - begin
            if isinstance(part, bytes):
                found = part[within : within + len(view)] if 0 <= within < len(part) else b""
            elif 0 <= within < part.end - part.begin:
                self._file.seek(part.begin + within)
                found = self._file.read(min(len(view), part.end - part.begin - within))
            else:
                continue
            if found:
                view[: len(found)] = found
                self._at += len(found)
                return len(found)
        return 0


def size_of(file: BinaryIO) -> int:
    """How many bytes it has. It stands at its end afterwards."""
    return file.seek(0, io.SEEK_END)


def read_at(file: BinaryIO, begin: int, size: int) -> bytes:
    """So many bytes from there on; fewer at the end."""
    file.seek(begin)
    return file.read(size)
