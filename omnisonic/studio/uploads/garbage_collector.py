"""The garbage collector: deletes unreferenced objects from the storage (`.unreferenced_objects`). Asyncio.

It deletes the object first and its registration afterwards, so that no object is forgotten. Several processes may
collect at once. Overload: `BATCH` objects are taken at a time and `AT_ONCE` are deleted at the same time. Crash, or a
store that does not answer: what was not deleted is due again after a minute. Shutdown: cancel at any time. While a
backup copies the objects (`omnisonic.operations.backup`), nothing is deleted; that waits, too.
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
"""Longest time that deleting one object may take."""
COLLECT_S: Final = 2.0
"""How long a request waits for objects to be deleted. What takes longer is left to a sweep."""
BATCH: Final = 40
"""Few enough to be deleted within `TAKEN_S`, even when each takes `DELETE_S`."""

_log = logging.getLogger(__name__)


class GarbageCollector:
    """Deletes from `storage` the objects that `retention` says are due.

    `left` is the number of objects that the last sweep could not delete.
    """

    def __init__(self, retention: UploadRetention, storage: Storage, *, delete_s: float = DELETE_S) -> None:
        self._retention = retention
        self._storage = storage
        self._delete_s = delete_s
        self.left = 0

    async def collect(self, keys: list[Key], *, within_s: float | None = None) -> None:
        """Delete these abandoned objects now. Never raises.

        What fails, or is not deleted `within_s`, stays due, and a sweep deletes it.
        """
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._retention.forget_unreferenced(await self._delete_all(keys))
        except Unavailable as problem:
            _log.warning("garbage_collector.postponed", extra={"reason": problem.message})

    async def sweep(self) -> int:
        """Delete all that is due. Returns how many objects that were. Errors: `Unavailable`."""
        swept = self.left = 0
        while keys := await self._retention.take_unreferenced(BATCH):
            deleted = await self._delete_all(keys)
            await self._retention.forget_unreferenced(deleted)
            swept += len(deleted)
            self.left += len(keys) - len(deleted)
            if not deleted:
                break  # the storage does not answer: the others would fail as well
        return swept

    async def _delete_all(self, keys: list[Key]) -> list[Key]:
        """Delete these objects, `AT_ONCE` at a time. Returns those that are deleted: none while a backup runs."""
        if not await self._retention.may_delete():
            _log.info("garbage_collector.waits", extra={"reason": "A backup copies the files.", "objects": len(keys)})
            return []
        slots = asyncio.Semaphore(AT_ONCE)

        async def delete(key: Key) -> bool:
            async with slots:
                return await self._delete(key)

        outcomes = await asyncio.gather(*map(delete, keys))
        return [key for key, outcome in zip(keys, outcomes, strict=True) if outcome]

    async def _delete(self, key: Key) -> bool:
        """Delete one object. False when that failed, which is logged."""
        try:
            async with asyncio.timeout(self._delete_s):
                await self._storage.delete(key)
        except (TimeoutError, Unavailable) as problem:
            _log.warning("garbage_collector.failed", extra={"key": key, "reason": str(problem) or "It took too long."})
            return False
        except Exception:  # noqa: BLE001 - a problem with one object must not keep the others
            _log.exception("garbage_collector.crashed", extra={"key": key})
            return False
        return True
