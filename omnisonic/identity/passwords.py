"""Passwords: hashed with argon2id, the same by the web and by `omnisonic users` (SPEC 4). Pure, and slow on purpose.

A hash takes tens of milliseconds and 64 MiB, so whoever serves others does it in a thread, a few at a time. Nothing is
cut off: all of a password counts. The same characters are the same password however a keyboard composes them.
"""

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LONGEST: Final = 1024
"""Most characters in a password: a bound on work, far beyond what anybody types."""

_HASHER: Final = PasswordHasher()
"""argon2id with the parameters of RFC 9106, section 4, for memory-constrained environments."""


def hash_password(password: str) -> str:
    """A new hash of `password`, with its salt and its parameters in it."""
    return _HASHER.hash(_normal(password))


def is_password(password: str, password_hash: str) -> bool:
    """Whether `password_hash` is one of `password`. A damaged hash is nobody's."""
    try:
        return _HASHER.verify(password_hash, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than are used today."""
    return _HASHER.check_needs_rehash(password_hash)


def _normal(password: str) -> bytes:
    """Composed characters as one (RFC 8265, section 4.2.2); a lone surrogate has bytes, too."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
