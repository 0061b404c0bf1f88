"""Whether a secret is easy to guess: too short, repeated, counted up, or made of placeholder words (SPEC 2). Pure.

It counts the characters that cannot be predicted from those before them. Random secrets of the required length always
have enough of them. No sentence quotes the secret.
"""

import re
from typing import Final

from pydantic import SecretStr

SIGNING_BYTES: Final = 32
"""The shortest signing secret in production."""
TOKEN_BYTES: Final = 24
"""The shortest token of an operator or a scraper in production."""
VARIETY: Final = 8
"""A random secret has at least this many different characters."""
FRESH_SHARE: Final = 0.6
"""This part of the required length must be unpredictable characters. Random hexadecimal digits repeat
sometimes, but less than that."""
REPEAT: Final = 3
"""A sequence of this many characters that occurred before counts as a repetition."""
CHECKED_LENGTH: Final = 512
"""How many characters are checked."""
_PLACEHOLDERS: Final = re.compile(
    "change|replace|placeholder|example|sample|default|insecure|secret|secure|password|passwd|passphrase|letmein|"
    "welcome|admin|operator|token|development|production|testing|dummy|foobar|foo|bar|baz|lorem|ipsum|dolor|nextauth|"
    "omnisonic|studio|signing|cookie|please|super|really|random|string|value|bytes|characters|this|your|with|here|"
    "must|should|least|long|very|some|not|key|dev|test|todo|me|my|is|it|in|at|to|be|of|the|and|for|"
    "openssl|rand|hex|output|goes|qwertyuiop|qwerty|asdfghjkl|asdf|zxcvbnm|1q2w3e4r5t|1q2w3e|correct|horse|battery|staple|hunter2",
    re.IGNORECASE,
)
_BETWEEN_WORDS: Final = re.compile(r"[\W_]+", re.ASCII)


def secret_problems(variable: str, secret: SecretStr | None, least_bytes: int) -> list[str]:
    """The problem of the secret in `variable` as a list of one sentence, which says how to make a good one, or none."""
    make = "`openssl rand -hex 32` makes a good one"
    if secret is None:
        return [f"{variable} is not set, and production needs it: {make}."]
    value = secret.get_secret_value()
    if len(value.encode("utf-8", "surrogateescape")) < least_bytes:
        return [f"{variable} is too easy to guess: production needs {least_bytes} random bytes or more, and {make}."]
    if (
        len(set(value)) < VARIETY
        or _count_unpredictable(_without_words(value[:CHECKED_LENGTH])) < FRESH_SHARE * least_bytes
    ):
        return [f"{variable} is too easy to guess: it repeats itself or is made of known words, and {make}."]
    return []


def _without_words(value: str) -> str:
    """`value` without placeholder words. Only separate words count, because random text may contain short ones."""
    parts = _BETWEEN_WORDS.split(value)
    return "".join(part for part in parts if _PLACEHOLDERS.sub("", part).strip("0123456789"))


def _count_unpredictable(value: str) -> int:
    """How many characters neither continue a sequence (`abc`, `321`, `aaa`) nor repeat an earlier part."""
    fresh = at = 0
    while at < len(value):
        length = _repeated_length(value, at)
        if length >= REPEAT:
            at += length
            continue
        fresh += not _continues_sequence(value, at)
        at += 1
    return fresh


def _repeated_length(value: str, at: int) -> int:
    """How many characters from `at` on occurred before in the same order."""
    length = 0
    while at + length < len(value) and value[at : at + length + 1] in value[:at]:
        length += 1
    return length


def _continues_sequence(value: str, at: int) -> bool:
    """Whether the character continues the sequence of the two before it: `abc`, `321`, `aaa`."""
    if at < 2:
        return False
    step = ord(value[at]) - ord(value[at - 1])
    return step in (-1, 0, 1) and step == ord(value[at - 1]) - ord(value[at - 2])
