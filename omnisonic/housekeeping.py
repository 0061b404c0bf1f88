"""Housekeeping: what has run out is deleted now and then, so that the tables do not grow for ever. Asyncio.

It is run by the worker. Several workers may do so at once: deleting twice is deleting once. Overload: the store deletes
in batches. Crash: what fails is logged and tried again, sooner than usual. Shutdown: cancel at any time.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from omnisonic.accounts import AccountStore
from omnisonic.errors import Unavailable

SWEEP_S: Final = 600.0
"""The time between two sweeps."""
RETRY_S: Final = 30.0
"""The time after one that failed."""
JITTER: Final = 0.2
"""Up to this part of the time is added, so that workers started together do not sweep together for ever."""

_log = logging.getLogger(__name__)


async def keep_house(
    accounts: AccountStore,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> None:
    """Sweep now, and then every `SWEEP_S`. Never returns. `chance` gives numbers from 0 to 1."""
    while True:
        wait_s = SWEEP_S if await _swept(accounts) else RETRY_S
        await sleep(wait_s * (1 + JITTER * chance()))


async def _swept(accounts: AccountStore) -> bool:
    try:
        deleted = await accounts.sweep()
    except Unavailable as problem:
        _log.warning("housekeeping.postponed", extra={"reason": problem.message})
        return False
    except Exception:  # noqa: BLE001 - whatever it was, the worker has other work, too
        _log.exception("housekeeping.failed")
        return False
    if deleted:
        _log.info("housekeeping.swept", extra={"deleted": deleted})
    return True
