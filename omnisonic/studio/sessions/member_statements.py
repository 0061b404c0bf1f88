"""The table `session_members`: who has a role in which session.

What is asked of a session begins with `asked`: one row, as soon as the sign-in holds, with what the user is to the
session. So one statement tells strangers, other users, collaborators and owners apart, and acts for whom it may.
"""

from typing import Final

_ASKED: Final = """
-- $1 sign-in, $2 session.
WITH asked AS MATERIALIZED (
    SELECT login.user_id, session.id AS session_id, session.owner_id = login.user_id AS owns
    FROM live_logins AS login
    LEFT JOIN session_members AS member ON member.user_id = login.user_id AND member.session_id = $2
    LEFT JOIN sessions AS session ON session.id = member.session_id
    WHERE login.id = $1
)
"""


def asked(rest: str) -> str:
    """A statement that begins with `asked` (user_id, session_id, owns); `session_id` is NULL when they have no role."""
    return _ASKED + rest


COLLABORATORS: Final = asked("""
-- The second column: whether the user may see their address.
SELECT asked.session_id IS NOT NULL, asked.owns OR person.id = asked.user_id,
    person.id::text, person.name, person.email, person.image
FROM asked
LEFT JOIN session_members AS member ON member.session_id = asked.session_id
    AND member.user_id <> (SELECT owner_id FROM sessions WHERE id = asked.session_id)
LEFT JOIN users AS person ON person.id = member.user_id
ORDER BY member.joined_at, member.user_id
""")

REMOVE: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id FROM sessions AS session JOIN asked ON asked.session_id = session.id
    FOR NO KEY UPDATE OF session
), gone AS (
    -- $3 user.
    DELETE FROM session_members AS member USING locked, asked
    WHERE member.session_id = locked.id AND member.user_id = $3
        AND (asked.owns AND asked.user_id <> $3 OR NOT asked.owns AND asked.user_id = $3)
    RETURNING member.session_id
), taken_back AS (
    DELETE FROM invites USING gone, asked WHERE invites.session_id = gone.session_id AND asked.owns
)
SELECT locked.id IS NOT NULL AS there, asked.owns, asked.user_id = $3 AS leaves, gone.session_id IS NOT NULL AS gone
FROM asked LEFT JOIN locked ON true LEFT JOIN gone ON true
""")

STANDING: Final = """
-- $1 sign-in, $2 session, $3 a user's id that somebody wants to be in a room by; each may be NULL. Always one row.
SELECT EXISTS (SELECT FROM sessions WHERE id = $2::uuid) AS is_sessions,
    person.id::text AS id, person.name, person.email, person.image,
    EXISTS (SELECT FROM session_members WHERE session_id = $2::uuid AND user_id = person.id) AS has_role,
    EXISTS (SELECT FROM users WHERE id = $3::uuid AND id IS DISTINCT FROM person.id) AS is_reserved
FROM (VALUES ($1::text)) AS asked (login)
LEFT JOIN live_logins AS login ON login.id = asked.login
LEFT JOIN users AS person ON person.id = login.user_id
"""

LAPSED: Final = """
-- $1 sign-ins and $2 sessions, in pairs, $3 how long ago a use is noted again. The places, from 1 on, of the pairs that
-- do not hold. Without a session the sign-in is all that must hold.
WITH pass AS MATERIALIZED (
    SELECT login, session, place FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS pass (login, session, place)
), held AS MATERIALIZED (
    SELECT pass.place, pass.login
    FROM pass
    JOIN live_logins AS login ON login.id = pass.login
    LEFT JOIN session_members AS member ON member.session_id = pass.session AND member.user_id = login.user_id
    WHERE pass.session IS NULL OR member.user_id IS NOT NULL
), unnoted AS (
    -- One that is locked is being noted by somebody else, or ended.
    SELECT id FROM logins WHERE id IN (SELECT login FROM held) AND seen_at < now() - $3::interval
    FOR NO KEY UPDATE SKIP LOCKED
), noted AS (
    UPDATE logins SET seen_at = now() FROM unnoted WHERE logins.id = unnoted.id
)
SELECT place FROM pass WHERE place NOT IN (SELECT place FROM held) ORDER BY place
"""
