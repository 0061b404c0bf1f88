"""Access on Postgres: one statement a question, however many passes it is about. Asyncio.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.database.pool`). Shutdown: `aclose`, or whoever
opened the database closes it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from omnisonic.identity.logins import TOUCH_S
from omnisonic.models import LoginId, MemberId, Person, RoomId, uuid_meant
from omnisonic.stores.database.pool import Database
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.access import AccessStore, Pass, Standing
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions.member_statements import LAPSED, STANDING

_NO_SESSION: Final = "00000000-0000-0000-0000-000000000000"


class PostgresAccess:
    """An `AccessStore` in `database`; `aclose` closes it. A session's room is called by its id.

    With `use` it notes that a sign-in is used when it is asked about one.
    """

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use

    async def standing(
        self, room: RoomId, *, login: LoginId | None = None, member_id: MemberId | None = None
    ) -> Standing:
        session = uuid_meant(room)
        user = None if member_id is None else uuid_meant(member_id)
        row = await self._database.row(STANDING, login, session, user)
        assert row is not None
        person = None if row["id"] is None else Person(row["id"], row["name"], row["email"], row["image"])
        if self._use is not None and login is not None and person is not None:
            self._use.note(login)
        return Standing(
            is_sessions=row["is_sessions"],
            person=person,
            has_role=row["has_role"] and room == session,
            is_reserved=row["is_reserved"],
            is_own=person is not None and person.id == user,
        )

    async def lapsed(self, passes: Sequence[Pass]) -> list[Pass]:
        if not passes:
            return []
        logins = [each.login for each in passes]
        sessions = [None if each.room is None else uuid_or_none(each.room) or _NO_SESSION for each in passes]
        rows = await self._database.rows(LAPSED, logins, sessions, timedelta(seconds=TOUCH_S))
        return [passes[row[0] - 1] for row in rows]

    async def ping(self) -> None:
        await self._database.ping()

    async def aclose(self) -> None:
        await self._database.aclose()


_fits: type[AccessStore] = PostgresAccess
