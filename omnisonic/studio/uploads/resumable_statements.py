"""The tables `resumable_uploads` and `upload_pieces`: unfinished uploads and their chunks."""

from typing import Final

_COLUMNS: Final = """resumable.id::text, resumable.session_id::text AS session, resumable.file_name, resumable.size,
    resumable.received, resumable.expires_at, resumable.is_deferred, resumable.track_id::text AS take_of,
    resumable.offset_seconds AS offset_s"""

CREATE: Final = f"""
-- $1 user, $2 session, $3 file name, $4 size or NULL, $5 how long it may take, $6 track or NULL, $7 offset.
INSERT INTO resumable_uploads AS resumable
    (user_id, session_id, file_name, size, is_deferred, expires_at, track_id, offset_seconds)
VALUES ($1, $2, $3, $4, $4::bigint IS NULL, now() + $5::interval, $6, $7)
RETURNING {_COLUMNS}
"""

COUNT: Final = """
-- $1 user. How many of their uploads are not finished.
SELECT count(*) FROM resumable_uploads WHERE user_id = $1 AND expires_at > now()
"""

TRACK_TO_BE: Final = """
-- $1 user, $2 session, $3 one of their resumables in it. The track that its upload will be in.
SELECT coalesce(track_id, id)::text FROM resumable_uploads
WHERE id = $3 AND user_id = $1 AND session_id = $2 AND expires_at > now()
"""

GET: Final = f"""
-- $1 sign-in, $2 resumable. One row, as soon as the sign-in holds; NULLs when there is none of theirs.
SELECT {_COLUMNS}
FROM live_logins AS login
LEFT JOIN resumable_uploads AS resumable
    ON resumable.id = $2 AND resumable.user_id = login.user_id AND resumable.expires_at > now()
WHERE login.id = $1
"""

LOCK_SESSION: Final = """
-- $1 resumable. The session is locked before the resumable, in the same order as when the session is deleted, so that
-- the two do not wait for each other.
SELECT FROM sessions WHERE id = (SELECT session_id FROM resumable_uploads WHERE id = $1) FOR KEY SHARE
"""

LOCK: Final = """
-- $1 user, $2 resumable.
SELECT session_id::text AS session, size, received, writer, piece_count, track_id::text AS take_of,
    offset_seconds AS offset_s
FROM resumable_uploads
WHERE id = $2 AND user_id = $1 AND expires_at > now() FOR UPDATE
"""

SET_SIZE: Final = """
-- $1 resumable, which is locked and has no size, $2 its size.
UPDATE resumable_uploads SET size = $2 WHERE id = $1
"""

CLAIM: Final = f"""
-- $1 resumable, which is locked. The number of its new writer, whether another request seems to send too, and the
-- resumable.
UPDATE resumable_uploads AS resumable SET writer = writer + 1 WHERE id = $1
RETURNING writer, EXISTS (
    SELECT FROM loose_objects AS loose
    WHERE loose.resumable_id = resumable.id AND loose.reserved_until > now() AND NOT loose.doomed
) AS is_contested, {_COLUMNS}
"""

WRITER: Final = """
-- $1 sign-in, $2 resumable. One row, as soon as the sign-in holds: the number of its writer, or NULL without one.
SELECT resumable.writer FROM live_logins AS login
LEFT JOIN resumable_uploads AS resumable
    ON resumable.id = $2 AND resumable.user_id = login.user_id AND resumable.expires_at > now()
WHERE login.id = $1
"""

CHUNKS: Final = """
-- $1 sign-in, $2 resumable. One row, as soon as the sign-in holds: whether it is there, and the keys of its
-- chunks in order.
SELECT resumable.id IS NOT NULL AS is_there, ARRAY(
    SELECT piece.object_key FROM upload_pieces AS piece WHERE piece.resumable_id = resumable.id ORDER BY piece.begins_at
) AS keys
FROM live_logins AS login
LEFT JOIN resumable_uploads AS resumable
    ON resumable.id = $2 AND resumable.user_id = login.user_id AND resumable.expires_at > now()
WHERE login.id = $1
"""

ADD_CHUNK: Final = """
-- $1 resumable, $2 offset, $3 size, $4 key.
WITH piece AS (
    INSERT INTO upload_pieces (resumable_id, begins_at, size, object_key) VALUES ($1, $2, $3, $4)
)
UPDATE resumable_uploads SET received = received + $3, piece_count = piece_count + 1 WHERE id = $1
"""

DELETE: Final = """
-- $1 resumable.
DELETE FROM resumable_uploads WHERE id = $1
"""

REMOVE: Final = """
-- $1 sign-in, $2 resumable. One row, as soon as the sign-in holds: whether it is gone, and the keys of its
-- chunks.
WITH login AS MATERIALIZED (SELECT user_id FROM live_logins WHERE id = $1), gone AS (
    DELETE FROM resumable_uploads AS resumable USING login
    WHERE resumable.id = $2 AND resumable.user_id = login.user_id AND resumable.expires_at > now()
    RETURNING resumable.id
)
SELECT gone.id IS NOT NULL AS is_gone, ARRAY(
    SELECT piece.object_key FROM upload_pieces AS piece WHERE piece.resumable_id = gone.id ORDER BY piece.begins_at
) AS keys
FROM login LEFT JOIN gone ON true
"""
