"""The job loop: does one job after the other, several at once, until it is cancelled. Asyncio.

Overload: `at_once` jobs; the others wait in their queue, which several workers may share. After a failure that is not
the job's fault, no job is taken until the service that every job needs answers, because each take may count as an
attempt. Crash of a job: logged, and the loop goes on. Shutdown: cancel at any time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, Protocol

from omnisonic.errors import Unavailable

POLL_S: Final = 1.0
"""The time between two looks at an empty queue."""


class Service(Protocol):
    """What can be asked whether it is there."""

    async def ping(self) -> None:
        """One round trip. Raises `Unavailable`."""
        ...


class JobLoop:
    """Calls `do_next` again and again.

    Args:
        do_next: Does the next job; returns False when there was none.
        service: What every job needs, such as the storage.
        postponed: The log event for a job that failed because something was unavailable.
        failed: The log event for a job that crashed.
        at_once: How many jobs are done at once.
        retry_s: How long to wait after a failure.
        sleep: Waits; another clock in tests.
    """

    def __init__(
        self,
        do_next: Callable[[], Awaitable[bool]],
        service: Service,
        *,
        postponed: str,
        failed: str,
        at_once: int,
        retry_s: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._do_next = do_next
        self._service = service
        self._postponed = postponed
        self._failed = failed
        self._at_once = at_once
        self._retry_s = retry_s
        self._sleep = sleep
        self._log = logging.getLogger(do_next.__module__)

    async def run(self) -> None:
        """Do all jobs that come, `at_once` at a time. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._at_once):
                tasks.create_task(self._work())

    async def _work(self) -> NoReturn:
        pause_s = 0.0
        while True:
            if pause_s:
                await self._sleep(pause_s)
            try:
                if pause_s == self._retry_s:
                    await self._service.ping()
                pause_s = 0.0 if await self._do_next() else POLL_S
            except (Unavailable, TimeoutError) as problem:
                pause_s = self._retry_s
                self._log.warning(self._postponed, extra={"reason": str(problem) or "It took too long."})
            except Exception:  # noqa: BLE001 - one job's crash must not stop the others
                pause_s = self._retry_s
                self._log.exception(self._failed)
