"""The links to mixdowns as the members of their sessions see them: make, list, change, revoke. The table `shares`.

Everybody with a role in the session sees its links; its owner and editors make, change and revoke them. Making one
locks the row of the mixdown, so that two at once cannot both take the last place.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Each method is one transaction:
it happens completely or not at all. Shutdown: whoever opened the database closes it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from omnisonic.models import ExportId, LoginId, UserId
from omnisonic.models.activity import ActivityEvent, ActivityKind
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import SOMEBODY, Tell, tell_nobody
from omnisonic.studio.activity.recording import NAME_OF, lock_actor, record
from omnisonic.studio.exports import NoSuchExport
from omnisonic.studio.sessions import ListenersChangeNothing
from omnisonic.studio.shares import (
    MOST_ENDED,
    MOST_SHARES,
    PLAYABLE,
    ExportNotCompleted,
    NoSuchShare,
    NotPlayable,
    Share,
    ShareId,
    Sharer,
    ShareTerms,
    TooManyShares,
    expiry_of,
)

HOLDS: Final = "share.revoked_at IS NULL AND share.expires_at > now()"

_COLUMNS: Final = f"""share.id::text, share.export_id::text, share.created_at, share.expires_at, share.download,
    share.comments, share.plays, share.user_id::text AS sharer_id, {NAME_OF.format(person="sharer")} AS sharer_name"""

_LOCK_SESSION: Final = """
-- $1 export. Its session is not deleted before the transaction ends.
SELECT FROM sessions WHERE id = (SELECT session_id FROM exports WHERE id = $1) FOR KEY SHARE
"""

_LOCK_EXPORT: Final = """
-- $1 user, $2 export. No row when the user may not see such an export.
SELECT export.id::text, export.session_id::text, export.file_name, export.format,
    export.status = 'completed' AS is_completed, member.role = 'editor' AS edits
FROM exports AS export
JOIN session_members AS member ON member.session_id = export.session_id AND member.user_id = $1
WHERE export.id = $2
FOR NO KEY UPDATE OF export
"""

_CREATE: Final = f"""
-- $1 export, $2 user, $3 digest, $4 when it ends, $5 download, $6 comments, $7 most links. No row when as many hold.
WITH share AS (
    INSERT INTO shares (export_id, user_id, digest, expires_at, download, comments)
    SELECT $1::uuid, $2::uuid, $3, $4, $5, $6
    WHERE (SELECT count(*) FROM shares AS share WHERE export_id = $1 AND {HOLDS}) < $7
    RETURNING *
)
SELECT {_COLUMNS} FROM share LEFT JOIN users AS sharer ON sharer.id = share.user_id
"""

_DROP_ENDED: Final = f"""
-- $1 export, $2 how many that have ended are kept.
DELETE FROM shares WHERE id IN (
    SELECT id FROM shares AS share WHERE export_id = $1 AND NOT ({HOLDS})
    ORDER BY created_at DESC, id DESC OFFSET $2
)
"""

_REQUEST_PREVIEW: Final = """
-- $1 export.
UPDATE exports SET preview_due_at = now(), preview_tries = 0
WHERE id = $1 AND preview_due_at IS NULL
    AND NOT EXISTS (SELECT FROM export_previews WHERE export_id = exports.id)
"""

_LIST: Final = f"""
-- $1 sign-in, $2 export. Those that hold, the newest first. One row at least, as soon as the sign-in holds.
SELECT {_COLUMNS}, member.user_id IS NOT NULL AS is_visible
FROM live_logins AS login
LEFT JOIN exports AS export ON export.id = $2
LEFT JOIN session_members AS member ON member.session_id = export.session_id AND member.user_id = login.user_id
LEFT JOIN shares AS share ON share.export_id = export.id AND member.user_id IS NOT NULL AND {HOLDS}
LEFT JOIN users AS sharer ON sharer.id = share.user_id
WHERE login.id = $1
ORDER BY share.created_at DESC, share.id DESC
"""

_CHANGE: Final = f"""
-- $1 export, $2 share, $3 download, $4 comments; NULL stays.
WITH share AS (
    UPDATE shares AS share SET download = coalesce($3, download), comments = coalesce($4, comments)
    WHERE export_id = $1 AND id = $2 AND {HOLDS} RETURNING *
)
SELECT {_COLUMNS} FROM share LEFT JOIN users AS sharer ON sharer.id = share.user_id
"""

_REVOKE: Final = f"""
-- $1 export, $2 share.
UPDATE shares AS share SET revoked_at = now() WHERE export_id = $1 AND id = $2 AND {HOLDS} RETURNING id
"""


class ShareStore:
    """The links in `database`.

    Every method may raise `NotSignedIn` and `Unavailable`, and `NoSuchExport` when the user has no role in the session
    of the export. Methods that change something raise `ListenersChangeNothing` for listeners.

    Args:
        database: Where the table is.
        use: Notes the use of sign-ins; shared with other stores.
        tell: Is told of the events in sessions that were recorded.
        clock: The time now.
    """

    def __init__(
        self,
        database: Database,
        use: LoginUse | None = None,
        *,
        tell: Tell = tell_nobody,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._tell = tell
        self._clock = clock

    async def create(self, login: LoginId, export: ExportId, digest: str, terms: ShareTerms) -> Share:
        """Make a link to a finished mixdown, whose token has this digest, and have its preview made.

        Raises:
            NotPlayable, ExportNotCompleted
            InvalidInput: `expires_at` is no time, or too far away.
            TooManyShares: There are `MOST_SHARES` that hold.
        """
        async with self._database.transaction() as connection:
            user, locked = await self._lock(connection, login, export)
            if locked["format"] not in PLAYABLE:
                raise NotPlayable
            if not locked["is_completed"]:
                raise ExportNotCompleted
            expires_at = expiry_of(terms.expires_at, self._clock())
            values = digest, expires_at, terms.download, terms.comments, MOST_SHARES
            row = await connection.fetchrow(_CREATE, locked["id"], user, *values)
            if row is None:
                raise TooManyShares
            await connection.execute(_DROP_ENDED, locked["id"], MOST_ENDED)
            await connection.execute(_REQUEST_PREVIEW, locked["id"])
            share = _share_of(row)
            events = await _record(connection, user, locked, share.id, "share.added")
        await self._tell(events)
        return share

    async def list(self, login: LoginId, export: ExportId) -> list[Share]:
        """List the links to a mixdown that hold, newest first."""
        rows = await self._use.fetch_rows(_LIST, login, uuid_or_none(export))
        if not rows[0]["is_visible"]:
            raise NoSuchExport
        return [_share_of(row) for row in rows if row["id"] is not None]

    async def change(
        self, login: LoginId, export: ExportId, share: ShareId, *, download: bool | None, comments: bool | None
    ) -> Share:
        """Change what a link allows; None stays. Raises `NoSuchShare`, also when it has ended."""
        async with self._database.transaction() as connection:
            _, locked = await self._lock(connection, login, export)
            row = await connection.fetchrow(_CHANGE, locked["id"], uuid_or_none(share), download, comments)
        if row is None:
            raise NoSuchShare
        return _share_of(row)

    async def revoke(self, login: LoginId, export: ExportId, share: ShareId) -> None:
        """Revoke a link: it does not play any more. Raises `NoSuchShare`, also when it has ended."""
        async with self._database.transaction() as connection:
            user, locked = await self._lock(connection, login, export)
            if await connection.fetchrow(_REVOKE, locked["id"], uuid_or_none(share)) is None:
                raise NoSuchShare
            events = await _record(connection, user, locked, share, "share.removed")
        await self._tell(events)

    async def _lock(self, connection: Connection, login: LoginId, export: ExportId) -> tuple[UserId, Row]:
        """Lock the export for somebody who may change its links."""
        export_id = uuid_or_none(export)
        user = await lock_actor(connection, self._use, login)
        await connection.execute(_LOCK_SESSION, export_id)
        locked = await connection.fetchrow(_LOCK_EXPORT, user, export_id)
        if locked is None:
            raise NoSuchExport
        if not locked["edits"]:
            raise ListenersChangeNothing
        return user, locked


async def _record(
    connection: Connection, user: UserId, locked: Row, share: ShareId, kind: ActivityKind
) -> list[ActivityEvent]:
    return await record(
        connection, session=locked["session_id"], actor=user, kind=kind, subject=share, name=locked["file_name"]
    )


def _share_of(row: Row) -> Share:
    sharer = None if row["sharer_id"] is None else Sharer(row["sharer_id"], row["sharer_name"] or SOMEBODY)
    own = {field: row[field] for field in Share.__struct_fields__ if field != "shared_by"}
    return Share(**own, shared_by=sharer)
