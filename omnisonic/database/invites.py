"""The table `invites`. Who accepts one, or takes a session's invites back, locks the session's row first: the one after
the other sees what became of it, and never do two wait for each other.
"""

from typing import Final

from omnisonic.database.session_members import asked

CREATE: Final = asked("""
, made AS (
    -- $3 digest, $4 for how long.
    INSERT INTO invites (digest, session_id, expires_at)
    SELECT $3, session_id, clock_timestamp() + $4::interval FROM asked WHERE owns
    RETURNING expires_at
)
SELECT asked.owns, made.expires_at FROM asked LEFT JOIN made ON true
""")
"""Errors: a foreign key violation when the session is deleted at the same moment."""

ACCEPT: Final = """
-- $1 sign-in, $2 digest.
WITH login AS MATERIALIZED (
    SELECT user_id FROM live_logins WHERE id = $1
), locked AS MATERIALIZED (
    SELECT session.id, session.created_at
    FROM sessions AS session
    WHERE session.id = (SELECT session_id FROM invites WHERE digest = $2) AND EXISTS (SELECT FROM login)
    FOR NO KEY UPDATE
), invite AS MATERIALIZED (
    -- Locked as well, for that looks at the row as it is now: whoever had the session's lock may have taken it back.
    SELECT invite.session_id, locked.created_at
    FROM locked JOIN invites AS invite ON invite.session_id = locked.id
    WHERE invite.digest = $2 AND invite.expires_at > now()
    FOR KEY SHARE OF invite
), seated AS (
    INSERT INTO session_members (session_id, user_id, created_at)
    SELECT invite.session_id, login.user_id, invite.created_at FROM invite, login
    ON CONFLICT DO NOTHING
)
SELECT invite.session_id::text FROM login LEFT JOIN invite ON true
"""

SWEEP: Final = """
-- $1 how many at most.
WITH old AS (
    SELECT digest FROM invites WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM invites USING old WHERE invites.digest = old.digest RETURNING 1
)
SELECT count(*) FROM gone
"""
