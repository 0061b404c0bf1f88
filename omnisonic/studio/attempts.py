"""Attempts at jobs that a queue counts: a job that is not at fault gets its attempt back, and keeps its lease. Asyncio.

Owned by the task that does the job. A queue gives a job up after a few attempts, because a file may crash whatever
opens it. What is not the file's fault must not count: a store that does not answer, a busy machine, a worker that is
stopped. Overload: the job waits for `AGAIN_S`, and others come first. Crash of the worker, or a database that does not
answer: the attempt counts, and the job waits until its lease is over. A lease that cannot be renewed is renewed later;
when it has run out, another worker may do the job, too. Shutdown: the job is given back before
cancellation goes on, within `RELEASE_TIMEOUT_S`, and may be taken at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from omnisonic.concurrency.run_shielded import run_shielded
from omnisonic.errors import Unavailable

AGAIN_S: Final = 60.0
"""How long a job waits after a failure that is not its fault."""
RELEASE_TIMEOUT_S: Final = 3.0
"""How long giving a job back may take; after that its lease runs out by itself."""

Release: TypeAlias = Callable[[float], Awaitable[None]]
"""Gives a job back, to be taken so many seconds from now. Raises `Unavailable`."""

_log = logging.getLogger(__name__)


class Crashed(Exception):
    """The work on a file has failed, and it may be the file's fault, so the attempt counts."""


@asynccontextmanager
async def attempt(release: Release, *outages: type[Exception], not_released: str) -> AsyncIterator[None]:
    """One attempt, the block, at a job that was taken.

    Args:
        release: Gives the job back.
        outages: Errors, besides `Unavailable` and `OSError`, that are not the job's fault unless they are `Crashed`.
        not_released: The log event for a job that could not be given back.

    Raises:
        Exception: Whatever the block raises.
    """
    blameless: tuple[type[Exception], ...] = (Unavailable, OSError, *outages)  # `TimeoutError` is an `OSError`
    try:
        yield
    except Crashed:
        raise
    except asyncio.CancelledError:
        await run_shielded(_give_back(release, 0.0, not_released))
        raise
    except blameless:
        await run_shielded(_give_back(release, AGAIN_S, not_released))
        raise


@asynccontextmanager
async def renewing(
    renew: Callable[[], Awaitable[None]],
    every_s: float,
    *,
    sleep: Callable[[float], Awaitable[None]],
    not_renewed: str,
    **job: str,
) -> AsyncIterator[None]:
    """Keep the lease of a job for as long as the block takes.

    Args:
        renew: Renews the lease. Raises `Unavailable`.
        every_s: The time between two renewals: short enough that a few may fail.
        sleep: Waits; another clock in tests.
        not_renewed: The log event for a lease that could not be renewed.
        job: What the log says of the job.
    """

    async def keep_on() -> None:
        while True:
            await sleep(every_s)
            try:
                await renew()
            except Unavailable as problem:
                _log.warning(not_renewed, extra={**job, "reason": problem.message})

    renewal = asyncio.create_task(keep_on())
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.wait([renewal])  # else it might renew what is given back next


async def _give_back(release: Release, after_s: float, not_released: str) -> None:
    try:
        async with asyncio.timeout(RELEASE_TIMEOUT_S):
            await release(after_s)
    except (TimeoutError, Unavailable) as problem:
        _log.warning(not_released, extra={"reason": str(problem) or "It took too long."})
