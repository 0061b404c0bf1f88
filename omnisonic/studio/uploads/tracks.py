"""Tracks: name, order and takes of the uploads in a session, in the table `tracks`. For use in a transaction.

Every upload has a track of its own, with its id. As a take of another track it leaves its own one empty, and finds it
there again when it is split off. So a track stays whole whichever of its takes goes.

Which take is heard follows from what is there: the chosen one, or else the newest one that is not in the bin. So there
is exactly one, also after uploads were deleted by whatever way. `keep_heard` makes that take the chosen one before a
take comes that is newer.

The caller has locked the upload and its track (`upload_changes.lock_upload`).
"""

from typing import Final
from uuid import uuid4

from omnisonic.models import SessionId, TrackId, UploadId
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.uploads import LEAST_GAP, POSITION, LeftTrack, Mix, NoSuchTrack, default_track_name
from omnisonic.studio.uploads.upload_statements import HEARD_IN

_LOCK_SESSION: Final = "SELECT FROM sessions WHERE id = $1 FOR KEY SHARE"

_LOCK: Final = "SELECT FROM tracks WHERE id = $1 FOR NO KEY UPDATE"

_FIND: Final = """
-- $1 session, $2 a track or an upload. The track, or that of the upload, when it has an upload that is not in the bin.
SELECT upload.track_id::text FROM uploads AS upload
WHERE upload.session_id = $1 AND upload.removed_at IS NULL AND (upload.track_id = $2 OR upload.id = $2)
ORDER BY upload.track_id = $2 DESC LIMIT 1
"""

_OPEN: Final = f"""
-- $1 upload, $2 name, $3 its session or NULL. The own track of the upload, after all others of the session.
INSERT INTO tracks (id, name, position, chosen_id)
SELECT $1, $2, least(coalesce(max(track.position), 0) + 1, {POSITION[1]}), $1
FROM uploads AS upload JOIN tracks AS track ON track.id = upload.track_id
WHERE upload.session_id = $3 AND upload.removed_at IS NULL
"""

_COPY: Final = """
-- $1 track, $2 one that may not be there yet, $3 the upload for which it is.
INSERT INTO tracks (id, name, position, chosen_id) SELECT $2, name, position, $3 FROM tracks WHERE id = $1
ON CONFLICT (id) DO NOTHING
"""

_MAKE_AGAIN: Final = """
-- $1 track, $2 name, $3 position, $4 the upload for which it is.
INSERT INTO tracks (id, name, position, chosen_id) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING
"""

_KEEP_HEARD: Final = f"""
-- $1 track, $2 an upload that stays chosen if it was, or NULL.
UPDATE tracks SET chosen_id = heard.id
FROM (SELECT {HEARD_IN.format(track="$1::uuid")} AS id) AS heard
WHERE tracks.id = $1 AND tracks.chosen_id <> heard.id AND tracks.chosen_id IS DISTINCT FROM $2::uuid
"""

_NEIGHBOURS: Final = """
-- $1 upload, $2 its track. Whether nothing else is heard or could be in its track, and whether nobody else has its own.
SELECT NOT EXISTS (
    SELECT FROM uploads WHERE track_id = $2 AND id <> $1 AND removed_at IS NULL
) AS is_alone, NOT EXISTS (SELECT FROM uploads WHERE track_id = $1 AND id <> $1) AS is_own_free
"""

_MOVE: Final = "UPDATE uploads SET track_id = $2 WHERE id = $1"

_CHANGE: Final = """
-- $1 track, $2 name, $3 position, $4 the upload that is chosen; NULL leaves a value.
UPDATE tracks SET name = coalesce($2, name), position = coalesce($3, position), chosen_id = coalesce($4, chosen_id)
WHERE id = $1
"""

_NUMBER: Final = """
-- $1 session, $2 the least gap. Numbers its tracks again when two of them are closer. It waits for no other
-- transaction, so that two never wait for each other: if one has a track now, the next move numbers them.
WITH shown AS MATERIALIZED (
    SELECT track_id AS id, min(created_at) AS begun_at FROM uploads
    WHERE session_id = $1 AND removed_at IS NULL GROUP BY track_id
), gaps AS MATERIALIZED (
    SELECT position - lag(position) OVER (ORDER BY position) AS gap FROM tracks WHERE id IN (SELECT id FROM shown)
), locked AS MATERIALIZED (
    SELECT id, position FROM tracks
    WHERE id IN (SELECT id FROM shown) AND (SELECT min(gap) FROM gaps) < $2
    FOR NO KEY UPDATE SKIP LOCKED
), placed AS (
    SELECT id, row_number() OVER (ORDER BY locked.position, shown.begun_at, id) AS place
    FROM locked JOIN shown USING (id)
)
UPDATE tracks SET position = placed.place FROM placed
WHERE tracks.id = placed.id AND (SELECT count(*) FROM locked) = (SELECT count(*) FROM shown)
"""


async def find_track(connection: Connection, session: SessionId | None, take_of: str) -> TrackId:
    """The track of a session that is meant by its id, or by that of an upload in it. Errors: `NoSuchTrack`."""
    found = await connection.fetchval(_FIND, session, uuid_or_none(take_of))
    if found is None:
        raise NoSuchTrack
    return str(found)


async def open_track(connection: Connection, upload: UploadId, session: SessionId | None, file_name: str) -> TrackId:
    """Make the own track of an upload that is about to be inserted, after all others of its session."""
    await connection.execute(_OPEN, upload, default_track_name(file_name), session)
    return upload


async def join_track(connection: Connection, session: SessionId | None, take_of: str) -> TrackId:
    """Lock the track that an upload is about to be inserted into. What is heard there is still heard.

    Raises:
        NoSuchTrack
    """
    await connection.execute(_LOCK_SESSION, session)
    track = await find_track(connection, session, take_of)
    if await connection.fetchrow(_LOCK, track) is None:
        raise NoSuchTrack  # deleted just now
    await keep_heard(connection, track)
    return track


async def keep_heard(connection: Connection, track: TrackId, *, unless: UploadId | None = None) -> None:
    """Make the take that is heard the chosen one, unless the upload `unless` is chosen, which is about to come back."""
    await connection.execute(_KEEP_HEARD, track, unless)


async def move_upload(
    connection: Connection, locked: Row, take_of: str | None, *, is_undo: bool, left: LeftTrack | None = None
) -> None:
    """Make the upload a take of another track, or with None a track of its own. It is not heard in another track.

    `is_undo`: it goes back to a track that it came from, which may be empty, and in which it may have been chosen. When
    that track is gone, it is made again as it was when it was `left`.

    Raises:
        NoSuchTrack: There is none, or it is gone, and not known as it was.
    """
    upload, track = locked["id"], locked["take_of"]
    target = await _find_target(connection, locked, take_of, is_undo=is_undo)
    if target == track:
        return
    if not is_undo:
        await connection.execute(_COPY, track, target, upload)
    elif left is not None:
        await connection.execute(_MAKE_AGAIN, target, left.name, left.position, upload)
    if await connection.fetchrow(_LOCK, target) is None:
        raise NoSuchTrack
    await keep_heard(connection, target, unless=upload if is_undo else None)
    await connection.execute(_MOVE, upload, target)
    await number_tracks(connection, locked["session_id"])


async def _find_target(connection: Connection, locked: Row, take_of: str | None, *, is_undo: bool) -> TrackId:
    upload, track = str(locked["id"]), str(locked["take_of"])
    if take_of is not None:
        if take_of == upload or is_undo:
            return take_of
        return await find_track(connection, locked["session_id"], take_of)
    row = await connection.fetchrow(_NEIGHBOURS, upload, track)
    assert row is not None
    if row["is_alone"]:
        return track
    return upload if row["is_own_free"] else str(uuid4())


async def change_track(connection: Connection, locked: Row, mix: Mix) -> None:
    """Change name, position and the chosen take of the track that the upload is in."""
    chosen = locked["id"] if mix.chosen else None
    name = default_track_name(locked["file_name"]) if mix.name == "" else mix.name
    await connection.execute(_CHANGE, locked["take_of"], name, mix.position, chosen)
    if mix.position is not None:
        await number_tracks(connection, locked["session_id"])


async def number_tracks(connection: Connection, session: SessionId | None) -> None:
    """Number the tracks of the session 1, 2, 3 and so on when two of them are too close to put another between them."""
    await connection.execute(_NUMBER, session, LEAST_GAP)
