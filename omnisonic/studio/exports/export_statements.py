"""The table `exports`. Its rows come as `Export` has them, then the key of the object and its SHA-256.

Who may see an export: everybody with a role in its session. `due_at` is NULL for those that are over.
"""

from typing import Final

from omnisonic.studio.sessions.session_statements import asked
from omnisonic.studio.uploads import upload_statements
from omnisonic.studio.user_turns import next_in_turn

COLUMNS: Final = """export.id::text, export.session_id::text, export.user_id::text, export.format, export.status,
    export.progress, export.error_message, export.file_name, export.file_size, export.duration_seconds,
    export.loudness_lufs, export.peak_dbfs, export.created_at, export.completed_at, export.warning,
    export.object_key, export.sha256"""

_IS_SHARED: Final = """EXISTS (
        SELECT FROM session_members AS member
        WHERE member.session_id = export.session_id AND member.user_id = login.user_id
    )"""

ASK: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id, session.name FROM sessions AS session JOIN asked ON asked.session_id = session.id
    FOR NO KEY UPDATE OF session
)
SELECT asked.user_id, locked.name FROM asked LEFT JOIN locked ON true
""")
"""The user, and the session's name, NULL when they have no role in it. Whoever counts its exports waits for others who
do."""

CREATE: Final = f"""
-- $1 session, $2 user, $3 format, $4 file name, $5 how many may be in the making, 0 for any, $6 trace. No row when as
-- many are.
INSERT INTO exports AS export (session_id, user_id, format, file_name, trace)
SELECT $1::uuid, $2::uuid, $3::text, $4::text, $6::text
WHERE $5::int = 0 OR (SELECT count(*) FROM exports WHERE session_id = $1 AND due_at IS NOT NULL) < $5
RETURNING {COLUMNS}
"""

OF_USER: Final = """
-- $1 user. How many of theirs are in the making. Whoever counts them has locked the user.
SELECT count(*) FROM exports WHERE user_id = $1 AND due_at IS NOT NULL
"""

GET: Final = f"""
-- $1 sign-in, $2 export. One row, as soon as the sign-in holds; NULLs when there is none for them.
SELECT {COLUMNS}
FROM live_logins AS login LEFT JOIN exports AS export ON export.id = $2 AND {_IS_SHARED}
WHERE login.id = $1
"""

LIST: Final = asked(f"""
-- $3 how many. The last column: whether it may be asked.
SELECT {COLUMNS}, asked.session_id IS NOT NULL
FROM asked
LEFT JOIN LATERAL (
    SELECT * FROM exports WHERE session_id = asked.session_id ORDER BY created_at DESC, id DESC LIMIT $3
) AS export ON true
ORDER BY export.created_at DESC, export.id DESC
""")

REMOVE: Final = f"""
-- $1 sign-in, $2 export. It, once it is gone, whether it is there for them, and whether they may remove it.
WITH asked AS MATERIALIZED (
    SELECT export.id, coalesce(export.user_id = login.user_id, false) OR session.owner_id = login.user_id AS may
    FROM live_logins AS login
    LEFT JOIN exports AS export ON export.id = $2 AND {_IS_SHARED}
    LEFT JOIN sessions AS session ON session.id = export.session_id
    WHERE login.id = $1
), export AS (
    DELETE FROM exports AS export USING asked WHERE export.id = asked.id AND asked.may RETURNING export.*
)
SELECT {COLUMNS}, asked.id IS NOT NULL, coalesce(asked.may, false) FROM asked LEFT JOIN export ON true
"""

_NEXT: Final = next_in_turn(
    "exports", due="due_at", tries="tries", is_leased="status = 'processing'", turn="mixed_at", most_tries="$2"
)

TAKE: Final = f"""
-- $1 the lease, $2 how often it is tried, $3 why it has failed when it was tried so often. The last columns: the trace,
-- the lease.
WITH {_NEXT}
UPDATE exports AS export
SET status = CASE WHEN next.is_tried THEN 'processing' ELSE 'failed' END,
    error_message = CASE WHEN NOT next.is_tried THEN $3 END,
    due_at = CASE WHEN next.is_tried THEN now() + $1::interval END,
    tries = tries + 1, progress = 0, lease = gen_random_uuid()
FROM next WHERE export.id = next.id
RETURNING {COLUMNS}, trace, lease::text
"""

WAITING: Final = "SELECT count(*) FROM exports WHERE due_at <= now()"

STEMS: Final = f"""
-- $1 session, $2 how many. One row at least: its tempo and beats, then an upload, NULLs when it has none; muted ones
-- last, and else oldest first. A film that was listened to and made no sound is none; a file that should make one, and
-- does not, is to be told of.
SELECT session.tempo_bpm, session.beats_per_bar, {upload_statements.COLUMNS}
FROM sessions AS session
LEFT JOIN uploads AS upload ON upload.session_id = session.id AND upload.mime_type NOT LIKE 'image/%'
    AND NOT (upload.mime_type LIKE 'video/%' AND upload.analysis_due_at IS NULL AND upload.peaks IS NULL)
WHERE session.id = $1
ORDER BY upload.muted, upload.created_at, upload.id LIMIT $2
"""

GONE: Final = """
-- $1 session, $2 uploads. The place, from 1 on, of the first that is not in the session any more.
SELECT stem.place::int FROM unnest($2::uuid[]) WITH ORDINALITY AS stem (id, place)
WHERE NOT EXISTS (SELECT FROM uploads WHERE uploads.id = stem.id AND uploads.session_id = $1)
ORDER BY stem.place LIMIT 1
"""

BEAT: Final = """
-- $1 export, $2 lease, $3 how long it is renewed for, $4 progress. A row when it holds.
UPDATE exports SET due_at = now() + $3::interval, progress = $4
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING id
"""

COMPLETE: Final = f"""
-- $1 export, $2 lease, $3 key, $4 size, $5 SHA-256, $6 duration, $7 loudness, $8 peak, $9 warning. A row when the
-- lease holds.
UPDATE exports AS export
SET status = 'completed', progress = 100, due_at = NULL, completed_at = clock_timestamp(), object_key = $3,
    file_size = $4, sha256 = $5, duration_seconds = $6, loudness_lufs = $7, peak_dbfs = $8,
    warning = $9
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING {COLUMNS}
"""

POSTPONE: Final = f"""
-- $1 export, $2 lease, $3 reason, $4 how long it waits after each try but the last, $5 how often it is tried.
UPDATE exports AS export
SET status = CASE WHEN tries < $5 THEN 'pending' ELSE 'failed' END,
    error_message = CASE WHEN tries < $5 THEN NULL ELSE $3 END,
    due_at = CASE WHEN tries < $5 THEN now() + ($4::interval[])[tries] END,
    progress = CASE WHEN tries < $5 THEN 0 ELSE progress END
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING {COLUMNS}
"""

FAIL: Final = f"""
-- $1 export, $2 lease, $3 reason.
UPDATE exports AS export SET status = 'failed', error_message = $3, due_at = NULL
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING {COLUMNS}
"""

SETTLED: Final = f"""
-- $1 export, $2 lease. It, when whoever had the lease has settled it before.
SELECT {COLUMNS} FROM exports AS export WHERE id = $1 AND lease = $2 AND status <> 'processing'
"""

GIVE_BACK: Final = """
-- $1 export, $2 lease, $3 how long it waits.
UPDATE exports SET status = 'pending', due_at = now() + $3::interval, tries = tries - 1, progress = 0, lease = NULL
WHERE id = $1 AND lease = $2 AND status = 'processing'
"""

DROP_OLD: Final = """
-- $1 age, $2 how many. How many those were.
WITH old AS MATERIALIZED (
    SELECT id FROM exports WHERE due_at IS NULL AND created_at < now() - $1::interval
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM exports USING old WHERE exports.id = old.id RETURNING exports.id
)
SELECT count(*) FROM gone
"""
