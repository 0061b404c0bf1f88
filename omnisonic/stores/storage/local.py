"""Objects as files in a folder of this machine: written beside (`KEY.part`), fsynced, renamed. Asyncio.

The disk is only touched by the threads of the store. Overload: more work than `THREADS` waits, and with it whoever
brings or fetches bytes. A disk that hangs is `Unavailable` after `DISK_S`, a full one `StorageFull`. Crash: a file
under its key is whole, whatever ended the process or the machine; what was being written is a `.part`, which `delete`
removes. Shutdown: `aclose` takes no more work; what is under way ends by itself.
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
from omnisonic.stores.storage import READ_BYTES, Digest, Key, Label, NoSuchObject, Storage, StorageFull, StorageRefused
from omnisonic.stores.storage.blocks import in_blocks
from omnisonic.stores.storage.files import Arriving, Leaving, remove

THREADS: Final = 16
"""Work for the disk at the same time: enough that a slow fsync holds up nobody else."""
DISK_S: Final = 60.0
"""Longest that one piece of work may take, such as the fsync of a large file on a slow disk."""
SYNC_BYTES: Final = 8_388_608
"""After so much it is synced, while more arrives: there is little left to wait for at the end. A disk that has not
done that when as much has come again holds up whoever brings it.
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
"""What is wrong with the folder and not with the disk: somebody has to mend it."""
_HUNG: Final = "The studio's storage does not answer now. Try again in a moment."

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LocalStorage:
    """Files in `folder`, which is made when it is missing. The store belongs to the loop that uses it."""

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
        """As `Storage.put`. A file's label is told by whoever serves it."""
        file = Arriving(self._folder, self._path(key), digest, disk=self._disk)
        try:
            await self._do(file.begin)
            await self._written(file, in_blocks(chunks))
            await self._do(file.keep)
        except BaseException:
            await self._undo(file)
            raise

    async def read(self, key: Key, begin: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        file = Leaving(self._path(key), begin)
        try:
            await self._do(_open, file)
            position = begin
            while end is None or position < end:
                block = await self._do(file.read, READ_BYTES if end is None else min(READ_BYTES, end - position))
                if not block:
                    return
                position += len(block)
                yield block
        finally:
            self._soon(file.close)

    async def delete(self, key: Key) -> None:
        await self._do(remove, self._path(key))

    async def link(self, key: Key, label: Label) -> str | None:  # noqa: ARG002
        """None: the files are served by whoever has the folder."""
        return None

    async def ping(self) -> None:
        try:
            await self._do(_try_out, self._folder)
        except StorageFull as full:
            raise Unavailable(full.message) from full

    async def aclose(self) -> None:
        self._is_closed = True
        self._threads.shutdown(wait=False)

    async def _written(self, file: Arriving, blocks: AsyncIterator[bytes]) -> None:
        """Write all blocks, each while the next one is on its way, and sync them while more are written."""
        writing = syncing = asyncio.get_running_loop().create_future()
        writing.set_result(None)
        unsynced_bytes = 0
        try:
            async for block in blocks:
                await self._done(writing)
                writing = self._begin(file.write, block)
                unsynced_bytes += len(block)
                if unsynced_bytes >= SYNC_BYTES:
                    await self._done(syncing)
                    syncing, unsynced_bytes = self._begin(file.sync), 0
            await self._done(writing)
            await self._done(syncing)
        finally:
            for work in (writing, syncing):
                if not work.cancel() and not work.cancelled():
                    work.exception()  # looked at: what ended this first is what is told

    def _path(self, key: Key) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return self._folder / key

    async def _do(self, work: Callable[..., T], *args: Any) -> T:
        """Let a thread do it. Errors: `Unavailable`, `StorageRefused`, `StorageFull`, and those of `work`."""
        return await self._done(self._begin(work, *args))

    async def _done(self, work: "asyncio.Future[T]") -> T:
        """What a thread has done, once it has. Errors: as `_do`."""
        try:
            async with asyncio.timeout(DISK_S):
                return await work
        except TimeoutError as late:
            _log.error("The disk of %s did not answer within %g s.", self._folder, DISK_S)
            raise Unavailable(_HUNG) from late
        except OSError as problem:
            raise self._told(problem) from problem

    def _begin(self, work: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except RuntimeError as closed:
            raise Unavailable("The studio is stopping. Try again in a moment.") from closed

    def _soon(self, work: Callable[[], None]) -> None:
        """Let a thread do it, for which nobody waits."""
        if self._is_closed:
            work()
        else:
            self._threads.submit(work)

    async def _undo(self, file: Arriving) -> None:
        """Leave nothing of a file. It is done even when nobody waits for it any longer."""
        if self._is_closed:
            file.undo()
        else:
            await asyncio.wait({self._begin(file.undo)}, timeout=DISK_S)

    def _told(self, problem: OSError) -> OmnisonicError:
        reason = problem.strerror or type(problem).__name__
        if problem.errno in _FULL:
            return StorageFull()
        if problem.errno in _REFUSED:
            return StorageRefused(f"The folder {self._folder} cannot be used ({reason}).")
        _log.error("The disk of %s failed: %s", self._folder, reason)
        return Unavailable(_HUNG)


def _open(file: Leaving) -> None:
    try:
        file.open()
    except FileNotFoundError:
        raise NoSuchObject from None


def _try_out(folder: Path) -> None:
    """Write a byte to a file that nobody sees."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b".")


_fits: type[Storage] = LocalStorage
