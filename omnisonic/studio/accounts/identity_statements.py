"""The table `identities`: by which provider somebody is known, and as whom there."""

from typing import Final

FIND: Final = """
-- $1 provider, $2 subject.
SELECT user_id::text FROM identities WHERE provider = $1 AND subject = $2
"""

ADD: Final = """
-- $1 provider, $2 subject, $3 user. Errors: a unique violation when it is known by now.
INSERT INTO identities (provider, subject, user_id) VALUES ($1, $2, $3)
"""
