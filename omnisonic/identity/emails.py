"""E-mail addresses: which are valid, and which spellings are the same (SPEC 4). Pure.

One address can have several spellings: macOS decomposes letters (NFD), some keyboards type full-width ones, and
browsers write the host of `ada@bücher.example` as `xn--bcher-kva.example`. New accounts get the form of `normal_email`.
Older accounts are found by all `spellings`, first by the address as it was given. So two accounts whose addresses have
the same normal form stay apart, each with its own spelling.

A letter that Unicode treats as an ASCII letter, such as the Kelvin sign, is refused: its owner at a lenient provider
could pass for somebody else. For the same reason full-width letters in a provider's address are refused.
"""

import re
import unicodedata
from typing import Final

import idna

from omnisonic.errors import InvalidInput
from omnisonic.models.names import is_visible

LONGEST: Final = 254
"""Most characters in an address that mail can be sent to (RFC 5321, 4.5.3.1.3, less the brackets)."""
LONGEST_SPELLING: Final = 1024
"""Most characters of an address before it is brought into its normal form."""
PATTERN: Final = r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*"

_LOCAL: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+")
_ASCII_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*", re.ASCII)
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_IDNA_PREFIX: Final = "xn--"


def normal_email(text: str) -> str:
    """The normal form of a typed address: composed, without full-width letters, the host in its own script.

    Raises `InvalidInput` (`invalid_email`) for what cannot be an address.
    """
    if len(text) > LONGEST_SPELLING:
        raise _no_address()
    local, at, host = text.translate(_FULL_WIDTH).rpartition("@")
    if any(unicodedata.normalize("NFC", character) != character for character in local):
        raise _no_address()
    local = unicodedata.normalize("NFC", local)
    # Letters of many scripts have marks that no composed letter includes.
    letters = "".join(character for character in local if not unicodedata.category(character).startswith("M"))
    if not at or not _LOCAL.fullmatch(letters) or not all(map(is_visible, local if letters == local else letters)):
        raise _no_address()
    email = f"{local}@{_host(host)}"
    if len(email) > LONGEST:
        raise _no_address()
    return email


def checked_email(text: str) -> str:
    """`text`, trimmed, in its own spelling, if it can be an address. Raises as `normal_email`."""
    email = text.strip()
    normal_email(email)
    return email


def given_email(text: str) -> str:
    """The normal form of a provider's address. Raises as `normal_email`, and for full-width letters."""
    if text.rpartition("@")[0].translate(_FULL_WIDTH) != text.rpartition("@")[0]:
        raise _no_address()
    return normal_email(text)


def normal_or_same(email: str) -> str:
    """The normal form of an address, or the text itself when it is not an address."""
    try:
        return normal_email(email)
    except InvalidInput:
        return email


def spellings(email: str, *, is_given: bool = False) -> list[str]:
    """The addresses that the account of `email` may have, the likeliest first. `is_given`: a provider gave it."""
    try:
        normal = given_email(email) if is_given else normal_email(email)
    except InvalidInput:
        return [email]
    local, _, host = normal.rpartition("@")
    encoded = host if host.isascii() else idna.encode(host).decode()
    return list(dict.fromkeys((email, normal, f"{local}@{encoded}")))


def _host(host: str) -> str:
    if host.isascii() and _IDNA_PREFIX not in host.lower():
        if not _ASCII_HOST.fullmatch(host):
            raise _no_address()
        return host
    try:
        return idna.decode(idna.encode(host, uts46=True, std3_rules=True))
    except UnicodeError:
        raise _no_address() from None


def _no_address() -> InvalidInput:
    return InvalidInput("Enter an e-mail address, such as ada@example.com.", code="invalid_email")
