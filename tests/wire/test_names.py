"""Names that people see: what real ones have is allowed, what fakes or hides is not. One rule for all of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.models import DISPLAY_NAME_LENGTH, Person
from omnisonic.models.checks import (
    checked_display_name,
    checked_member_id,
    checked_room_id,
    checked_session_name,
    default_display_name,
)
from omnisonic.models.names import has_controls, has_halves, has_marks, is_plain, is_visible
from omnisonic.studio.uploads import checked_file_name

NAMES: list[Callable[[str], str]] = [checked_display_name, checked_session_name, checked_file_name]
IDS: list[Callable[[str], str]] = [checked_room_id, checked_member_id]
REAL = [
    "\u200f\u05e9\u05dc\u05d5\u05dd.wav",
    "take (1)\u200e.wav",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
    "\U0001f469\u200d\U0001f3a4",  # a singer: two emoji and a joiner
    "\u2764\ufe0f",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # a flag, spelled in tags
    "co\u00adop",
]
FAKED = ["\u202egpj.exe", "a\u2066b\u2069", "a\u202db", "a\nb", "a\x1b[2J", "a\u2028b", "a\x85b", "a\ud800", "a\x7f"]
UNSEEN = [
    "\u3164",
    "\u2800",
    "\u115f\u1160",
    "\u200b",
    "\u200d\u200c",
    "\u200e \u200f",
    "\ufe0f",
    "\U000e0067",
    "\uffa0",
    "\xad",
    "\u180e",
    "\ufeff",
    "\u034f",
]


@pytest.mark.parametrize("name", REAL, ids=ascii)
def test_what_real_names_have_is_allowed(name: str) -> None:
    """Marks of direction, joiners, selectors."""
    assert [check(name) for check in NAMES] == [name] * 3


@pytest.mark.parametrize("check", NAMES + IDS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", FAKED + UNSEEN, ids=ascii)
def test_what_fakes_or_cannot_be_seen_is_refused(check: Callable[[str], str], name: str) -> None:
    """In names and in ids, with a code that says which."""
    with pytest.raises(InvalidInput) as error:
        check(name)
    what = check.__name__.removeprefix("checked_").removeprefix("session_")
    assert error.value.code == f"invalid_{what}"


@pytest.mark.parametrize("check", IDS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("mark", ["\u200e", "\u200f", "\u061c"], ids=ascii)
def test_an_id_has_no_marks_of_direction(check: Callable[[str], str], mark: str) -> None:
    """Two ids that look the same would not be."""
    with pytest.raises(InvalidInput):
        check(f"jam{mark}")


def test_a_name_that_cannot_be_seen_becomes_somebody() -> None:
    """Some providers allow such names."""
    for name in ("\u3164", "\u2800\u200b", "\u200f"):
        assert default_display_name(Person("1", name, None, None)) == "Somebody"


def test_half_a_character_is_named_in_the_error() -> None:
    """A program may have cut a name in the middle of an emoji."""
    with pytest.raises(InvalidInput, match="half a character"):
        checked_display_name("Ada \ud83d")


@given(st.text(st.characters(max_codepoint=255), max_size=4))
def test_a_plain_name_breaks_no_rule(name: str) -> None:
    """So the rules need not be asked one by one; and in ASCII every name that breaks none is plain."""
    is_good = is_visible(name) and not (has_controls(name) or has_halves(name) or has_marks(name))
    assert is_plain(name) == (is_good and name.isascii())


def test_a_plain_name_may_be_too_long() -> None:
    """Whatever it is made of, its length counts."""
    with pytest.raises(InvalidInput):
        checked_display_name("a" * (DISPLAY_NAME_LENGTH + 1))
