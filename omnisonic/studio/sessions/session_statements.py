"""The tables `sessions`, `session_members` and `invites`.

Most statements begin with `asked`: one row, as soon as the sign-in holds, with the role of the user in the session. So
one statement tells strangers, other users, collaborators and owners apart, and acts only for those who may.

Statements that accept an invite, delete a session's invites, or change who may do what, lock the session's row first.
So each sees what the others have done, and never do two wait for each other. What only the owner may do compares the
`owner_id` of the locked row: ownership may have been passed on while the statement waited.
"""

from typing import Final

_ASKED: Final = """
-- $1 sign-in, $2 session.
WITH asked AS MATERIALIZED (
    SELECT login.user_id, session.id AS session_id, session.owner_id = login.user_id AS owns,
        member.role = 'editor' AS edits
    FROM live_logins AS login
    LEFT JOIN session_members AS member ON member.user_id = login.user_id AND member.session_id = $2
    LEFT JOIN sessions AS session ON session.id = member.session_id
    WHERE login.id = $1
)
"""


def asked(rest: str) -> str:
    """A statement that begins with `asked` (user_id, session_id, owns, edits).

    `edits` is true for owner and editors, false for listeners. All but `user_id` are NULL when they have no role.
    """
    return _ASKED + rest


def columns(session: str) -> str:
    """The columns of `sessions AS {session}` and, with the prefix `owner_`, of `users AS owner`."""
    own = "name", "created_at", "updated_at", "tempo_bpm", "beats_per_bar"
    owners = "name", "email", "image"
    return ", ".join(
        [
            f"{session}.id::text",
            *(f"{session}.{name}" for name in own),
            "owner.id::text AS owner_id",
            *(f"owner.{name} AS owner_{name}" for name in owners),
        ]
    )


ROLE: Final = "CASE WHEN owner.id = login.user_id THEN 'owner' ELSE {member}.role END AS role"

GET: Final = f"""
-- $1 sign-in, $2 session. One row, as soon as the sign-in holds; NULLs but for the user when they have no role in
-- the session.
SELECT {columns("session")}, {ROLE.format(member="member")}, login.user_id::text
FROM live_logins AS login
LEFT JOIN session_members AS member ON member.user_id = login.user_id AND member.session_id = $2
LEFT JOIN sessions AS session ON session.id = member.session_id
LEFT JOIN users AS owner ON owner.id = session.owner_id
WHERE login.id = $1
"""

CREATE: Final = f"""
-- $1 sign-in, $2 name.
WITH made AS (
    INSERT INTO sessions (owner_id, name, created_at, updated_at)
    SELECT login.user_id, $2, moment, moment FROM live_logins AS login, clock_timestamp() AS moment WHERE login.id = $1
    RETURNING *
), seated AS (
    INSERT INTO session_members (session_id, user_id, created_at) SELECT id, owner_id, created_at FROM made
)
SELECT {columns("made")}, 'owner' AS role
FROM made JOIN users AS owner ON owner.id = made.owner_id
"""

CHANGE: Final = asked(f"""
, changed AS (
    -- $3 name, $4 tempo, $5 beats; NULL stays.
    UPDATE sessions AS session
    SET name = coalesce($3, name), tempo_bpm = coalesce($4, tempo_bpm), beats_per_bar = coalesce($5, beats_per_bar),
        updated_at = clock_timestamp()
    FROM asked WHERE session.id = asked.session_id AND session.owner_id = asked.user_id
    RETURNING session.*
)
SELECT {columns("changed")}, 'owner' AS role, asked.owns
FROM asked
LEFT JOIN changed ON true
LEFT JOIN users AS owner ON owner.id = changed.owner_id
""")

DELETE: Final = asked("""
, gone AS (
    DELETE FROM sessions AS session USING asked
    WHERE session.id = asked.session_id AND session.owner_id = asked.user_id RETURNING session.id
)
SELECT asked.owns, gone.id IS NOT NULL AS is_gone FROM asked LEFT JOIN gone ON true
""")

LIST_COLLABORATORS: Final = asked("""
-- `sees_email`: whether the user may see the address of this collaborator.
SELECT asked.session_id IS NOT NULL AS is_there, asked.owns OR person.id = asked.user_id AS sees_email,
    person.id::text, person.name, person.email, person.image, member.role
FROM asked
LEFT JOIN session_members AS member ON member.session_id = asked.session_id
    AND member.user_id <> (SELECT owner_id FROM sessions WHERE id = asked.session_id)
LEFT JOIN users AS person ON person.id = member.user_id
ORDER BY member.joined_at, member.user_id
""")

REMOVE_COLLABORATOR: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id, session.owner_id = asked.user_id AS owns
    FROM sessions AS session JOIN asked ON asked.session_id = session.id
    FOR NO KEY UPDATE OF session
), gone AS (
    -- $3 user.
    DELETE FROM session_members AS member USING locked, asked
    WHERE member.session_id = locked.id AND member.user_id = $3
        AND (locked.owns AND asked.user_id <> $3 OR NOT locked.owns AND asked.user_id = $3)
    RETURNING member.session_id
), taken_back AS (
    DELETE FROM invites USING gone, locked WHERE invites.session_id = gone.session_id AND locked.owns
)
SELECT locked.id IS NOT NULL AS is_there, locked.owns, asked.user_id = $3 AS leaves,
    gone.session_id IS NOT NULL AS is_gone
FROM asked LEFT JOIN locked ON true LEFT JOIN gone ON true
""")

LOCK_AS_OWNER: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id, session.name, session.tempo_bpm, session.beats_per_bar
    FROM sessions AS session JOIN asked ON asked.session_id = session.id
    WHERE session.owner_id = asked.user_id FOR NO KEY UPDATE OF session
)
SELECT asked.owns, locked.id IS NOT NULL AS is_there, locked.id::text, locked.name, locked.tempo_bpm,
    locked.beats_per_bar
FROM asked LEFT JOIN locked ON true
""")
"""The role of the user. For an owner the session is locked, and what is returned of it is as it is now."""

LOCK_AS_MEMBER: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id, session.tempo_bpm, session.owner_id
    FROM sessions AS session JOIN asked ON asked.session_id = session.id FOR NO KEY UPDATE OF session
)
SELECT asked.user_id::text, asked.edits, locked.id::text, locked.tempo_bpm, locked.owner_id = asked.user_id AS owns
FROM asked LEFT JOIN locked ON true
""")
"""As above, for everybody with a role: the session is locked."""

LOCK_USER: Final = """
-- $1 user. The account is not deleted before the transaction ends.
SELECT FROM users WHERE id = $1 FOR KEY SHARE
"""

CHANGE_ROLE: Final = """
-- $1 session, which is locked, $2 user, $3 role. The collaborator, with the role that they had; no row without one.
-- Invites for editors are withdrawn when they become a listener, so that none of them makes them an editor again.
WITH before AS MATERIALIZED (
    SELECT member.user_id, member.role
    FROM session_members AS member JOIN sessions AS session ON session.id = member.session_id
    WHERE member.session_id = $1 AND member.user_id = $2 AND member.user_id <> session.owner_id
), changed AS (
    UPDATE session_members AS member SET role = $3 FROM before
    WHERE member.session_id = $1 AND member.user_id = before.user_id
), taken_back AS (
    DELETE FROM invites USING before WHERE session_id = $1 AND invites.role = 'editor' AND $3::text = 'listener'
)
SELECT person.id::text, person.name, person.email, person.image, before.role
FROM before JOIN users AS person ON person.id = before.user_id
"""

SET_OWNER: Final = """
-- $1 session, which is locked, $2 user, who is a collaborator.
UPDATE sessions SET owner_id = $2, updated_at = clock_timestamp() WHERE id = $1
"""

CREATE_INVITE: Final = """
-- $1 session, $2 digest, $3 for how long, $4 most invites, $5 role. No row when there are as many.
INSERT INTO invites (digest, session_id, expires_at, role)
SELECT $2, $1::uuid, clock_timestamp() + $3::interval, $5
WHERE (SELECT count(*) FROM invites WHERE session_id = $1 AND expires_at > now()) < $4
RETURNING id::text, role, created_at, expires_at
"""

LIST_INVITES: Final = asked("""
-- Those that still hold, the newest first. One row at least, as soon as the sign-in holds.
SELECT asked.owns, invite.id::text, invite.role, invite.created_at, invite.expires_at
FROM asked
LEFT JOIN invites AS invite ON asked.owns AND invite.session_id = asked.session_id AND invite.expires_at > now()
ORDER BY invite.created_at DESC, invite.id DESC
""")

WITHDRAW_INVITES: Final = asked("""
, locked AS MATERIALIZED (
    SELECT session.id FROM sessions AS session JOIN asked ON asked.session_id = session.id
    WHERE session.owner_id = asked.user_id FOR NO KEY UPDATE OF session
), gone AS (
    -- $3 the invite; NULL is all of them.
    DELETE FROM invites USING locked
    WHERE invites.session_id = locked.id AND ($3::uuid IS NULL OR invites.id = $3)
    RETURNING invites.expires_at > now() AS held
)
SELECT asked.owns, locked.id IS NOT NULL AS is_there, EXISTS (SELECT FROM gone WHERE held) AS is_gone
FROM asked LEFT JOIN locked ON true
""")

READ_OFFER: Final = """
-- $1 digest. The session and its owner, for who has the link; no row when the invite has expired.
SELECT session.name AS session_name, owner.id::text, owner.name, owner.email, owner.image, invite.role,
    invite.expires_at
FROM invites AS invite
JOIN sessions AS session ON session.id = invite.session_id
JOIN users AS owner ON owner.id = session.owner_id
WHERE invite.digest = $1 AND invite.expires_at > now()
"""

ACCEPT_INVITE: Final = """
-- $1 sign-in, $2 digest. One row, as soon as the sign-in holds: the session, or NULL without an invite, whether the
-- user has a role there only now, and whether they were a listener and are an editor now.
WITH login AS MATERIALIZED (
    SELECT user_id FROM live_logins WHERE id = $1
), locked AS MATERIALIZED (
    SELECT session.id, session.created_at
    FROM sessions AS session
    WHERE session.id = (SELECT session_id FROM invites WHERE digest = $2) AND EXISTS (SELECT FROM login)
    FOR NO KEY UPDATE
), invite AS MATERIALIZED (
    -- Locked as well, so that the row is read as it is now: the last holder of the session's lock may have deleted it.
    SELECT invite.session_id, invite.role, locked.created_at
    FROM locked JOIN invites AS invite ON invite.session_id = locked.id
    WHERE invite.digest = $2 AND invite.expires_at > now()
    FOR KEY SHARE OF invite
), seated AS (
    INSERT INTO session_members AS member (session_id, user_id, created_at, role)
    SELECT invite.session_id, login.user_id, invite.created_at, invite.role FROM invite, login
    ON CONFLICT (session_id, user_id) DO UPDATE SET role = excluded.role
        WHERE member.role = 'listener' AND excluded.role = 'editor'
    RETURNING member.xmax = 0 AS is_new
)
SELECT invite.session_id::text, coalesce(seated.is_new, false) AS is_new,
    coalesce(NOT seated.is_new, false) AS is_promoted
FROM login LEFT JOIN invite ON true LEFT JOIN seated ON true
"""

SWEEP_INVITES: Final = """
-- $1 how many at most.
WITH old AS (
    SELECT digest FROM invites WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM invites USING old WHERE invites.digest = old.digest RETURNING 1
)
SELECT count(*) AS swept FROM gone
"""
