"""Copies of objects on this machine's disk, for decoders, which seek. Asyncio.

A copy is a file without a name: nothing of it is left, however this process ends. Overload: one block is in memory. A
storage that does not answer, and a disk that others have filled, are outages, which end. A copy that ends in nothing
each time would be made again for ever: that is `CannotCopy`, an attempt that counts.
"""

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, Final

from omnisonic.stores.storage import Key, Storage
from omnisonic.studio.attempts import Crashed

SILENCE_S: Final = 60.0
"""Longest time without a block from the storage, which itself tries again after less."""
LEAST_COPY_S: Final = 120.0
"""How long copying any file may take."""
LEAST_RATE: Final = 1_048_576
"""Bytes in a second: copying a large file may take as long as this lets it."""


class CannotCopy(Crashed):
    """The object is too large to be copied here, or the storage too slow for its size."""


@asynccontextmanager
async def copied_object(
    storage: Storage, key: Key, size: int, *, silence_s: float = SILENCE_S, least_s: float = LEAST_COPY_S
) -> AsyncIterator[BinaryIO]:
    """Copy the object of `size` bytes at `key` into a file, which is at its beginning, and is deleted with the block.

    Nothing is copied that the disk has no room for.

    Raises:
        NoSuchObject: It is gone.
        TimeoutError: Nothing came for `silence_s`.
        Unavailable: The storage does not answer.
        OSError: There is no room now, or the disk cannot be written.
        CannotCopy: There would not be room with the disk empty; or copying took longer than `least_s` and than
            `LEAST_RATE` allows.
    """
    with tempfile.TemporaryFile(prefix="omnisonic-") as file:
        _check_room(size)
        total = asyncio.timeout(max(least_s, size / LEAST_RATE))
        try:
            async with total, aclosing(storage.read(key)) as chunks:  # type: ignore[type-var]
                while (chunk := await _next_chunk(chunks, silence_s)) is not None:
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(file.flush)
        except TimeoutError:
            if total.expired():
                raise CannotCopy(f"Copying {size:,} bytes out of the storage took too long.") from None
            raise
        file.seek(0)
        yield file


async def _next_chunk(chunks: AsyncIterator[bytes], silence_s: float) -> bytes | None:
    """The next chunk; None at the end. Raises `TimeoutError`."""
    async with asyncio.timeout(silence_s):
        return await anext(chunks, None)


def _check_room(size: int) -> None:
    """Raise `CannotCopy` when the disk of temporary files is smaller than `size`, `OSError` when it has no room now."""
    disk = shutil.disk_usage(tempfile.gettempdir())
    if size > disk.total:
        raise CannotCopy(f"{size:,} bytes are more than the disk of {tempfile.gettempdir()} has.")
    if size > disk.free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir())
