"""The markers of sessions as their users see them: list, add, change, remove. The table `markers`.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Each method is one transaction:
it happens whole or not at all. Shutdown: whoever opened the database closes it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeAlias

from omnisonic.models import LoginId, SessionId, UserId
from omnisonic.models.markers import Marker, MarkerId
from omnisonic.stores.database.pool import Connection, Database
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import Tell, tell_nobody
from omnisonic.studio.activity.recording import lock_actor
from omnisonic.studio.markers import MarkerChange
from omnisonic.studio.markers.marker_changes import (
    COLUMNS,
    add_marker,
    change_marker,
    check_place,
    marker_from_row,
    read_marker,
    remove_marker,
)
from omnisonic.studio.sessions import ListenersChangeNothing, NoSuchSession
from omnisonic.studio.sessions.session_changes import lock_shared_session
from omnisonic.studio.sessions.session_statements import asked

Markers: TypeAlias = list[Marker]
"""An alias, because `list` is a method below."""

_LIST: Final = asked(f"""
-- One row at least, as soon as the sign-in holds.
SELECT {COLUMNS}, asked.session_id IS NOT NULL AS has_role
FROM asked LEFT JOIN markers AS marker ON marker.session_id = asked.session_id AND marker.removed_at IS NULL
ORDER BY marker.at_beat, marker.id
""")


class _Editor(NamedTuple):
    """A transaction of somebody who may change the session, which is locked."""

    connection: Connection
    session: SessionId
    user: UserId


class MarkerStore:
    """The markers in `database`.

    Args:
        database: An open pool.
        use: Notes that sign-ins are used; stores on the same database may share it.
        tell: Is told of what was recorded in the activity.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NotSignedIn: Every method, when the sign-in has ended.
        NoSuchSession: Every method, when the user has no role in the session.
        ListenersChangeNothing: Every method but `list`.
    """

    def __init__(self, database: Database, use: LoginUse | None = None, *, tell: Tell = tell_nobody) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._tell = tell

    async def list(self, login: LoginId, session: SessionId) -> Markers:
        """List the markers of a session in the order of their beats."""
        rows = await self._use.fetch_rows(_LIST, login, uuid_or_none(session))
        if not rows[0]["has_role"]:
            raise NoSuchSession
        return [marker_from_row(row) for row in rows if row["id"] is not None]

    async def add(
        self, login: LoginId, session: SessionId, name: str, at_beat: float, end_beat: float | None = None
    ) -> Marker:
        """Add a marker, or with an end a section.

        Raises:
            InvalidInput: `invalid_end_beat`.
            TooManyMarkers
        """
        async with self._editing(login, session) as editor:
            place = check_place(at_beat, end_beat)
            marker, events = await add_marker(editor.connection, editor.session, editor.user, name, place)
        await self._tell(events)
        return marker

    async def change(
        self, login: LoginId, session: SessionId, marker: MarkerId, change: MarkerChange
    ) -> tuple[Marker, bool]:
        """Rename or move a marker. The last of two at once is what it is then.

        Returns:
            The marker as it is now, and whether that is a change.

        Raises:
            InvalidInput: `invalid_end_beat`.
            NoSuchMarker
        """
        async with self._editing(login, session) as editor:
            found, _ = await read_marker(editor.connection, editor.session, marker)
            changed, events = await change_marker(editor.connection, editor.user, found, change)
        await self._tell(events)
        return changed, changed != found

    async def remove(self, login: LoginId, session: SessionId, marker: MarkerId) -> Marker:
        """Remove a marker. Returns it as it was. Errors: `NoSuchMarker`."""
        async with self._editing(login, session) as editor:
            found, _ = await read_marker(editor.connection, editor.session, marker)
            events = await remove_marker(editor.connection, editor.user, found)
        await self._tell(events)
        return found

    @asynccontextmanager
    async def _editing(self, login: LoginId, session: SessionId) -> AsyncIterator[_Editor]:
        """A transaction in which the user may change the session."""
        async with self._database.transaction() as connection:
            user = await lock_actor(connection, self._use, login)
            locked = await lock_shared_session(connection, login, session)
            if not locked["edits"]:
                raise ListenersChangeNothing
            yield _Editor(connection, locked["id"], user)
