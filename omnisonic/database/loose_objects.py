"""The table `loose_objects`: what is in the storage, or on its way there, and belongs to no row."""

from typing import Final

NOTE: Final = """
-- $1 key, $2 how long it may be loose.
INSERT INTO loose_objects (object_key, due_at) VALUES ($1, now() + $2::interval)
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
