"""The table `loose_objects`: what is in the storage, or on its way there, and belongs to no row."""

from typing import Final

NOTE: Final = """
-- $1 key, $2 how long it may be loose.
INSERT INTO loose_objects (object_key, due_at) VALUES ($1, now() + $2::interval)
"""

ARRIVE: Final = """
-- $1 key, $2 how long it may be loose, $3 user, $4 resumable upload or NULL, $5 bytes reserved, $6 for how long.
INSERT INTO loose_objects (object_key, due_at, user_id, resumable_id, reserved_bytes, reserved_until)
VALUES ($1, now() + $2::interval, $3, $4, $5, now() + $6::interval)
"""

ARRIVING: Final = """
-- $1 user. How much of theirs arrives now: how many objects.
SELECT count(*) FROM loose_objects WHERE user_id = $1 AND reserved_until > now() AND NOT doomed
"""

SENDER: Final = """
-- $1 key. Whose it is that arrives there; no row when it may not become anything any more.
SELECT user_id::text FROM loose_objects WHERE object_key = $1 AND NOT doomed AND user_id IS NOT NULL
"""

RESERVE: Final = """
-- $1 key, $2 bytes reserved, $3 for how long. A row when it may still become something.
UPDATE loose_objects SET reserved_bytes = $2, reserved_until = now() + $3::interval
WHERE object_key = $1 AND NOT doomed RETURNING object_key
"""

BIND: Final = """
-- $1 key. A row when it was loose, and could become something still.
DELETE FROM loose_objects WHERE object_key = $1 AND NOT doomed RETURNING object_key
"""

ABANDON: Final = """
-- $1 key. A row when it was loose.
UPDATE loose_objects SET due_at = now(), doomed = true WHERE object_key = $1 RETURNING object_key
"""

TAKE: Final = """
-- $1 how many, $2 for how long nobody else may take them.
WITH due AS MATERIALIZED (
    SELECT object_key FROM loose_objects WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE loose_objects AS loose SET due_at = now() + $2::interval, doomed = true
FROM due WHERE loose.object_key = due.object_key
RETURNING loose.object_key
"""

ABANDON_FORGOTTEN: Final = """
-- $1 key, of which there is no note. A row when nothing has it: it was taken and forgotten while it was still being
-- put, by a machine that slept, say. After `ABANDON`, which waits for whoever binds the key at the same time.
INSERT INTO loose_objects (object_key, due_at, doomed)
SELECT $1, now(), true
WHERE NOT EXISTS (SELECT FROM uploads WHERE object_key = $1)
    AND NOT EXISTS (SELECT FROM upload_pieces WHERE object_key = $1)
    AND NOT EXISTS (SELECT FROM exports WHERE object_key = $1)
ON CONFLICT (object_key) DO UPDATE SET due_at = now(), doomed = true
RETURNING object_key
"""

FORGET: Final = """
-- $1 keys.
DELETE FROM loose_objects WHERE object_key = ANY($1::text[]) AND doomed
"""
