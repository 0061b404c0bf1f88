"""The table `sessions`. Its rows come as `Session` has them: the session's own columns, its owner's, and the role."""

from typing import Final

from omnisonic.studio.sessions.member_statements import asked

GET: Final = """
-- $1 sign-in, $2 session. One row, as soon as the sign-in holds; NULLs when they have no role in the session. The user
-- comes last.
SELECT session.id::text, session.name, session.created_at, session.updated_at, session.tempo_bpm, session.beats_per_bar,
    owner.id::text, owner.name, owner.email, owner.image,
    CASE WHEN owner.id = login.user_id THEN 'owner' ELSE 'collaborator' END,
    login.user_id::text
FROM live_logins AS login
LEFT JOIN session_members AS member ON member.user_id = login.user_id AND member.session_id = $2
LEFT JOIN sessions AS session ON session.id = member.session_id
LEFT JOIN users AS owner ON owner.id = session.owner_id
WHERE login.id = $1
"""

LIST: Final = """
-- $1 sign-in, $2 and $3 the time and the id to begin after, $4 how many. The user comes last in each row, and even when
-- there are no sessions. The places come from the index alone, and no more of them than are asked for; the constant
-- tells the planner that they are few.
SELECT session.id::text, session.name, session.created_at, session.updated_at, session.tempo_bpm, session.beats_per_bar,
    owner.id::text, owner.name, owner.email, owner.image,
    CASE WHEN owner.id = login.user_id THEN 'owner' ELSE 'collaborator' END,
    login.user_id::text
FROM live_logins AS login
LEFT JOIN LATERAL (
    SELECT first.session_id FROM (
        SELECT member.session_id FROM session_members AS member
        WHERE member.user_id = login.user_id AND (member.created_at, member.session_id) < ($2, $3)
        ORDER BY member.created_at DESC, member.session_id DESC
        LIMIT 101
    ) AS first LIMIT $4
) AS place ON true
LEFT JOIN sessions AS session ON session.id = place.session_id
LEFT JOIN users AS owner ON owner.id = session.owner_id
WHERE login.id = $1
ORDER BY session.created_at DESC, session.id DESC
"""

CREATE: Final = """
-- $1 sign-in, $2 name.
WITH made AS (
    INSERT INTO sessions (owner_id, name, created_at, updated_at)
    SELECT login.user_id, $2, moment, moment FROM live_logins AS login, clock_timestamp() AS moment WHERE login.id = $1
    RETURNING *
), seated AS (
    INSERT INTO session_members (session_id, user_id, created_at) SELECT id, owner_id, created_at FROM made
)
SELECT made.id::text, made.name, made.created_at, made.updated_at, made.tempo_bpm, made.beats_per_bar,
    owner.id::text, owner.name, owner.email, owner.image, 'owner'
FROM made JOIN users AS owner ON owner.id = made.owner_id
"""

CHANGE: Final = asked("""
, changed AS (
    -- $3 name, $4 tempo, $5 beats; NULL stays.
    UPDATE sessions AS session
    SET name = coalesce($3, name), tempo_bpm = coalesce($4, tempo_bpm), beats_per_bar = coalesce($5, beats_per_bar),
        updated_at = clock_timestamp()
    FROM asked WHERE session.id = asked.session_id AND asked.owns
    RETURNING session.*
)
SELECT changed.id::text, changed.name, changed.created_at, changed.updated_at, changed.tempo_bpm, changed.beats_per_bar,
    owner.id::text, owner.name, owner.email, owner.image, 'owner', asked.owns
FROM asked
LEFT JOIN changed ON true
LEFT JOIN users AS owner ON owner.id = changed.owner_id
""")

DELETE: Final = asked("""
, gone AS (
    DELETE FROM sessions AS session USING asked WHERE session.id = asked.session_id AND asked.owns RETURNING session.id
)
SELECT asked.owns, gone.id IS NOT NULL AS gone FROM asked LEFT JOIN gone ON true
""")
