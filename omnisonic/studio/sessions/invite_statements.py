"""The table `invites`. Who accepts one, or takes a session's invites back, locks the session's row first: the one after
the other sees what became of it, and never do two wait for each other.
"""

from typing import Final

from omnisonic.studio.sessions.member_statements import asked

ASK: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id FROM sessions AS session JOIN asked ON asked.session_id = session.id
    WHERE asked.owns FOR NO KEY UPDATE OF session
)
SELECT asked.owns, locked.id IS NOT NULL AS there FROM asked LEFT JOIN locked ON true
""")
"""What the user is to the session. An owner holds it then, so that of two who count its invites one waits."""

CREATE: Final = """
-- $1 session, $2 digest, $3 for how long, $4 how many there may be. No row when as many are.
INSERT INTO invites (digest, session_id, expires_at)
SELECT $2, $1::uuid, clock_timestamp() + $3::interval
WHERE (SELECT count(*) FROM invites WHERE session_id = $1 AND expires_at > now()) < $4
RETURNING id::text, created_at, expires_at
"""

LIST: Final = asked("""
-- Those that still hold, the newest first. One row at least, as soon as the sign-in holds.
SELECT asked.owns, invite.id::text, invite.created_at, invite.expires_at
FROM asked
LEFT JOIN invites AS invite ON asked.owns AND invite.session_id = asked.session_id AND invite.expires_at > now()
ORDER BY invite.created_at DESC, invite.id DESC
""")

WITHDRAW: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id FROM sessions AS session JOIN asked ON asked.session_id = session.id
    WHERE asked.owns FOR NO KEY UPDATE OF session
), gone AS (
    -- $3 the invite; NULL is all of them.
    DELETE FROM invites USING locked
    WHERE invites.session_id = locked.id AND ($3::uuid IS NULL OR invites.id = $3)
    RETURNING invites.expires_at > now() AS held
)
SELECT asked.owns, locked.id IS NOT NULL AS there, EXISTS (SELECT FROM gone WHERE held) AS gone
FROM asked LEFT JOIN locked ON true
""")

OFFER: Final = """
-- $1 digest. What the link offers; no row when it is over.
SELECT session.name, owner.id::text, owner.name, owner.email, owner.image, invite.expires_at
FROM invites AS invite
JOIN sessions AS session ON session.id = invite.session_id
JOIN users AS owner ON owner.id = session.owner_id
WHERE invite.digest = $1 AND invite.expires_at > now()
"""

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
