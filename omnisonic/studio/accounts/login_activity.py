"""The use of sign-ins, noted without a write a request: at most every `TOUCH_S`, beside what is asked.

Overload: one short statement a sign-in and five minutes. Crash: a note that fails is logged, and made again with the
next use; no request fails for it. Shutdown: a note under way is lost with its loop, which costs the sign-in five
minutes of its twelve hours at most.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.identity.logins import TOUCH_S
from omnisonic.models import LoginId
from omnisonic.stores.database.pool import Database
from omnisonic.studio.accounts.login_statements import TOUCH

NOTED: Final = 10_000
"""Most sign-ins whose last note is remembered; beyond that, those noted longest ago are noted again too early."""

_log = logging.getLogger(__name__)


class LoginUse:
    """Writes down which sign-ins are used. `clock` tells monotonic seconds. It belongs to the loop that uses it."""

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.monotonic, *, most_noted: int = NOTED
    ) -> None:
        self._database = database
        self._clock = clock
        self._most_noted = most_noted
        self._noted_s: dict[LoginId, float] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def note(self, login: LoginId) -> None:
        """`login`, which holds, is used now."""
        now_s = self._clock()
        noted_s = self._noted_s.get(login)
        if noted_s is not None and now_s - noted_s < TOUCH_S:
            return
        self._noted_s.pop(login, None)  # so that the dictionary is in the order of the notes
        self._noted_s[login] = now_s
        if len(self._noted_s) > self._most_noted:
            del self._noted_s[next(iter(self._noted_s))]
        task: asyncio.Task[object] = asyncio.create_task(self._write(login))
        self._tasks.add(task)  # asyncio itself forgets a task that nobody holds
        task.add_done_callback(self._ended)

    async def settle(self) -> None:
        """Wait until what is under way is written, or has failed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _write(self, login: LoginId) -> None:
        try:
            await self._database.row(TOUCH, login)
        except Unavailable:
            self._noted_s.pop(login, None)
            _log.warning("The use of a sign-in could not be noted; it will be with its next use.")

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()):
            _log.error("The use of a sign-in could not be noted.", exc_info=crash)
