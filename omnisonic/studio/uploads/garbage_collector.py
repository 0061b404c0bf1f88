"""Getting rid of loose objects: the object first, then the note of it, so that none is forgotten while it is there.

Several may do so at once. Overload: `BATCH` objects are taken at a time, `AT_ONCE` deleted at the same time. Crash, or
a store that does not answer: what was not deleted is due again in a minute. Shutdown: cancel at any time.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.stores.storage import Key, Storage
from omnisonic.studio.uploads.retention import UploadRetention

AT_ONCE: Final = 8
DELETE_S: Final = 10.0
"""Longest that one object may take."""
DISPOSE_S: Final = 2.0
"""How long a request waits for objects to be deleted, which is done later otherwise."""
BATCH: Final = 40
"""So few that they are done within `TAKEN_S`, even when each takes its longest."""

_log = logging.getLogger(__name__)


class GarbageCollector:
    """Deletes what `upkeep` says is loose from `storage`. `left`: what the last sweep could not delete."""

    def __init__(self, upkeep: UploadRetention, storage: Storage, *, delete_s: float = DELETE_S) -> None:
        self._upkeep = upkeep
        self._storage = storage
        self._delete_s = delete_s
        self.left = 0

    async def collect(self, keys: list[Key], *, within_s: float | None = None) -> None:
        """Delete these doomed objects now. Never raises: what fails stays due, and is deleted by a sweep.

        So does what is not deleted `within_s`.
        """
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._upkeep.forget_unreferenced(await self._deleted(keys))
        except Unavailable as problem:
            _log.warning("garbage_collector.postponed", extra={"reason": problem.message})

    async def sweep(self) -> int:
        """Delete all that is due; how many objects that were. Errors: `Unavailable` when the rows cannot be read."""
        swept = self.left = 0
        while keys := await self._upkeep.take_unreferenced(BATCH):
            deleted = await self._deleted(keys)
            await self._upkeep.forget_unreferenced(deleted)
            swept += len(deleted)
            self.left += len(keys) - len(deleted)
            if not deleted:
                break  # the store is away: no use in asking it for all the others
        return swept

    async def _deleted(self, keys: list[Key]) -> list[Key]:
        """Those of `keys` that are deleted now."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def is_deleted(key: Key) -> bool:
            async with turns:
                return await self._is_deleted(key)

        outcomes = await asyncio.gather(*map(is_deleted, keys))
        return [key for key, outcome in zip(keys, outcomes, strict=True) if outcome]

    async def _is_deleted(self, key: Key) -> bool:
        try:
            async with asyncio.timeout(self._delete_s):
                await self._storage.delete(key)
        except (TimeoutError, Unavailable) as problem:
            _log.warning("garbage_collector.failed", extra={"key": key, "reason": str(problem) or "It took too long."})
            return False
        except Exception:  # noqa: BLE001 - whatever is wrong with one object, the others have to go
            _log.exception("garbage_collector.crashed", extra={"key": key})
            return False
        return True
