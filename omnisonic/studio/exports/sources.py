"""The stems of an export, out of the storage and on this machine's disk while they are mixed. Asyncio.

They are files without a name: nothing of them is left, however this process ends. Overload: `MOST_BYTES` of a session,
one file at a time, and a disk that is full is the caller's `OSError`. Shutdown: cancel at any time.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import BinaryIO, Final, cast

from omnisonic.stores.storage import NoSuchObject, Storage
from omnisonic.studio.exports.failures import CannotRender, RenderLater, source_gone
from omnisonic.studio.exports.queue import MOST_STEMS
from omnisonic.studio.uploads import StoredUpload

MOST_BYTES: Final = 8 * 2**30
"""All stems of a session together."""
COPY_S: Final = 900.0
"""Longest that they may take to come out of the storage, together."""


def audible(stems: Sequence[StoredUpload]) -> list[StoredUpload]:
    """Those that are to be heard. Errors: `CannotRender` when there are none of several, or too many."""
    heard = [kept for kept in stems if not kept.upload.muted]
    if stems and not heard:
        raise CannotRender("Every stem is muted. Unmute one, then render again.")
    if len(heard) > MOST_STEMS:
        raise CannotRender(f"At most {MOST_STEMS} files can be mixed. Mute or remove some, then render again.")
    if sum(kept.upload.file_size for kept in heard) > MOST_BYTES:
        raise CannotRender(
            f"The stems are too large to be mixed: at most {MOST_BYTES // 2**30} GB together. Mute or remove some, "
            "then render again."
        )
    return heard


@asynccontextmanager
async def copied(
    storage: Storage, stems: Sequence[StoredUpload], told: Callable[[float], None], *, within_s: float = COPY_S
) -> AsyncIterator[list[BinaryIO]]:
    """These stems as files that stand at their beginnings, until the block ends. `told`: which part of them is there.

    Errors: `CannotRender` when one is not there any more; `RenderLater` when they took too long; `Unavailable`,
    `OSError`.
    """
    files = ExitStack()
    try:
        yield await _copied(files, storage, stems, told, within_s)
    finally:
        # Who is cancelled may have left a thread that still writes, and closing waits for that: nobody waits here.
        asyncio.get_running_loop().run_in_executor(None, files.close)


async def _copied(
    files: ExitStack, storage: Storage, stems: Sequence[StoredUpload], told: Callable[[float], None], within_s: float
) -> list[BinaryIO]:
    opened: list[BinaryIO] = []
    whole_bytes, done_bytes = sum(kept.upload.file_size for kept in stems), 0

    def arrived(size: int) -> None:
        nonlocal done_bytes
        done_bytes += size
        told(min(1.0, done_bytes / whole_bytes))

    try:
        async with asyncio.timeout(within_s):
            for kept in stems:
                file = tempfile.TemporaryFile(prefix="omnisonic-")  # noqa: SIM115 - `files` closes it
                opened.append(cast("BinaryIO", files.enter_context(file)))
                await _copy(storage, kept, opened[-1], arrived)
    except TimeoutError:
        raise RenderLater("Getting the stems out of the studio's storage took too long. Render again later.") from None
    return opened


async def _copy(storage: Storage, kept: StoredUpload, file: BinaryIO, arrived: Callable[[int], None]) -> None:
    try:
        async with aclosing(storage.read(kept.key)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                arrived(len(chunk))
    except NoSuchObject:
        raise source_gone(kept.upload.file_name) from None
    await asyncio.to_thread(file.seek, 0)
