"""Housekeeping: what has run out is deleted now and then, so that tables and storage do not grow for ever. Asyncio.

It is run by the worker. Several workers may do so at once: deleting twice is deleting once. Overload: everything is
deleted in batches. Crash: a chore that fails is logged and tried again, sooner than usual; the others are done all the
same. Shutdown: cancel at any time.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from omnisonic.errors import Unavailable
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.exports.export_queue import ExportQueue
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention

SWEEP_S: Final = 600.0
"""The time between two sweeps."""
RETRY_S: Final = 30.0
"""The time after one that failed."""
JITTER: Final = 0.2
"""Up to this part of the time is added, so that workers started together do not sweep together for ever."""
BATCH: Final = 100
"""Rows that one statement deletes: few enough that nobody waits for it."""

Chore: TypeAlias = Callable[[], Awaitable[int]]
"""Deletes what has run out of one kind of thing; how many those were. Raises `Unavailable` when that must wait."""

_log = logging.getLogger(__name__)


def chores(
    accounts: AccountStore,
    upkeep: UploadRetention,
    exports: ExportQueue,
    disposal: GarbageCollector,
    *,
    upload_retention: timedelta,
    export_retention: timedelta,
) -> Mapping[str, Chore]:
    """All there is to do, by name, in order: what becomes loose by one chore is deleted by a later one.

    The retentions: how long uploads without a session are kept, and exports that are over.
    """

    async def expired() -> int:
        return await _all_of(upkeep.drop_expired)

    async def stale() -> int:
        async def dropped(limit: int) -> int:
            return len(await upkeep.drop_stale(upload_retention, limit))

        return await _all_of(dropped)

    async def old() -> int:
        return await _all_of(partial(exports.drop_old, export_retention))

    return {
        "accounts": accounts.sweep,
        "unfinished uploads": expired,
        "stale uploads": stale,
        "old exports": old,
        "files": disposal.sweep,
    }


async def keep_house(
    todo: Mapping[str, Chore],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> None:
    """Do all chores now, and then every `SWEEP_S`. Never returns. `chance` gives numbers from 0 to 1."""
    while True:
        done = [await _done(name, chore) for name, chore in todo.items()]
        await sleep((SWEEP_S if all(done) else RETRY_S) * (1 + JITTER * chance()))


async def _all_of(drop: Callable[[int], Awaitable[int]]) -> int:
    """Drop batch after batch, until there are no more."""
    total = 0
    while dropped := await drop(BATCH):
        total += dropped
    return total


async def _done(name: str, chore: Chore) -> bool:
    try:
        deleted = await chore()
    except Unavailable as problem:
        _log.warning("housekeeping.postponed", extra={"chore": name, "reason": problem.message})
        return False
    except Exception:  # noqa: BLE001 - whatever it was, the worker has other work, too
        _log.exception("housekeeping.failed", extra={"chore": name})
        return False
    if deleted:
        _log.info("housekeeping.swept", extra={"chore": name, "deleted": deleted})
    return True
