"""The access store on Postgres: each call is one statement. Asyncio.

Overload and a database that does not answer: `Unavailable` (`omnisonic.stores.database.pool`). Shutdown: `aclose`, or
the owner of `Database` closes it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from omnisonic.identity.logins import TOUCH_S
from omnisonic.models import LoginId, MemberId, Person, RoomId
from omnisonic.models.checks import uuid_meant
from omnisonic.stores.database.pool import Database
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
from omnisonic.studio.access import AccessStore, Pass, Rechecked, Standing
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.wire.transport import Tempo

_STANDING: Final = """
-- $1 sign-in, $2 session, $3 the user's id that is wanted as member id; each may be NULL. Always one row.
SELECT session.id IS NOT NULL AS is_sessions, session.tempo_bpm, session.beats_per_bar,
    person.id::text AS id, person.name, person.email, person.image,
    CASE WHEN session.owner_id = person.id THEN 'owner' ELSE member.role END AS role,
    EXISTS (SELECT FROM users WHERE id = $3::uuid AND id IS DISTINCT FROM person.id) AS is_reserved
FROM (VALUES ($1::text)) AS asked (login)
LEFT JOIN sessions AS session ON session.id = $2::uuid
LEFT JOIN live_logins AS login ON login.id = asked.login
LEFT JOIN users AS person ON person.id = login.user_id
LEFT JOIN session_members AS member ON member.session_id = session.id AND member.user_id = person.id
"""

_RECHECK: Final = """
-- $1 sign-ins, $2 sessions and $3 whether as a listener, side by side, $4 after how long a use is noted again. The
-- places, from 1 on, of those that do not hold, or not in this role. Without a session only the sign-in must hold.
WITH pass AS MATERIALIZED (
    SELECT login, session, is_listener, place
    FROM unnest($1::text[], $2::uuid[], $3::boolean[]) WITH ORDINALITY AS pass (login, session, is_listener, place)
), held AS MATERIALIZED (
    SELECT pass.place, pass.login, coalesce(member.role = 'listener', false) AS is_listener
    FROM pass
    JOIN live_logins AS login ON login.id = pass.login
    LEFT JOIN session_members AS member ON member.session_id = pass.session AND member.user_id = login.user_id
    WHERE pass.session IS NULL OR member.user_id IS NOT NULL
), unnoted AS (
    -- One that is locked is being noted, or ended, by another transaction.
    SELECT id FROM logins WHERE id IN (SELECT login FROM held) AND seen_at < now() - $4::interval
    FOR NO KEY UPDATE SKIP LOCKED
), noted AS (
    UPDATE logins SET seen_at = now() FROM unnoted WHERE logins.id = unnoted.id
)
SELECT pass.place, held.place IS NULL AS is_lapsed FROM pass LEFT JOIN held ON held.place = pass.place
WHERE held.place IS NULL OR held.is_listener <> pass.is_listener ORDER BY pass.place
"""


class PostgresAccess:
    """An `AccessStore` in `database`, which `aclose` closes. The room of a session has the session's id.

    With `use`, `standing` notes that the sign-in is used.
    """

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use

    async def standing(
        self, room: RoomId, *, login: LoginId | None = None, member_id: MemberId | None = None
    ) -> Standing:
        session = uuid_meant(room)
        user = None if member_id is None else uuid_meant(member_id)
        row = await self._database.row(_STANDING, login, session, user)
        assert row is not None
        person = None if row["id"] is None else Person(row["id"], row["name"], row["email"], row["image"])
        if self._use is not None and login is not None and person is not None:
            self._use.note(login)
        return Standing(
            is_sessions=row["is_sessions"],
            person=person,
            role=row["role"] if room == session else None,
            is_reserved=row["is_reserved"],
            is_own=person is not None and person.id == user,
            tempo=Tempo(row["tempo_bpm"], row["beats_per_bar"]) if row["is_sessions"] else None,
        )

    async def recheck(self, passes: Sequence[Pass]) -> Rechecked:
        if not passes:
            return Rechecked()
        logins = [each.login for each in passes]
        sessions = [None if each.room is None else uuid_or_none(each.room) or NIL_UUID for each in passes]
        listening = [each.is_listener for each in passes]
        rows = await self._database.rows(_RECHECK, logins, sessions, listening, timedelta(seconds=TOUCH_S))
        return Rechecked(
            [passes[row["place"] - 1] for row in rows if row["is_lapsed"]],
            [passes[row["place"] - 1] for row in rows if not row["is_lapsed"]],
        )

    async def ping(self) -> None:
        await self._database.ping()

    async def aclose(self) -> None:
        await self._database.aclose()


_fits: type[AccessStore] = PostgresAccess
