"""Access on Postgres: one statement a question, however many passes it is about. Asyncio.

Overload and crash of the server: `Unavailable` (`omnisonic.database.pool`). Shutdown: `aclose`.
"""

from collections.abc import Sequence
from datetime import timedelta

from omnisonic.access import AccessStore, Pass
from omnisonic.database.pool import Database
from omnisonic.database.session_members import ADMIT, LAPSED
from omnisonic.database.uuids import uuid_or_none
from omnisonic.logins import TOUCH_S
from omnisonic.models import UserId


class PostgresAccess:
    """An `AccessStore` in `database`, which is its own: `aclose` closes it. A session's room is called by its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admit(self, asked: Pass) -> UserId | None:
        session = uuid_or_none(asked.room)
        row = None if session is None else await self._database.row(ADMIT, asked.login, session)
        return None if row is None else str(row[0])

    async def lapsed(self, passes: Sequence[Pass]) -> list[Pass]:
        if not passes:
            return []
        logins = [each.login for each in passes]
        sessions = [uuid_or_none(each.room) for each in passes]
        rows = await self._database.rows(LAPSED, logins, sessions, timedelta(seconds=TOUCH_S))
        return [passes[row[0] - 1] for row in rows]

    async def ping(self) -> None:
        await self._database.ping()

    async def aclose(self) -> None:
        await self._database.aclose()


_fits: type[AccessStore] = PostgresAccess
