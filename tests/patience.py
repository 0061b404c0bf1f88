"""Time limits for what nobody has promised to do quickly: they say that something hangs.

Where programs waited for a processor for half of the time, there is as much time again, once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from omnisonic.concurrency.background import open_background
from tests.cpu_pressure import waited_s

LOOK_AT: Final = 0.95


class Patience:
    """Whether somebody who began to wait now for so many seconds should go on at the end of them. Once.

    `waited` tells for how long programs have waited for a processor, ever.
    """

    def __init__(self, seconds: float, waited: Callable[[], float] = waited_s) -> None:
        self.seconds = seconds
        self._waited = waited
        self._waited_s = waited()
        self._is_used_up = False

    def goes_on(self) -> bool:
        """Whether to wait as long again."""
        if self._is_used_up or self._waited() - self._waited_s < self.seconds / 2:
            return False
        self._is_used_up = True
        return True


@asynccontextmanager
async def patient_for(seconds: float, waited: Callable[[], float] = waited_s) -> AsyncIterator[None]:
    """As `trio.fail_after`."""
    patience = Patience(seconds, waited)
    with trio.fail_after(seconds) as scope:
        async with open_background() as background:
            background.start_soon(_prolong, scope, patience)
            yield


@asynccontextmanager
async def patient_timeout(seconds: float, waited: Callable[[], float] = waited_s) -> AsyncIterator[None]:
    """As `asyncio.timeout`."""
    patience = Patience(seconds, waited)
    async with asyncio.timeout(seconds) as bound:

        def prolong() -> None:
            end_s = bound.when()
            if end_s is not None and patience.goes_on():
                bound.reschedule(end_s + seconds)

        look = asyncio.get_running_loop().call_later(LOOK_AT * seconds, prolong)
        try:
            yield
        finally:
            look.cancel()


async def _prolong(scope: trio.CancelScope, patience: Patience) -> None:
    """Before the time is over: once it is, what waits is cancelled."""
    await trio.sleep(LOOK_AT * patience.seconds)
    if patience.goes_on():
        scope.deadline += patience.seconds
