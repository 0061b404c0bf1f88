"""Bytes that wait on this machine's disk until their number is known: an S3 server wants to be told it first.

The file has no name, so that nothing of it outlives the process. Only threads touch it, one at a time. Errors:
`OSError`, also once it is closed.
"""

import asyncio
import base64
import errno
import os
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator
from typing import IO, Final

READ_BYTES: Final = 262_144


class Spool:
    """A file to write, to read as often as it takes to send it, and to clear. One task uses it, until it is closed."""

    def __init__(self) -> None:
        self.size = 0
        self.is_handed_out = False
        """Whether whoever sends it has all of it."""
        self._crc = 0
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._is_closed = False

    @property
    def crc32(self) -> str:
        """The checksum of what is in it, as S3 writes it."""
        return base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    async def write(self, block: bytes) -> None:
        """Append to it."""
        await asyncio.to_thread(self._write, block)

    async def clear(self) -> None:
        """Forget what is in it."""
        await asyncio.to_thread(self._clear)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All that is in it, from the beginning each time: this is how it is sent, and sent again."""
        self.is_handed_out = not self.size
        for begin in range(0, self.size, READ_BYTES):
            block = await asyncio.to_thread(self._read, begin)
            self.is_handed_out = begin + len(block) >= self.size
            yield block

    def read(self, size: int = -1) -> bytes:
        """Only here to show botocore that this is like a file: it is iterated over instead."""
        raise NotImplementedError

    def seek(self, position: int) -> int:
        """What botocore does before it sends the file again. Nothing needs to be done."""
        return position

    def close(self) -> None:
        """Forget the file; whoever still sends it fails. Nobody waits for the disk here. Idempotent."""
        asyncio.get_running_loop().run_in_executor(None, self._close)

    def _write(self, block: bytes) -> None:
        with self._lock:
            file = self._opened()
            file.seek(self.size)
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
            self._crc = zlib.crc32(block, self._crc)
            self.size += len(block)

    def _read(self, begin: int) -> bytes:
        with self._lock:
            file = self._opened()
            file.seek(begin)
            return file.read(min(READ_BYTES, self.size - begin))

    def _clear(self) -> None:
        with self._lock:
            file = self._opened()
            file.seek(0)
            file.truncate()
            self.size = self._crc = 0
            self.is_handed_out = False

    def _opened(self) -> IO[bytes]:
        if self._is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="omnisonic-", buffering=0)  # noqa: SIM115 - `close`
        return self._file

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()
