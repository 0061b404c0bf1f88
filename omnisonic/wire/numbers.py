"""Numbers in payloads: each must be an IEEE double, or other people's JSON parsers break on it (SPEC 5.2). Pure.

Payloads go on as the bytes they came as. To know their numbers a payload is parsed, and what comes of it is thrown
away: that takes less time than any search for exponents that was measured. Numbers that are too large or too long by
their digits are looked for, in long messages only: others have no room for them.
"""

import math
import re
from typing import Final

import msgspec

from omnisonic.errors import InvalidInput

NUMBER_LENGTH: Final = 1_100
"""Most characters of a number. Every IEEE double can be written exactly with fewer: 1,074 decimals at most."""
STRINGS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""Strings; one that never ends counts to the end of the text, or each quote in it would be looked at as a beginning."""

_STEP: Final = 32
_DIGIT_RUN: Final = 256
"""A number that is too large or too long, but not by its exponent, has this many digits in a row."""
_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_ONLY_NUMBERS: Final = bytes(byte if byte in b"0123456789.eE+-" else ord(" ") for byte in range(256))
_RUN: Final = b"0" * _DIGIT_RUN
_STEPPED_RUN: Final = b"0" * (_DIGIT_RUN // _STEP)

parse: Final = msgspec.json.Decoder().decode
"""Parses JSON. Errors: `msgspec.DecodeError` when an exponent is more than a double holds."""


def check_digits(text: bytes) -> None:
    """See that no number in `text`, which is JSON, is too large or too long by its digits. Errors: as `check_numbers`.

    Of a long row of digits every `_STEP`th byte is a digit, too: mostly only those are looked at.
    """
    if _STEPPED_RUN not in text[::_STEP].translate(_ZEROS) or _RUN not in text.translate(_ZEROS):
        return
    for number in STRINGS.sub(b" ", text).translate(_ONLY_NUMBERS).split():
        if len(number) >= _DIGIT_RUN and (len(number) > NUMBER_LENGTH or math.isinf(float(number))):
            raise no_double()


def check_numbers(payload: msgspec.Raw) -> None:
    """See that all numbers of `payload`, which is JSON, are finite as IEEE doubles, and not too long.

    Errors: `InvalidInput` (`invalid_number`).
    """
    try:
        parse(payload)
    except msgspec.DecodeError:
        raise no_double() from None
    check_digits(bytes(payload))


def no_double() -> InvalidInput:
    """What to tell whoever sent such a number."""
    return InvalidInput("A number in this message is no IEEE double.", code="invalid_number")
