"""Housekeeping: deletes what has expired, so that tables and storage do not grow for ever. Asyncio, in the worker.

Several workers may run it at once. Overload: everything is deleted in batches. Crash: a chore that fails is logged and
tried again after `RETRY_S`; the others run all the same. Shutdown: cancel it at any time.
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
from omnisonic.studio.messages.message_store import MessageStore
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from omnisonic.studio.uploads.retention import UploadRetention
from omnisonic.studio.webhooks.delivery_queue import DeliveryQueue

SWEEP_S: Final = 600.0
"""The interval of the chores."""
RETRY_S: Final = 30.0
"""The interval after a chore has failed."""
JITTER: Final = 0.2
"""Up to this part of the interval is added, so that several workers do not stay in step."""
BATCH: Final = 100
"""How many rows one statement deletes: so few that nobody has to wait for it."""
DELIVERY_RETENTION: Final = timedelta(days=7)
"""How long deliveries to webhooks are listed after they have ended."""

Chore: TypeAlias = Callable[[], Awaitable[int]]
"""Deletes the expired things of one kind, and returns how many. Raises `Unavailable` when that must wait."""

_log = logging.getLogger(__name__)


def all_chores(
    accounts: AccountStore,
    retention: UploadRetention,
    exports: ExportQueue,
    garbage_collector: GarbageCollector,
    messages: MessageStore,
    deliveries: DeliveryQueue,
    *,
    upload_retention: timedelta,
    export_retention: timedelta,
    message_retention: timedelta,
) -> Mapping[str, Chore]:
    """All chores by name, in their order: files that one chore leaves unreferenced are deleted by a later one.

    `upload_retention` is how long uploads without a session are kept, `export_retention` how long exports are kept, and
    `message_retention` how long kept messages are; zero: as long as their session.
    """

    async def drop_expired() -> int:
        return await _drop_all(retention.drop_expired)

    async def drop_removed() -> int:
        return await _drop_all(retention.drop_removed)

    async def drop_stale() -> int:
        async def drop_batch(limit: int) -> int:
            return len(await retention.drop_stale(upload_retention, limit))

        return await _drop_all(drop_batch)

    async def drop_old_exports() -> int:
        return await _drop_all(partial(exports.drop_old, export_retention))

    async def drop_old_messages() -> int:
        return await _drop_all(partial(messages.drop_old, message_retention)) if message_retention else 0

    async def drop_deliveries() -> int:
        return await _drop_all(partial(deliveries.drop_old, DELIVERY_RETENTION))

    return {
        "accounts": accounts.sweep,
        "unfinished uploads": drop_expired,
        "removed uploads": drop_removed,
        "stale uploads": drop_stale,
        "old exports": drop_old_exports,
        "old messages": drop_old_messages,
        "webhook deliveries": drop_deliveries,
        "files": garbage_collector.sweep,
    }


async def run_housekeeping(
    chores: Mapping[str, Chore],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> None:
    """Run all chores now, and then every `SWEEP_S`. Never returns. `chance` returns numbers from 0 to 1."""
    while True:
        done = [await _run_chore(name, chore) for name, chore in chores.items()]
        await sleep((SWEEP_S if all(done) else RETRY_S) * (1 + JITTER * chance()))


async def _drop_all(drop: Callable[[int], Awaitable[int]]) -> int:
    """Drop batch after batch, until there are no more."""
    total = 0
    while dropped := await drop(BATCH):
        total += dropped
    return total


async def _run_chore(name: str, chore: Chore) -> bool:
    """Run one chore. Returns False when it must be tried again."""
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
