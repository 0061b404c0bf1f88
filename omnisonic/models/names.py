"""The characters of names: of members, sessions, accounts and files (SPEC 3 and 5.1). Pure. One rule for all.

Refused are control characters, line separators, lone surrogates, and direction overrides, because these can fake a name
on a screen (`gpj.exe` for `exe.jpg`). Marks are allowed, because real names have them: right-to-left marks, joiners in
Persian and in emoji, variation selectors. At least one character must be visible, which spaces and characters that
Unicode lets programs ignore are not.
"""

import re
from typing import Final

CONTROLS: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""The characters that no name may have."""
SPACES: Final = "\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""The characters for which `str.isspace` is true, without controls."""
IGNORABLE: Final = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point (Unicode's DerivedCoreProperties), without controls."""
BLANK: Final = "\u2800"
"""The braille pattern without dots: a symbol in Unicode, but invisible."""

MARKS: Final = "\u061c\u200e\u200f"
"""The invisible marks of direction. Names may have them, ids may not."""

_CONTROL: Final = re.compile(f"[{CONTROLS}]")
_HALF: Final = re.compile("[\ud800-\udfff]")
_MARK: Final = re.compile(f"[{MARKS}]")
_VISIBLE: Final = re.compile(f"[^{CONTROLS}{SPACES}{IGNORABLE}{BLANK}]")


def is_plain(name: str) -> bool:
    """Whether `name` is printable ASCII that is not blank, as most names are: then it is a good one."""
    return name.isascii() and name.isprintable() and name != "" and not name.isspace()


def has_controls(name: str) -> bool:
    """Whether `name` has characters that no name may have."""
    return _CONTROL.search(name) is not None


def has_halves(name: str) -> bool:
    """Whether `name` has a lone surrogate, for example because it was cut in the middle of an emoji."""
    return _HALF.search(name) is not None


def has_marks(name: str) -> bool:
    """Whether `name` has marks of direction."""
    return _MARK.search(name) is not None


def is_visible(name: str) -> bool:
    """Whether `name` has a visible character."""
    return _VISIBLE.search(name) is not None


def without_controls(name: str) -> str:
    """`name` with each run of forbidden characters replaced by a space."""
    return re.sub(f"[{CONTROLS}]+", " ", name)
