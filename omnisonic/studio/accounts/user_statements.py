"""The table `users`. E-mail addresses are compared in lower case, as the index `users_by_email` has them."""

from typing import Final

_FOUND: Final = """(
    SELECT known.id FROM users AS known JOIN unnest($1::text[]) WITH ORDINALITY AS spelling (email, place)
        ON lower(known.email COLLATE "C") = lower(spelling.email COLLATE "C")
    ORDER BY spelling.place LIMIT 1
)"""
"""Whose e-mail address is one of the spellings $1; of several that of the first of them."""

HASH_OF: Final = f"""
-- $1 spellings of an e-mail address.
SELECT id::text, password_hash FROM users
WHERE id = {_FOUND} AND password_hash IS NOT NULL
"""

REGISTER: Final = f"""
-- $1 spellings of an e-mail address, $2 the one that is kept, $3 hash, $4 name. No row when the address has an account.
INSERT INTO users (email, password_hash, name) SELECT $2::text, $3::text, $4::text WHERE {_FOUND} IS NULL
ON CONFLICT DO NOTHING RETURNING id::text
"""

SET_HASH: Final = f"""
-- $1 spellings of an e-mail address, $2 hash.
UPDATE users SET password_hash = $2 WHERE id = {_FOUND} RETURNING id::text
"""

REHASH: Final = """
-- $1 user, $2 hash, $3 the hash that it replaces; NULL is any, but not none.
UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = coalesce($3, password_hash)
"""

LOCK_BY_EMAIL: Final = f"""
-- $1 spellings of an e-mail address.
SELECT id::text, email_verified_at IS NOT NULL AS verified FROM users
WHERE id = {_FOUND} FOR NO KEY UPDATE
"""

VERIFY: Final = """
-- $1 user. The password was set before anybody showed that the address is theirs.
UPDATE users SET email_verified_at = now(), password_hash = NULL WHERE id = $1
"""

COMPLETE: Final = """
-- $1 user, $2 name, $3 image: what is not known of them yet.
UPDATE users SET name = coalesce(name, $2), image = coalesce(image, $3)
WHERE id = $1 AND (name IS NULL OR image IS NULL)
"""

CREATE: Final = """
-- $1 e-mail or NULL, $2 name, $3 image. Errors: a unique violation when the address has an account.
INSERT INTO users (email, email_verified_at, name, image)
VALUES ($1::text, CASE WHEN $1::text IS NULL THEN NULL ELSE now() END, $2, $3) RETURNING id::text
"""

LIST: Final = """
-- All accounts, those made first at the top, and how each signs in.
SELECT email, name, created_at, password_hash IS NOT NULL AS has_password,
       array(SELECT provider FROM identities WHERE user_id = users.id ORDER BY provider) AS providers
FROM users ORDER BY created_at, id
"""
