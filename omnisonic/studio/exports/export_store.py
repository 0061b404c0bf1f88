"""The exports of sessions as users see them: request, list, read and remove. The table `exports` in Postgres.

Every user with a role in the session may see its exports; a listener requests and removes none. `due_at` is NULL for
exports that are completed or failed.
A request locks the rows of the session and of the user, so that two requests at once cannot both take the last place.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Each method is one transaction:
it happens completely or not at all. Shutdown: whoever opened the database closes it.
"""

from typing import Final

from asyncpg.exceptions import ForeignKeyViolationError

from omnisonic.models import Export, ExportFormat, ExportId, LoginId, SessionId, UserId
from omnisonic.models.activity import ActivityEvent, ActivityKind
from omnisonic.observability.trace_context import current_trace
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import Tell, tell_nobody
from omnisonic.studio.activity.recording import lock_actor, record
from omnisonic.studio.archives.file_names import safe_name
from omnisonic.studio.exports import (
    LONGEST_LIST,
    NoSuchExport,
    RequesterOnly,
    StoredExport,
    TooManyExports,
    TooManyExportsOfUser,
)
from omnisonic.studio.sessions import ListenersChangeNothing, NoSuchSession, NotSignedIn
from omnisonic.studio.sessions.session_statements import asked
from omnisonic.studio.uploads.upload_statements import LOCK_USER

FALLBACK_NAME: Final = "Mixdown"
"""The file name when nothing is left of the session's name."""
STEMS_ENDING: Final = " stems.zip"
"""Of the file name of stems, after the session's name."""

COLUMNS: Final = """export.id::text, export.session_id::text, export.user_id::text, export.format, export.status,
    export.progress, export.error_message, export.file_name, export.file_size, export.duration_seconds,
    export.loudness_lufs, export.peak_dbfs, export.created_at, export.completed_at, export.warning,
    export.object_key, export.sha256"""
"""What `export_from_row` reads."""

_IS_SHARED: Final = """EXISTS (
        SELECT FROM session_members AS member
        WHERE member.session_id = export.session_id AND member.user_id = login.user_id
    )"""

_LOCK_SESSION: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id, session.name FROM sessions AS session JOIN asked ON asked.session_id = session.id
    FOR NO KEY UPDATE OF session
)
-- The name is NULL when the user has no role in the session.
SELECT asked.user_id, asked.edits, locked.name FROM asked LEFT JOIN locked ON true
""")

_CREATE: Final = f"""
-- $1 session, $2 user, $3 format, $4 file name, $5 how many may be in the making, 0 for any, $6 trace. No row when as
-- many are.
INSERT INTO exports AS export (session_id, user_id, format, file_name, trace)
SELECT $1::uuid, $2::uuid, $3::text, $4::text, $6::text
WHERE $5::int = 0 OR (SELECT count(*) FROM exports WHERE session_id = $1 AND due_at IS NOT NULL) < $5
RETURNING {COLUMNS}
"""

_COUNT_OF_USER: Final = """
-- $1 user. How many of theirs are in the making. The user's row is locked before.
SELECT count(*) FROM exports WHERE user_id = $1 AND due_at IS NOT NULL
"""

_LOCK_SESSION_OF: Final = """
-- $1 export. Its session is not deleted before the transaction ends.
SELECT FROM sessions WHERE id = (SELECT session_id FROM exports WHERE id = $1) FOR KEY SHARE
"""

_GET: Final = f"""
-- $1 sign-in, $2 export. One row when the sign-in is valid; NULLs when the user may not see such an export.
SELECT {COLUMNS}
FROM live_logins AS login LEFT JOIN exports AS export ON export.id = $2 AND {_IS_SHARED}
WHERE login.id = $1
"""

_LIST: Final = asked(f"""
-- $3 how many.
SELECT {COLUMNS}, asked.session_id IS NOT NULL AS has_role
FROM asked
LEFT JOIN LATERAL (
    SELECT * FROM exports WHERE session_id = asked.session_id ORDER BY created_at DESC, id DESC LIMIT $3
) AS export ON true
ORDER BY export.created_at DESC, export.id DESC
""")

_REMOVE: Final = f"""
-- $1 sign-in, $2 export. One row when the sign-in is valid: the deleted export, or NULLs and why.
WITH asked AS MATERIALIZED (
    SELECT export.id, session.owner_id = login.user_id OR (
        member.role = 'editor' AND coalesce(export.user_id = login.user_id, false)
    ) AS may, member.role = 'listener' AS is_listener
    FROM live_logins AS login
    LEFT JOIN exports AS export ON export.id = $2 AND {_IS_SHARED}
    LEFT JOIN sessions AS session ON session.id = export.session_id
    LEFT JOIN session_members AS member ON member.session_id = session.id AND member.user_id = login.user_id
    WHERE login.id = $1
), export AS (
    DELETE FROM exports AS export USING asked WHERE export.id = asked.id AND asked.may RETURNING export.*
)
SELECT {COLUMNS}, asked.id IS NOT NULL AS is_visible, coalesce(asked.may, false) AS may_remove,
    coalesce(asked.is_listener, false) AS is_listener
FROM asked LEFT JOIN export ON true
"""


class ExportStore:
    """The exports in `database`, as their users see them.

    Every method may raise `NotSignedIn` and `Unavailable`. Methods that take an export raise `NoSuchExport`, methods
    that take a session `NoSuchSession`, when the user has no role in the session. An id that is no UUID exists nowhere.

    Args:
        database: Where the table is.
        use: Notes the use of sign-ins; shared with other stores.
        most_active: How many exports of a session may be in the making; 0 for any number.
        most_active_of_user: How many exports one user may have in the making, in all sessions; 0 for any number.
        tell: Is told of the events in sessions that were recorded.
    """

    def __init__(
        self,
        database: Database,
        use: LoginUse | None = None,
        *,
        most_active: int = 0,
        most_active_of_user: int = 0,
        tell: Tell = tell_nobody,
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._most_active = most_active
        self._most_active_of_user = most_active_of_user
        self._tell = tell

    async def create(self, login: LoginId, session: SessionId, format_: ExportFormat) -> Export:
        """Request an export. It is `pending` at first.

        Raises:
            ListenersChangeNothing
            TooManyExports: The session has `most_active` in the making.
            TooManyExportsOfUser: The user has `most_active_of_user` in the making.
        """
        session_id = uuid_or_none(session)
        try:
            async with self._database.transaction() as connection:
                found = await connection.fetchrow(_LOCK_SESSION, login, session_id)
                if found is None:
                    raise NotSignedIn
                self._use.note(login)
                if found["name"] is None:
                    raise NoSuchSession
                if not found["edits"]:
                    raise ListenersChangeNothing
                await self._check_user(connection, found["user_id"])
                values = session_id, found["user_id"], format_, file_name_of(found["name"], format_), self._most_active
                row = await connection.fetchrow(_CREATE, *values, current_trace())
                if row is None:
                    raise TooManyExports(self._most_active)
                export = export_from_row(row).export
                events = await _record(connection, found["user_id"], export, "export.requested")
        except ForeignKeyViolationError:
            raise NotSignedIn from None  # the account was deleted just now; the session is locked
        await self._tell(events)
        return export

    async def get(self, login: LoginId, export: ExportId) -> StoredExport:
        """Read one export."""
        row = await self._fetch_one(_GET, login, uuid_or_none(export))
        if row["id"] is None:
            raise NoSuchExport
        return export_from_row(row)

    async def list(self, login: LoginId, session: SessionId) -> list[Export]:
        """List the exports of a session, newest first, at most `LONGEST_LIST`."""
        rows = await self._database.rows(_LIST, login, uuid_or_none(session), LONGEST_LIST)
        if not rows:
            raise NotSignedIn
        self._use.note(login)
        if not rows[0]["has_role"]:
            raise NoSuchSession
        return [export_from_row(row).export for row in rows if row["id"] is not None]

    async def remove(self, login: LoginId, export: ExportId) -> StoredExport:
        """Delete an export, finished or not. Its file becomes unreferenced and is due for deletion.

        Of several calls at once one succeeds.

        Raises:
            ListenersChangeNothing
            RequesterOnly: Somebody else requested it, and the user does not own the session.
        """
        export_id = uuid_or_none(export)
        async with self._database.transaction() as connection:
            user = await lock_actor(connection, self._use, login)
            await connection.execute(_LOCK_SESSION_OF, export_id)
            row = await connection.fetchrow(_REMOVE, login, export_id)
            if row is None:
                raise NotSignedIn
            if row["is_listener"]:
                raise ListenersChangeNothing
            if row["id"] is None:
                raise RequesterOnly if row["is_visible"] and not row["may_remove"] else NoSuchExport
            removed = export_from_row(row)
            events = await _record(connection, user, removed.export, "export.removed")
        await self._tell(events)
        return removed

    async def _check_user(self, connection: Connection, user: UserId) -> None:
        """Check that the user may request one more, and lock their row until the transaction ends."""
        if not self._most_active_of_user:
            return
        await connection.execute(LOCK_USER, user)
        if await connection.fetchval(_COUNT_OF_USER, user) >= self._most_active_of_user:
            raise TooManyExportsOfUser(self._most_active_of_user)

    async def _fetch_one(self, statement: str, login: LoginId, *values: object) -> Row:
        """Fetch the row of a statement that has one whenever the sign-in is valid. Raises `NotSignedIn`."""
        row = await self._database.row(statement, login, *values)
        if row is None:
            raise NotSignedIn
        self._use.note(login)
        return row


async def _record(connection: Connection, user: UserId, export: Export, kind: ActivityKind) -> list[ActivityEvent]:
    return await record(
        connection, session=export.session_id, actor=user, kind=kind, subject=export.id, name=export.file_name
    )


def export_from_row(row: Row) -> StoredExport:
    """The export in a row with `COLUMNS`."""
    export = Export(*[row[field] for field in Export.__struct_fields__])
    return StoredExport(export, row["object_key"], row["sha256"])


def file_name_of(session_name: str, format_: ExportFormat) -> str:
    """The name of an export's file, such as `Night jam.wav`. Valid on every file system."""
    return safe_name(session_name, FALLBACK_NAME) + (STEMS_ENDING if format_ == "stems" else f".{format_}")
