"""Invites: links whose secret makes whoever opens them signed in a collaborator (SPEC 3). Pure.

Only a digest of the secret is kept, so that who reads the database can open no link.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import Final

TOKEN_BYTES: Final = 24


def new_invite() -> str:
    """A secret that nobody can guess: what stands in the link, `/invites/<token>`."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def invite_digest(token: str) -> str:
    """What the database knows the invite by: SHA-256 in base64url, 43 characters."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
