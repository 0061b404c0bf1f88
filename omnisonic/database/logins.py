"""The table `logins`, and the view of those that hold; and how their use is noted without a write a request."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from omnisonic.database.pool import Database
from omnisonic.errors import Unavailable
from omnisonic.logins import TOUCH_S
from omnisonic.models import LoginId

NOTED: Final = 10_000
"""Most sign-ins whose last note is remembered; beyond that the longest unused are noted again too early."""

OPEN: Final = """
-- $1 sign-in, $2 user, $3 the sign-in that ends by it, or NULL.
WITH ended AS (
    DELETE FROM logins WHERE id = $3
)
INSERT INTO logins (id, user_id) VALUES ($1, $2)
"""

END: Final = """
-- $1 sign-in. One that has run out is none; it is swept.
DELETE FROM live_logins WHERE id = $1 RETURNING true
"""

SIGNED_IN: Final = """
-- $1 sign-in.
SELECT person.id::text, person.name, person.email, person.image, login.expires_at
FROM live_logins AS login JOIN users AS person ON person.id = login.user_id
WHERE login.id = $1
"""

TOUCH: Final = """
-- $1 sign-in. One that has run out stays so.
UPDATE live_logins SET seen_at = now() WHERE id = $1
"""

SWEEP: Final = """
-- $1 idle for how long, $2 how many at most. One that is too old is idle soon enough, since it cannot be used any more.
WITH old AS (
    SELECT id FROM logins WHERE seen_at <= now() - $1::interval ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM logins USING old WHERE logins.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
"""

_log = logging.getLogger(__name__)


class LoginUse:
    """Notes in the database that sign-ins are used: each at most every `TOUCH_S`, beside what is asked, not before it.

    `clock` tells monotonic seconds. Overload: one short statement a sign-in and five minutes. Crash: a note that fails
    is logged, and made again with the next use; no request fails for it. Shutdown: a note that is under way is lost
    with its loop, which costs the sign-in five minutes of its twelve hours at most.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
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
        if len(self._noted_s) > NOTED:
            del self._noted_s[next(iter(self._noted_s))]
        task: asyncio.Task[object] = asyncio.create_task(self._write(login))
        self._tasks.add(task)  # asyncio itself forgets a task that nobody holds
        task.add_done_callback(self._tasks.discard)

    async def _write(self, login: LoginId) -> None:
        try:
            await self._database.row(TOUCH, login)
        except Unavailable:
            self._noted_s.pop(login, None)
            _log.warning("The use of a sign-in could not be noted; it will be with its next use.")
