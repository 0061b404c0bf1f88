"""The table `logins`, and the view of those that hold, `live_logins`."""

from typing import Final

OPEN: Final = """
-- $1 sign-in, $2 user, $3 the sign-in that ends by it, or NULL, $4 the hash of the password that was right, or NULL. No
-- row, and nothing done, when the user has another password by now. Their row is locked: who changes the password
-- waits, and then ends this sign-in with the others.
WITH person AS MATERIALIZED (
    SELECT id FROM users WHERE id = $2 AND ($4::text IS NULL OR password_hash = $4) FOR SHARE
), ended AS (
    DELETE FROM logins USING person WHERE logins.id = $3
)
INSERT INTO logins (id, user_id) SELECT $1, id FROM person RETURNING true
"""

END_ALL: Final = """
-- $1 user, whose row is locked by an earlier statement of this transaction.
DELETE FROM logins WHERE user_id = $1
"""

END: Final = """
-- $1 sign-in. One that has run out is none; it is swept.
DELETE FROM live_logins WHERE id = $1 RETURNING true
"""

SIGNED_IN: Final = """
-- $1 sign-in.
SELECT person.id::text, person.name, person.email, person.image, login.expires_at
FROM live_logins AS login JOIN users AS person ON person.id = login.user_id
WHERE login.id = $1
"""

TOUCH: Final = """
-- $1 sign-in. One that has run out stays so.
UPDATE live_logins SET seen_at = now() WHERE id = $1
"""

SWEEP: Final = """
-- $1 idle for how long, $2 how many at most. One that is too old is idle soon enough, since it cannot be used any more.
WITH old AS (
    SELECT id FROM logins WHERE seen_at <= now() - $1::interval ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM logins USING old WHERE logins.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
"""
