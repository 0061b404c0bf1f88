"""Whether a secret could be guessed: too short, repeated, counted up, or made of placeholder words (SPEC 2). Pure.

It cannot see whether something was drawn at random, only that it was not. What counts is how many characters are left
that nobody could tell from those before them; random secrets of the wanted length always have enough of them.

No sentence quotes the secret.
"""

import re
from typing import Final

from pydantic import SecretStr

SIGNING_BYTES: Final = 32
"""The shortest signing secret that production takes."""
ADMIN_TOKEN_BYTES: Final = 24
"""The shortest operator's token that production takes."""
VARIETY: Final = 8
"""Fewer different characters than this are no random secret."""
FRESH_SHARE: Final = 0.6
"""This part of the wanted length must be characters that those before them do not tell. Random hexadecimal digits
repeat each other by accident, but not that much."""
REPEAT: Final = 3
"""So many characters that stood there before are a repetition, and no accident."""
LOOKED_AT: Final = 512
"""Characters that are looked at: more are not needed."""
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
    """What is wrong with the secret in `variable`: one sentence, which says how to make a good one, or none."""
    make = "`openssl rand -hex 32` makes a good one"
    if secret is None:
        return [f"{variable} is not set, and production needs it: {make}."]
    value = secret.get_secret_value()
    if len(value.encode("utf-8", "surrogateescape")) < least_bytes:
        return [f"{variable} is too easy to guess: production needs {least_bytes} random bytes or more, and {make}."]
    if len(set(value)) < VARIETY or _fresh(_without_words(value[:LOOKED_AT])) < FRESH_SHARE * least_bytes:
        return [f"{variable} is too easy to guess: it repeats itself or is made of known words, and {make}."]
    return []


def _without_words(value: str) -> str:
    """What is left without words that stand in for a secret. Only words that stand by themselves are taken away from
    what else may be random: a short one may be in there by accident.
    """
    parts = _BETWEEN_WORDS.split(value)
    return "".join(part for part in parts if _PLACEHOLDERS.sub("", part).strip("0123456789"))


def _fresh(value: str) -> int:
    """How many characters of `value` neither go on counting up, down or on the spot, nor repeat what stood before."""
    fresh = at = 0
    while at < len(value):
        length = _repeated(value, at)
        if length >= REPEAT:
            at += length
            continue
        fresh += not _counts_on(value, at)
        at += 1
    return fresh


def _repeated(value: str, at: int) -> int:
    """How many characters from `at` on stood there before, in this order."""
    length = 0
    while at + length < len(value) and value[at : at + length + 1] in value[:at]:
        length += 1
    return length


def _counts_on(value: str, at: int) -> bool:
    """Whether the character goes on as the two before it began: `abc`, `321`, `aaa`."""
    if at < 2:
        return False
    step = ord(value[at]) - ord(value[at - 1])
    return step in (-1, 0, 1) and step == ord(value[at - 1]) - ord(value[at - 2])
