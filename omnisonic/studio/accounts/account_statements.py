"""The tables `users`, `identities` and `logins`, and `live_logins`, the view of the sign-ins that hold.

E-mail addresses are compared in lower case, as the index `users_by_email` has them. An identity is the name by which a
provider knows a user.
"""

from typing import Final

_USER_BY_EMAIL: Final = """(
    SELECT known.id FROM users AS known JOIN unnest($1::text[]) WITH ORDINALITY AS spelling (email, place)
        ON lower(known.email COLLATE "C") = lower(spelling.email COLLATE "C")
    ORDER BY spelling.place LIMIT 1
)"""
"""The user whose e-mail address is one of the spellings $1; of several users the one with the first of them."""

FIND_PASSWORD: Final = f"""
-- $1 spellings of an e-mail address.
SELECT id::text, password_hash FROM users
WHERE id = {_USER_BY_EMAIL} AND password_hash IS NOT NULL
"""

REGISTER: Final = f"""
-- $1 spellings of an e-mail address, $2 the one to store, $3 hash, $4 name. No row when the address has an account.
INSERT INTO users (email, password_hash, name) SELECT $2::text, $3::text, $4::text WHERE {_USER_BY_EMAIL} IS NULL
ON CONFLICT DO NOTHING RETURNING id::text
"""

SET_PASSWORD: Final = f"""
-- $1 spellings of an e-mail address, $2 hash.
UPDATE users SET password_hash = $2 WHERE id = {_USER_BY_EMAIL} RETURNING id::text
"""

REHASH: Final = """
-- $1 user, $2 hash, $3 the hash that it replaces; NULL is any, but not none. A row when it has replaced one.
UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = coalesce($3, password_hash) RETURNING id
"""

LOCK_USER_BY_EMAIL: Final = f"""
-- $1 spellings of an e-mail address.
SELECT id::text, email_verified_at IS NOT NULL AS verified FROM users
WHERE id = {_USER_BY_EMAIL} FOR NO KEY UPDATE
"""

VERIFY_EMAIL: Final = """
-- $1 user. The password goes: it was set before anybody had verified the address.
UPDATE users SET email_verified_at = now(), password_hash = NULL WHERE id = $1
"""

COMPLETE_PROFILE: Final = """
-- $1 user, $2 name, $3 image. Only what is not set yet is changed.
UPDATE users SET name = coalesce(name, $2), image = coalesce(image, $3)
WHERE id = $1 AND (name IS NULL OR image IS NULL)
"""

CREATE_USER: Final = """
-- $1 e-mail or NULL, $2 name, $3 image. Errors: a unique violation when the address has an account.
INSERT INTO users (email, email_verified_at, name, image)
VALUES ($1::text, CASE WHEN $1::text IS NULL THEN NULL ELSE now() END, $2, $3) RETURNING id::text
"""

LIST_USERS: Final = """
-- All accounts, oldest first, and how each signs in.
SELECT email, name, created_at, password_hash IS NOT NULL AS has_password,
       array(SELECT provider FROM identities WHERE user_id = users.id ORDER BY provider) AS providers
FROM users ORDER BY created_at, id
"""

FIND_IDENTITY: Final = """
-- $1 provider, $2 subject.
SELECT user_id::text FROM identities WHERE provider = $1 AND subject = $2
"""

ADD_IDENTITY: Final = """
-- $1 provider, $2 subject, $3 user. Errors: a unique violation when another transaction has added it.
INSERT INTO identities (provider, subject, user_id) VALUES ($1, $2, $3)
"""

OPEN_LOGIN: Final = """
-- $1 sign-in, $2 user, $3 the sign-in that ends by it, or NULL, $4 the hash of the password that was right, or NULL. No
-- row, and nothing done, when the user has another password by now. The user's row is locked: a change of the password
-- waits, and then ends this sign-in with the others.
WITH person AS MATERIALIZED (
    SELECT id FROM users WHERE id = $2 AND ($4::text IS NULL OR password_hash = $4) FOR SHARE
), ended AS (
    DELETE FROM logins USING person WHERE logins.id = $3
)
INSERT INTO logins (id, user_id) SELECT $1, id FROM person RETURNING id
"""

END_LOGINS: Final = """
-- $1 user, whose row is locked by an earlier statement of this transaction.
DELETE FROM logins WHERE user_id = $1
"""

END_LOGIN: Final = """
-- $1 sign-in. One that has expired does not count; it is swept.
DELETE FROM live_logins WHERE id = $1 RETURNING id
"""

READ_LOGIN: Final = """
-- $1 sign-in.
SELECT person.id::text, person.name, person.email, person.image, login.expires_at
FROM live_logins AS login JOIN users AS person ON person.id = login.user_id
WHERE login.id = $1
"""

TOUCH_LOGIN: Final = """
-- $1 sign-in. One that has expired stays so.
UPDATE live_logins SET seen_at = now() WHERE id = $1
"""

SWEEP_LOGINS: Final = """
-- $1 idle for how long, $2 how many at most. One that is too old is idle soon, since it cannot be used any more.
WITH old AS (
    SELECT id FROM logins WHERE seen_at <= now() - $1::interval ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM logins USING old WHERE logins.id = old.id RETURNING 1
)
SELECT count(*) AS swept FROM gone
"""
