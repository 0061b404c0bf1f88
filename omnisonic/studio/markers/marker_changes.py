"""Changes of markers, and their undo, for use in a transaction that has locked the session. The table `markers`.

The lock of the session orders all changes of its markers. Each change is recorded in the activity.
"""

from typing import Final

from msgspec import UNSET

from omnisonic.errors import InvalidInput
from omnisonic.models import SessionId, UserId
from omnisonic.models.activity import REMOVED, ActivityEvent, ActivityField, ActivityId, ActivityKind, ActivityValue
from omnisonic.models.markers import Marker, MarkerId
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.activity.recording import record
from omnisonic.studio.markers import (
    MOST_MARKERS,
    MOST_REMOVED,
    SHORTEST_SECTION_BEATS,
    MarkerChange,
    NoSuchMarker,
    Place,
    TooManyMarkers,
)

NAME: Final = "name"
PLACE: Final = "place"
"""The fields of a marker that are recorded."""

COLUMNS: Final = """marker.id::text, marker.session_id::text, marker.name, marker.at_beat, marker.end_beat,
    marker.created_at, marker.updated_at"""
"""What `marker_from_row` reads."""

_ADD: Final = f"""
-- $1 session, $2 name, $3 beat, $4 its end, $5 how many a session may have. No row when it has as many.
INSERT INTO markers AS marker (session_id, name, at_beat, end_beat)
SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM markers WHERE session_id = $1 AND removed_at IS NULL) < $5
RETURNING {COLUMNS}
"""

_READ: Final = f"""
-- $1 session, $2 marker.
SELECT {COLUMNS}, marker.removed_at IS NOT NULL AS is_removed FROM markers AS marker
WHERE session_id = $1 AND id = $2
"""

_CHANGE: Final = f"""
-- $1 marker, $2 name, $3 beat, $4 its end.
UPDATE markers AS marker SET name = $2, at_beat = $3, end_beat = $4, updated_at = clock_timestamp()
WHERE id = $1 RETURNING {COLUMNS}
"""

_REMOVE: Final = "UPDATE markers SET removed_at = clock_timestamp() WHERE id = $1"

_TRIM: Final = """
-- $1 session, $2 how many removed ones are kept.
DELETE FROM markers WHERE id IN (
    SELECT id FROM markers WHERE session_id = $1 AND removed_at IS NOT NULL
    ORDER BY removed_at DESC, id DESC OFFSET $2
)
"""

_RESTORE: Final = """
-- $1 marker, $2 how many a session may have. No row when it has as many.
UPDATE markers AS marker SET removed_at = NULL
WHERE id = $1 AND (
    SELECT count(*) FROM markers AS other WHERE other.session_id = marker.session_id AND other.removed_at IS NULL
) < $2
RETURNING id
"""


def check_place(at_beat: float, end_beat: float | None) -> Place:
    """The place, if a section can be there. Raises `InvalidInput` (`invalid_end_beat`)."""
    if end_beat is not None and end_beat - at_beat < SHORTEST_SECTION_BEATS:
        message = f"endBeat must be at least {SHORTEST_SECTION_BEATS} beats after atBeat."
        raise InvalidInput(message, code="invalid_end_beat")
    return Place(at_beat, end_beat)


async def add_marker(
    connection: Connection, session: SessionId, actor: UserId, name: str, place: Place
) -> tuple[Marker, list[ActivityEvent]]:
    """Add a marker. Errors: `TooManyMarkers`."""
    row = await connection.fetchrow(_ADD, session, name, place.at_beat, place.end_beat, MOST_MARKERS)
    if row is None:
        raise TooManyMarkers
    marker = marker_from_row(row)
    return marker, await _record(connection, actor, marker, "marker.added")


async def read_marker(
    connection: Connection, session: SessionId, marker: MarkerId, *, removed: bool = False
) -> tuple[Marker, bool]:
    """A marker of the session as it is now, and whether it is removed. `removed`: also one that is.

    Raises:
        NoSuchMarker
    """
    row = await connection.fetchrow(_READ, session, uuid_or_none(marker))
    if row is None or (row["is_removed"] and not removed):
        raise NoSuchMarker
    return marker_from_row(row), row["is_removed"]


async def change_marker(
    connection: Connection, actor: UserId, marker: Marker, change: MarkerChange, *, undoes: ActivityId | None = None
) -> tuple[Marker, list[ActivityEvent]]:
    """Change a marker. A new name is an event, and so is a new place.

    Raises:
        InvalidInput: `invalid_end_beat`: no section can be there.
    """
    name = marker.name if change.name is UNSET else change.name
    place = check_place(
        marker.at_beat if change.at_beat is UNSET else change.at_beat,
        marker.end_beat if change.end_beat is UNSET else change.end_beat,
    )
    if (name, place) == (marker.name, Place(marker.at_beat, marker.end_beat)):
        return marker, []
    row = await connection.fetchrow(_CHANGE, marker.id, name, place.at_beat, place.end_beat)
    assert row is not None
    changed, events = marker_from_row(row), list[ActivityEvent]()
    fields: tuple[ActivityField, ...] = (NAME, PLACE)
    for field in fields:
        before, after = value_of(marker, field), value_of(changed, field)
        if before != after:
            values = field, before, after
            events += await _record(connection, actor, marker, "marker.changed", values, undoes)
    return changed, events


async def remove_marker(
    connection: Connection, actor: UserId, marker: Marker, *, undoes: ActivityId | None = None
) -> list[ActivityEvent]:
    """Remove a marker."""
    await connection.execute(_REMOVE, marker.id)
    await connection.execute(_TRIM, marker.session_id, MOST_REMOVED)
    return await _record(connection, actor, marker, "marker.removed", (REMOVED, False, True), undoes)


async def restore_marker(
    connection: Connection, actor: UserId, marker: Marker, *, undoes: ActivityId | None = None
) -> list[ActivityEvent]:
    """Bring a removed marker back. Errors: `TooManyMarkers`."""
    if await connection.fetchrow(_RESTORE, marker.id, MOST_MARKERS) is None:
        raise TooManyMarkers
    return await _record(connection, actor, marker, "marker.restored", (REMOVED, True, False), undoes)


def value_of(marker: Marker, field: ActivityField) -> ActivityValue:
    """The value of a field as it is recorded."""
    if field == NAME:
        return marker.name
    return [marker.at_beat] if marker.end_beat is None else [marker.at_beat, marker.end_beat]


def change_to(field: ActivityField, value: ActivityValue) -> MarkerChange:
    """The change that gives a field a recorded value."""
    if isinstance(value, list):
        at_beat, *rest = value
        return MarkerChange(at_beat=at_beat, end_beat=rest[0] if rest else None)
    assert field == NAME
    return MarkerChange(name=str(value))


async def _record(
    connection: Connection,
    actor: UserId,
    marker: Marker,
    kind: ActivityKind,
    change: tuple[ActivityField, ActivityValue, ActivityValue] | None = None,
    undoes: ActivityId | None = None,
) -> list[ActivityEvent]:
    return await record(
        connection,
        session=marker.session_id,
        actor=actor,
        kind=kind,
        subject=marker.id,
        name=marker.name,
        change=change,
        undoes=undoes,
    )


def marker_from_row(row: Row) -> Marker:
    """The marker in a row with `COLUMNS`."""
    return Marker(**{field: row[field] for field in Marker.__struct_fields__})
