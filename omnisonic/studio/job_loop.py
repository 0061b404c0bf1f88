"""Does one job after the other, several at once, for as long as it runs. Asyncio.

Overload: `at_once` jobs; the others wait in their queue, which several workers may share. After a failure that is not
the job's own, nothing is taken before the storage answers, for each take may count as a try. Crash of a job: noted, and
on with the next. Shutdown: cancel at any time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from omnisonic.errors import Unavailable
from omnisonic.stores.storage import Storage

POLL_S: Final = 1.0
"""How long after nothing was found the queue is asked again."""


class JobLoop:
    """Calls `do_next`, which says whether there was a job. Every job needs `storage`.

    `retry_s` passes after a failure that is not the job's own; `postponed` and `failed` are how the log calls it.
    """

    def __init__(
        self,
        do_next: Callable[[], Awaitable[bool]],
        storage: Storage,
        *,
        postponed: str,
        failed: str,
        at_once: int,
        retry_s: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._do_next = do_next
        self._storage = storage
        self._postponed = postponed
        self._failed = failed
        self._at_once = at_once
        self._retry_s = retry_s
        self._sleep = sleep
        self._log = logging.getLogger(do_next.__module__)

    async def run(self) -> None:
        """Do all that comes, `at_once` at a time. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._at_once):
                tasks.create_task(self._go_on())

    async def _go_on(self) -> NoReturn:
        pause_s = 0.0
        while True:
            if pause_s:
                await self._sleep(pause_s)
            try:
                if pause_s == self._retry_s:
                    await self._storage.ping()
                pause_s = 0.0 if await self._do_next() else POLL_S
            except (Unavailable, TimeoutError) as problem:
                pause_s = self._retry_s
                self._log.warning(self._postponed, extra={"reason": str(problem) or "It took too long."})
            except Exception:  # noqa: BLE001 - whatever it was, the other jobs want to be done, too
                pause_s = self._retry_s
                self._log.exception(self._failed)
