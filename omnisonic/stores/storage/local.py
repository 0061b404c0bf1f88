"""Objects as files in a folder of this machine: written beside (`KEY.part`), fsynced, renamed. Asyncio.

Only the threads of the store touch the disk. Overload: more than `THREADS` operations wait, and with them the writers
and readers of objects. A disk that hangs is `Unavailable` after `DISK_S`, a full one `StorageFull`. Crash: a file under
its key is whole, whatever ended the process or the machine; what was being written is a `.part`, which `delete`
removes. Shutdown: after `aclose` no operation begins; those under way end by themselves.
"""

import asyncio
import errno
import logging
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.process.disk import DISK, Disk
from omnisonic.stores.storage import (
    READ_BYTES,
    Digest,
    Key,
    Label,
    NoSuchObject,
    Storage,
    StorageFull,
    StorageRefused,
    in_blocks,
)
from omnisonic.stores.storage.files import FileReader, FileWriter, remove

THREADS: Final = 16
"""Operations at the same time: enough that a slow fsync holds no others up."""
DISK_S: Final = 60.0
"""Longest time of one operation, such as the fsync of a large file on a slow disk."""
SYNC_BYTES: Final = 8_388_608
"""After so many bytes the file is synced while more arrive, so that little is left to sync at the end. When as many
have come again before the disk is done, the writer waits.
"""

_KEY: Final = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_REFUSED: Final = (
    errno.EACCES,
    errno.EEXIST,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENOENT,
    errno.EISDIR,
    errno.ELOOP,
)
"""Problems of the folder, not of the disk: the operator has to mend them."""
_HUNG: Final = "The studio's storage does not answer now. Try again in a moment."

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LocalStorage:
    """Objects in `folder`, which is created when it is missing. The store belongs to the loop that uses it."""

    def __init__(self, folder: Path, *, disk: Disk = DISK) -> None:
        self._disk = disk
        self._folder = folder.absolute()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
        self._is_closed = False

    async def put(
        self,
        key: Key,
        chunks: AsyncIterator[bytes],
        label: Label | None = None,  # noqa: ARG002
        *,
        digest: Digest | None = None,
    ) -> None:
        """As `Storage.put`. The label is not stored: the web sends it with each download."""
        file = FileWriter(self._folder, self._path(key), digest, disk=self._disk)
        try:
            await self._run(file.open)
            await self._write(file, in_blocks(chunks))
            await self._run(file.commit)
        except BaseException:
            await self._discard(file)
            raise

    async def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        file = FileReader(self._path(key), begin)
        try:
            await self._run(_open, file)
            position = begin
            while end is None or position < end:
                block = await self._run(file.read, READ_BYTES if end is None else min(READ_BYTES, end - position))
                if not block:
                    return
                position += len(block)
                yield block
        finally:
            self._run_soon(file.close)

    async def delete(self, key: Key) -> None:
        await self._run(remove, self._path(key))

    async def link(self, key: Key, label: Label) -> str | None:  # noqa: ARG002
        """None: only this machine can read the files, and the web serves them."""
        return None

    async def ping(self) -> None:
        try:
            await self._run(_check_folder, self._folder)
        except StorageFull as full:
            raise Unavailable(full.message) from full

    async def aclose(self) -> None:
        self._is_closed = True
        self._threads.shutdown(wait=False)

    async def _write(self, file: FileWriter, blocks: AsyncIterator[bytes]) -> None:
        """Write all blocks, each while the next one arrives, and sync them while more are written."""
        writing = syncing = asyncio.get_running_loop().create_future()
        writing.set_result(None)
        unsynced_bytes = 0
        try:
            async for block in blocks:
                await self._finish(writing)
                writing = self._start(file.write, block)
                unsynced_bytes += len(block)
                if unsynced_bytes >= SYNC_BYTES:
                    await self._finish(syncing)
                    syncing, unsynced_bytes = self._start(file.sync), 0
            await self._finish(writing)
            await self._finish(syncing)
        finally:
            for work in (writing, syncing):
                if not work.cancel() and not work.cancelled():
                    work.exception()  # retrieved, so that asyncio does not log it: the first failure is raised

    def _path(self, key: Key) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return self._folder / key

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        """Run `work` in a thread. Errors: `Unavailable`, `StorageRefused`, `StorageFull`, and those of `work`."""
        return await self._finish(self._start(work, *args))

    async def _finish(self, work: "asyncio.Future[T]") -> T:
        """Wait for the result of a thread. Errors: as `_run`."""
        try:
            async with asyncio.timeout(DISK_S):
                return await work
        except TimeoutError as late:
            _log.error("The disk of %s did not answer within %g s.", self._folder, DISK_S)
            raise Unavailable(_HUNG) from late
        except OSError as problem:
            raise self._storage_error(problem) from problem

    def _start(self, work: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except RuntimeError as closed:
            raise Unavailable("The studio is stopping. Try again in a moment.") from closed

    def _run_soon(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread, without waiting for it."""
        if self._is_closed:
            work()
        else:
            self._threads.submit(work)

    async def _discard(self, file: FileWriter) -> None:
        """Delete what was written. It continues when the caller is cancelled."""
        if self._is_closed:
            file.discard()
        else:
            await asyncio.wait({self._start(file.discard)}, timeout=DISK_S)

    def _storage_error(self, problem: OSError) -> OmnisonicError:
        reason = problem.strerror or type(problem).__name__
        if problem.errno in _FULL:
            return StorageFull()
        if problem.errno in _REFUSED:
            return StorageRefused(f"The folder {self._folder} cannot be used ({reason}).")
        _log.error("The disk of %s failed: %s", self._folder, reason)
        return Unavailable(_HUNG)


def _open(file: FileReader) -> None:
    try:
        file.open()
    except FileNotFoundError:
        raise NoSuchObject from None


def _check_folder(folder: Path) -> None:
    """Write a byte to a temporary file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b".")


_fits: type[Storage] = LocalStorage
