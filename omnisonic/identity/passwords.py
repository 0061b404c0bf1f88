"""Passwords: hashed with argon2id, the same by the web and by `omnisonic users` (SPEC 4). Pure, and slow on purpose.

A hash takes tens of milliseconds and 64 MiB, so a server does it in threads, a few at a time. A password is never cut
off. It is the same password however a keyboard composes its characters.
"""

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LONGEST: Final = 1024
"""The longest password, to limit the work of hashing."""

_HASHER: Final = PasswordHasher()
"""argon2id with the parameters of RFC 9106, section 4, for memory-constrained environments."""


def hash_password(password: str) -> str:
    """A new hash of `password`, with its salt and its parameters in it."""
    return _HASHER.hash(_normal(password))


def is_password(password: str, password_hash: str) -> bool:
    """Whether `password_hash` is a hash of `password`. False for a damaged hash."""
    try:
        return _HASHER.verify(password_hash, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash has other parameters than new hashes."""
    return _HASHER.check_needs_rehash(password_hash)


def _normal(password: str) -> bytes:
    """The password as bytes, in composed form (RFC 8265, section 4.2.2). Lone surrogates are allowed."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
