"""Copies of objects on this machine's disk, for decoders, which seek. Asyncio.

A copy is a file without a name: nothing of it is left, however this process ends. Overload: one block is in memory.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, Final

from omnisonic.stores.storage import Key, Storage

COPY_S: Final = 120.0
"""Longest time to copy a file from the storage."""


@asynccontextmanager
async def copied_object(storage: Storage, key: Key, *, within_s: float = COPY_S) -> AsyncIterator[BinaryIO]:
    """Copy the object at `key` into a file, which is at its beginning, and is deleted with the block.

    Raises:
        NoSuchObject: It is gone.
        TimeoutError: It took longer than `within_s`.
        Unavailable: The storage does not answer.
    """
    with tempfile.TemporaryFile(prefix="omnisonic-") as file:
        async with asyncio.timeout(within_s), aclosing(storage.read(key)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(file.flush)
        file.seek(0)
        yield file
