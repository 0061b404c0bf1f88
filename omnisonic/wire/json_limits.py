"""Limits of the JSON that clients send: how deep it is nested, and which numbers it holds (SPEC 5.2). Sans-IO.

Payloads are relayed as the bytes that arrived. So they must be JSON that every other parser reads: each number an
IEEE 754 double (RFC 8259 6), and arrays and objects nested at most `DEPTH` deep. All checks take linear time; 64 KiB
that were written to be slow take a few milliseconds.

To check numbers, the payload is parsed and the result is dropped. Measured, that is faster than any search for
exponents. Only a long message has room for a number that is out of range without an exponent; `check_digits` looks for
those.
"""

import math
import re
from typing import Final

import msgspec

from omnisonic.errors import InvalidInput

DEPTH: Final = 64
"""Arrays and objects may be nested this deep."""
NUMBER_LENGTH: Final = 1_100
"""Most characters of a number. Every IEEE double can be written exactly with fewer: 1,074 decimals at most."""

_JSON_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string. One without an end counts to the end of the text; otherwise a search would begin at each quote in it."""
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = 32
_DIGIT_RUN: Final = 256
"""A number that is out of range or too long, but not by its exponent, has this many digits in a row."""
_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_ONLY_NUMBERS: Final = bytes(byte if byte in b"0123456789.eE+-" else ord(" ") for byte in range(256))
_RUN: Final = b"0" * _DIGIT_RUN
_STEPPED_RUN: Final = b"0" * (_DIGIT_RUN // _STEP)

parse_json: Final = msgspec.json.Decoder().decode
"""Parse JSON. Raises `msgspec.DecodeError` when it is not JSON, or an exponent is out of a double's range."""


def nesting_depth(text: bytes) -> int:
    """How deep arrays and objects are nested in `text`, or `DEPTH + 1` when it is more than `DEPTH`.

    Takes one pass over the brackets for each level, each at the speed of `bytes.replace`: at most `DEPTH` passes.
    Unbalanced brackets end the count; the decoder reports those.
    """
    brackets = _JSON_STRING.sub(b"", text).translate(_BRACKETS, _NO_BRACKET)
    level = 0
    while brackets and level <= DEPTH:
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets, level = shorter, level + 1
    return level


def check_digits(text: bytes) -> None:
    """Check that no number in `text` is out of range, or too long, by its digits alone. `text` must be JSON.

    In a long row of digits every `_STEP`th byte is a digit, too. In most texts only those bytes are looked at.

    Raises:
        InvalidInput: `invalid_number`.
    """
    if _STEPPED_RUN not in text[::_STEP].translate(_ZEROS) or _RUN not in text.translate(_ZEROS):
        return
    for number in _JSON_STRING.sub(b" ", text).translate(_ONLY_NUMBERS).split():
        if len(number) >= _DIGIT_RUN and (len(number) > NUMBER_LENGTH or math.isinf(float(number))):
            raise invalid_number()


def check_numbers(payload: msgspec.Raw) -> None:
    """Check that each number in `payload`, which must be JSON, is a finite IEEE double and not too long.

    Raises:
        InvalidInput: `invalid_number`.
    """
    try:
        parse_json(payload)
    except msgspec.DecodeError:
        raise invalid_number() from None
    check_digits(bytes(payload))


def invalid_number() -> InvalidInput:
    """The error for a number that is not an IEEE double."""
    return InvalidInput("A number in this message is no IEEE double.", code="invalid_number")
