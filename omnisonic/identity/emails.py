"""E-mail addresses: what can be one, and which spellings are the same (SPEC 4). Pure.

One address has many spellings: a Mac decomposes letters (NFD), some keyboards type full-width ones, and browsers write
the host of `ada@bücher.example` as `xn--bcher-kva.example`. `normal_email` is the one that new accounts get. Accounts
that were made under another spelling are still found by it: `spellings` begins with the address as it was given. So of
two accounts whose addresses are the same by now, each is reached by its own spelling, and neither is merged or lost.

A letter that Unicode calls the same as an ASCII one, such as the Kelvin sign, is in no address: whoever owned one at a
lenient provider would pass for somebody else. For the same reason a provider's address is never read as full-width.
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
    """The normal form of what a person has typed: composed, no full-width letters, the host in its own script.

    Errors: `InvalidInput` (`invalid_email`) for what cannot be an address.
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
    """`text`, trimmed, when it can be an address, in the spelling that it has. Errors: as `normal_email`."""
    email = text.strip()
    normal_email(email)
    return email


def given_email(text: str) -> str:
    """The normal form of an address that a provider gives. Errors: as `normal_email`, also for full-width letters."""
    if text.rpartition("@")[0].translate(_FULL_WIDTH) != text.rpartition("@")[0]:
        raise _no_address()
    return normal_email(text)


def normal_or_same(email: str) -> str:
    """The normal form of an address, or itself when it is none."""
    try:
        return normal_email(email)
    except InvalidInput:
        return email


def spellings(email: str, *, is_given: bool = False) -> list[str]:
    """Under which addresses the account of `email` may be kept, the likeliest first; `is_given` by a provider."""
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
