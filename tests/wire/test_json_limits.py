"""Numbers in payloads: whatever is not an IEEE double is refused anywhere, and nothing else is."""

import gc
import json
import math
import time
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.wire.json_limits import NUMBER_LENGTH, check_numbers
from omnisonic.wire.messages import MESSAGE_BYTES

bounded = settings(max_examples=300)
LARGEST: Final = "179769313486231570"
"""The first digits of the largest double, which has 309."""
SMALLEST: Final = format(Decimal(math.ulp(0.0)), "f")
"""The smallest double in all its digits, which are 1,074 decimals."""
BOMB_S: Final = 0.5
"""CPU time. Checking 64 KiB takes a millisecond or two."""

GOOD: Final = [
    "0", "-0.0", "1.50", "1e308", "-1E+308", "1e-999", "0e999", "1e0000000001", "123456789012345678901234567890",
    LARGEST + "0" * 291, "9" * 308, "0." + "9" * 1000, SMALLEST, "1e" + "0" * 1000 + "1",
    '"1e999"', '"' + "9" * 50_000 + '"', '"\\"1e999\\\\"', '{"1e999":1}', "[true,false,null]",
    '{"a":"' + "0123456789" * 3000 + '","b":[1e5,1E5]}',
]  # fmt: skip
BAD: Final = [
    "1e999", "-1e999", "1E309", "1e+309", "1.8e308", "12345e305", "1e0000000309", "0.1e310", "1.0e999999999999",
    "18" + "0" * 307, "9" * 309, "-" + "9" * 309, "9" * 50_000, "9" * 250 + "e100", "1." + "0" * 2000 + "e400",
    "0." + "1" * 50_000, "1e-" + "0" * 2000 + "1", "1." + "1" * NUMBER_LENGTH,
]  # fmt: skip
PLACES: Final = ["%s", "[%s]", '{"a":%s}', '[1,[{"b":[%s,2]}]]', '["\\"",%s,"1e5"]', '["' + "x" * 31 + '",%s ]']


def is_refused(payload: str) -> bool:
    """Whether this payload is, with the right code."""
    try:
        check_numbers(msgspec.Raw(payload.encode()))
    except InvalidInput as wrong:
        return wrong.code == "invalid_number"
    return False


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", GOOD, ids=lambda number: number[:20])
def test_what_a_double_can_hold_is_taken_and_strings_may_say_anything(number: str, place: str) -> None:
    """The largest integer, the smallest fraction in all its digits, what rounds to zero; anything in a string."""
    assert not is_refused(place % number)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", BAD, ids=lambda number: number[:20])
def test_what_is_no_double_is_refused_wherever_it_stands(number: str, place: str) -> None:
    """Too large by its exponent or by its digits, or longer than any double is."""
    assert is_refused(place % number)


def is_bad(number: str) -> bool:
    return len(number) > NUMBER_LENGTH or math.isinf(float(number))


digits = st.one_of(st.integers(0, 99).map(str), st.integers(1, 9).flatmap(
    lambda digit: st.integers(1, 1300).map(lambda length: str(digit) * length)
))  # fmt: skip
exponents = st.one_of(
    st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), digits)
)
fractions = st.one_of(st.just(""), digits.map(".{}".format))
numbers = st.builds("{}{}{}{}".format, st.sampled_from(["", "-"]), digits, fractions, exponents)
texts = st.one_of(st.text(max_size=9), numbers).map(json.dumps)
payloads = st.recursive(
    st.one_of(numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(texts, inner, max_size=3).map(
            lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items.items()) + "}"
        ),
    ),
)


@bounded
@given(payloads)
@example("[1e5," + "9" * 309 + "]")
def test_it_agrees_with_a_parser_that_looks_at_every_number(payload: str) -> None:
    """Python's own, which hands over each number as it is written."""
    seen: list[str] = []

    def collect(number: str) -> Any:
        seen.append(number)
        return 0

    json.loads(payload, parse_float=collect, parse_int=collect)
    assert is_refused(payload) == any(map(is_bad, seen))


@bounded
@given(st.integers(0, 100), st.integers(290, 330), st.integers(0, 100))
def test_no_long_row_of_digits_is_overlooked(before: int, length: int, behind: int) -> None:
    """At any position, and exactly from the digit on that makes it too large."""
    assert is_refused(f'["{"x" * before}",{"9" * length},"{"9" * behind}"]') == (length > 308)


@pytest.mark.parametrize(
    "payload",
    [
        "[" + "1.5," * 16_000 + "1e999]",
        "[" + "1e1," * 16_000 + "9" * 300 + "]",
        "[" + "[]," * 21_000 + "1e999]",
        "[" + "9" * 255 + ("," + "9" * 255) * 250 + "," + "9" * 309 + "]",
        "9" * 65_000,
        '"' + '\\"' * 32_000 + "9" * 300 + '"',
        "[" + '"9",' * 16_000 + "9" * 300 + "]",
    ],
    ids=lambda payload: payload[:12],
)
def test_checking_numbers_is_fast(payload: str) -> None:
    """64 KiB that were written to be slow are not."""
    assert len(payload) <= MESSAGE_BYTES
    gc.disable()  # a collection would go through all objects of the tests
    try:
        started_s = time.thread_time()
        is_refused(payload)
        assert time.thread_time() - started_s < BOMB_S
    finally:
        gc.enable()
