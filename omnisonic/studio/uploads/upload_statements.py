"""The table `uploads`, as `UploadStore` reads and writes it. Columns have the names of the fields of `Upload`.

Who may see an upload: everybody with a role in its session, and its uploader. Who may change it: the owner and the
editors of its session, and without a session its uploader. A listener changes nothing, not even what they have
uploaded. `removed_at` is NULL but for uploads in the bin, which only `READ_REMOVED` finds.

Statements that change an upload lock its uploader, its session, then itself and its track, each by a statement of its
own: what deletes users, sessions or uploads locks in this order, too. Moving an upload to another track locks two of
them, so moves in one session take turns (`LOCK_SESSION_TO_MOVE`).
"""

from typing import Final

_TRACK: Final = "(SELECT track.{column} FROM tracks AS track WHERE track.id = upload.track_id)"
HEARD_IN: Final = """(
        SELECT take.id FROM uploads AS take JOIN tracks AS track ON track.id = take.track_id
        WHERE take.track_id = {track} AND take.removed_at IS NULL
        ORDER BY take.id = track.chosen_id DESC, take.created_at DESC, take.id DESC LIMIT 1
    )"""
"""The upload that is heard in a track; NULL when it has none."""
_HEARD: Final = HEARD_IN.format(track="upload.track_id")

COLUMNS: Final = f"""upload.id::text, upload.user_id::text, upload.session_id::text, upload.file_name, upload.file_size,
    upload.mime_type, upload.sha256, upload.duration_seconds, upload.sample_rate, upload.channels, upload.gain_db,
    upload.pan, upload.muted, upload.offset_seconds, {_TRACK.format(column="name")} AS name,
    {_TRACK.format(column="position")} AS position, upload.track_id::text AS take_of,
    coalesce(upload.id = {_HEARD}, false) AS chosen, upload.trim_start_seconds, upload.trim_end_seconds,
    upload.fade_in_seconds, upload.fade_out_seconds, upload.created_at, upload.warning, upload.object_key"""
"""What of the track is in them is as it was before the statement: a statement that changes it cannot return it."""
IS_HEARD: Final = f"upload.id = {_HEARD}"
"""Whether `upload` is the take of its track that is heard."""

_HAS_ROLE: Final = """EXISTS (
        SELECT FROM session_members AS member
        WHERE member.session_id = {session} AND member.user_id = login.user_id
    )"""
_IS_LISTENER: Final = """EXISTS (
        SELECT FROM session_members AS member
        WHERE member.session_id = {session} AND member.user_id = login.user_id AND member.role = 'listener'
    )"""
_SESSION_S: Final = _HAS_ROLE.format(session="upload.session_id")
IS_VISIBLE: Final = f"""upload.removed_at IS NULL AND (upload.user_id = login.user_id OR {_SESSION_S})"""
"""Whether `upload` is there for `login`."""
_GIVEN_ROLE: Final = f"($2::uuid IS NULL OR {_HAS_ROLE.format(session='$2')})"

FIND_UPLOADER: Final = f"""
-- $1 sign-in, $2 session or NULL. A row, as soon as the sign-in holds: the user, and whether they may upload there.
SELECT login.user_id::text, {_GIVEN_ROLE} AS has_role, {_IS_LISTENER.format(session="$2")} AS is_listener
FROM live_logins AS login WHERE login.id = $1
"""

LOCK_USER: Final = """
-- $1 user. A row, unless the account was deleted just now. Transactions that count the bytes of one user take turns.
SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE
"""

USED_BYTES: Final = """
-- $1 user, $2 a resumable upload and $3 a key that do not count. The bytes of the user's uploads, of their unfinished
-- ones, and of those that arrive now. What is in the bin does not count.
SELECT ((SELECT coalesce(sum(file_size), 0) FROM uploads WHERE user_id = $1 AND removed_at IS NULL)
    + (SELECT coalesce(sum(greatest(resumable.size, resumable.received + coalesce(arriving.bytes, 0))), 0)
       FROM resumable_uploads AS resumable
       LEFT JOIN LATERAL (
           SELECT sum(reserved_bytes) AS bytes FROM loose_objects AS loose
           WHERE loose.resumable_id = resumable.id AND loose.reserved_until > now() AND NOT loose.doomed
               AND loose.object_key IS DISTINCT FROM $3
       ) AS arriving ON true
       WHERE resumable.user_id = $1 AND resumable.expires_at > now() AND resumable.id IS DISTINCT FROM $2)
    + (SELECT coalesce(sum(reserved_bytes), 0) FROM loose_objects
       WHERE user_id = $1 AND resumable_id IS NULL AND reserved_until > now() AND NOT doomed
           AND object_key IS DISTINCT FROM $3)
)::bigint
"""

CREATE: Final = """
-- $1 id, $2 user, $3 session, $4 key, $5 file name, $6 size, $7 media type, $8 SHA-256, $9 trace, $10 track, $11
-- offset. Images are not analysed.
INSERT INTO uploads
    (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256, trace, track_id, offset_seconds,
    analysis_due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, CASE WHEN $7 NOT LIKE 'image/%' THEN now() END)
"""

READ: Final = f"""
-- $1 upload. And the take of its track that is heard.
SELECT {COLUMNS}, {_HEARD}::text AS chosen_take FROM uploads AS upload WHERE upload.id = $1
"""

READ_SESSION: Final = f"""
-- $1 session. All that is not in the bin.
SELECT {COLUMNS} FROM uploads AS upload WHERE upload.session_id = $1 AND upload.removed_at IS NULL
"""

LIST_OWN: Final = f"""
-- $1 sign-in, $2 and $3 the time and the id to begin after, $4 how many. One row at least, as soon as the sign-in
-- holds.
SELECT upload.*, true AS has_role
FROM live_logins AS login
LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM uploads AS upload
    WHERE upload.user_id = login.user_id AND (upload.created_at, upload.id) < ($2, $3::uuid)
        AND upload.removed_at IS NULL
    ORDER BY upload.created_at DESC, upload.id DESC LIMIT $4
) AS upload ON true
WHERE login.id = $1
ORDER BY upload.created_at DESC, upload.id DESC
"""

LIST_OF_SESSION: Final = f"""
-- As above; $5 session.
SELECT upload.*, caller.has_role
FROM (
    SELECT {_HAS_ROLE.format(session="$5")} AS has_role FROM live_logins AS login WHERE login.id = $1
) AS caller
LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM uploads AS upload
    WHERE caller.has_role AND upload.session_id = $5 AND (upload.created_at, upload.id) < ($2, $3::uuid)
        AND upload.removed_at IS NULL
    ORDER BY upload.created_at DESC, upload.id DESC LIMIT $4
) AS upload ON true
ORDER BY upload.created_at DESC, upload.id DESC
"""

GET: Final = f"""
-- $1 sign-in, $2 upload. One row, as soon as the sign-in holds; NULLs when there is none for them.
SELECT {COLUMNS}
FROM live_logins AS login
LEFT JOIN uploads AS upload ON upload.id = $2 AND {IS_VISIBLE}
WHERE login.id = $1
"""

PEAKS: Final = f"""
-- $1 sign-in, $2 upload. As above.
SELECT upload.id IS NOT NULL AS is_there, upload.analysis_due_at IS NOT NULL AS is_pending, upload.sample_rate,
    upload.duration_seconds, upload.peaks
FROM live_logins AS login
LEFT JOIN uploads AS upload ON upload.id = $2 AND {IS_VISIBLE}
WHERE login.id = $1
"""

LOCK_UPLOADER: Final = """
-- $1 upload.
SELECT FROM users WHERE id = (SELECT user_id FROM uploads WHERE id = $1) FOR NO KEY UPDATE
"""

LOCK_SESSION: Final = """
-- $1 upload. Its session is not deleted before the transaction ends.
SELECT FROM sessions WHERE id = (SELECT session_id FROM uploads WHERE id = $1) FOR KEY SHARE
"""

LOCK_SESSION_TO_MOVE: Final = """
-- $1 upload. As above, and no other upload of the session moves to another track.
SELECT FROM sessions WHERE id = (SELECT session_id FROM uploads WHERE id = $1) FOR NO KEY UPDATE
"""

LOCK: Final = "SELECT FROM uploads WHERE id = $1 FOR NO KEY UPDATE"

LOCK_TRACK: Final = """
-- $1 upload, which is locked.
SELECT FROM tracks WHERE id = (SELECT track_id FROM uploads WHERE id = $1) FOR NO KEY UPDATE
"""

_READ_LOCKED: Final = f"""
-- $1 user, $2 upload. The upload as it is now, when the user may see it; the take of its track that is heard; whether
-- it is shared with them, whether as with a listener, and whether they may remove it.
SELECT {COLUMNS}, {_HEARD}::text AS chosen_take, upload.removed_at IS NOT NULL AS is_removed, {_SESSION_S} AS is_shared,
    {_IS_LISTENER.format(session="upload.session_id")} AS is_listener,
    upload.user_id = login.user_id OR coalesce(session.owner_id = login.user_id, false) AS may_remove
FROM uploads AS upload
CROSS JOIN (VALUES ($1::uuid)) AS login (user_id)
LEFT JOIN sessions AS session ON session.id = upload.session_id
WHERE upload.id = $2 AND (upload.user_id = login.user_id OR {_SESSION_S})
"""

READ_LOCKED: Final = f"{_READ_LOCKED} AND upload.removed_at IS NULL"

READ_REMOVED: Final = f"{_READ_LOCKED} AND (upload.removed_at IS NULL OR upload.removed_at > now() - $3::interval)"
"""$3 how long uploads stay in the bin. Finds those outside of it as well."""

CHANGE: Final = """
-- $1 upload, $2 gain, $3 pan, $4 muted, $5 offset, $6 and $7 trims, $8 and $9 fades.
UPDATE uploads
SET gain_db = coalesce($2, gain_db), pan = coalesce($3, pan), muted = coalesce($4, muted),
    offset_seconds = coalesce($5, offset_seconds), trim_start_seconds = coalesce($6, trim_start_seconds),
    trim_end_seconds = coalesce($7, trim_end_seconds), fade_in_seconds = coalesce($8, fade_in_seconds),
    fade_out_seconds = coalesce($9, fade_out_seconds)
WHERE id = $1
"""

REMOVE: Final = "UPDATE uploads SET removed_at = clock_timestamp() WHERE id = $1"

RESTORE: Final = "UPDATE uploads SET removed_at = NULL WHERE id = $1 AND removed_at IS NOT NULL RETURNING id"

FIND_IN_BIN: Final = "SELECT FROM uploads WHERE object_key = $1 AND removed_at IS NOT NULL"

TRIM_BIN: Final = """
-- $1 user, who is locked, $2 how many bytes their bin may hold. Deletes for good what was removed first.
DELETE FROM uploads USING (
    SELECT id, sum(file_size) OVER (ORDER BY removed_at DESC, id) AS total_bytes
    FROM uploads WHERE user_id = $1 AND removed_at IS NOT NULL
) AS bin
WHERE uploads.id = bin.id AND bin.total_bytes > $2
"""
