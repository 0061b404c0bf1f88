"""When sign-ins were last used, written at most once every `TOUCH_S` for each, in a task of its own.

Overload: one short statement for each sign-in in five minutes. Crash: a write that fails is logged and done again with
the next use; no request fails for it. Shutdown: a write under way is lost, which costs the sign-in at most five minutes
of its twelve hours.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.identity.logins import TOUCH_S
from omnisonic.models import LoginId
from omnisonic.stores.database.pool import Database, Row
from omnisonic.studio.accounts.account_statements import TOUCH_LOGIN
from omnisonic.studio.sessions import NotSignedIn

NOTED: Final = 10_000
"""Most sign-ins whose last write is remembered. Beyond that, the oldest are forgotten and written again too early."""

_log = logging.getLogger(__name__)


class LoginUse:
    """Runs statements on behalf of a sign-in, and writes down that it is used. It belongs to the loop that uses it.

    `clock` returns monotonic seconds.
    """

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.monotonic, *, most_noted: int = NOTED
    ) -> None:
        self._database = database
        self._clock = clock
        self._most_noted = most_noted
        self._noted_s: dict[LoginId, float] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def note(self, login: LoginId) -> None:
        """Write down, soon, that `login` is used now. The sign-in must be known to hold."""
        now_s = self._clock()
        noted_s = self._noted_s.get(login)
        if noted_s is not None and now_s - noted_s < TOUCH_S:
            return
        self._noted_s.pop(login, None)  # so that the dictionary is in the order of the notes
        self._noted_s[login] = now_s
        if len(self._noted_s) > self._most_noted:
            del self._noted_s[next(iter(self._noted_s))]
        task: asyncio.Task[object] = asyncio.create_task(self._write(login))
        self._tasks.add(task)  # asyncio itself drops a task that nothing refers to
        task.add_done_callback(self._finish_write)

    async def fetch_row(self, statement: str, login: LoginId, *values: object) -> Row:
        """The one row of a statement that returns one as long as the sign-in holds. `login` is its first value.

        Raises:
            NotSignedIn: There is no row, so the sign-in has ended.
            Unavailable: The database does not answer.
        """
        return (await self.fetch_rows(statement, login, *values))[0]

    async def fetch_rows(self, statement: str, login: LoginId, *values: object) -> list[Row]:
        """All rows of a statement that returns at least one as long as the sign-in holds. Errors: as `fetch_row`."""
        rows = await self._database.rows(statement, login, *values)
        if not rows:
            raise NotSignedIn
        self.note(login)
        return rows

    async def settle(self) -> None:
        """Wait until all writes under way have ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _write(self, login: LoginId) -> None:
        try:
            await self._database.row(TOUCH_LOGIN, login)
        except Unavailable:
            self._noted_s.pop(login, None)
            _log.warning("The use of a sign-in could not be noted; it will be with its next use.")

    def _finish_write(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()):
            _log.error("The use of a sign-in could not be noted.", exc_info=crash)
