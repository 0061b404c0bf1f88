"""Server keys: what a program shows to send messages into rooms over HTTP (SPEC 3). Pure.

A key is random, and too long to be guessed, so a plain digest of it is stored. The prefix is there for people, and for
programs that look for secrets in source code.
"""

import hashlib
import secrets
from typing import Final

PREFIX: Final = "osk_"
KEY_BYTES: Final = 32
LONGEST: Final = 64
"""Characters that are looked at."""


def generate_server_key() -> str:
    """A new key: the prefix and 43 letters, digits, `-` and `_`."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_server_key(key: str) -> bytes:
    """What is stored of a key: its SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def looks_like_server_key(token: str) -> bool:
    """Whether this is a server key by its form, and not the operator's token."""
    return token.startswith(PREFIX) and len(token) <= LONGEST
