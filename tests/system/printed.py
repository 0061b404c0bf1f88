"""What the documents print: its blocks, and the few words in them that everybody replaces by their own."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
OPERATING: Final = ROOT / "docs/operating.md"
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str, document: Path = OPERATING) -> list[str]:
    """All blocks in this language, in their order."""
    return [text for named, text in _BLOCK.findall(document.read_text()) if named == language]


def block(language: str, containing: str, document: Path = OPERATING) -> str:
    """The one block in this language that contains this."""
    (found,) = [text for text in blocks(language, document) if containing in text]
    return found


def settings_in(text: str) -> dict[str, str]:
    """The variables that a block of `NAME=value` lines sets."""
    return dict(re.findall(r"^([A-Z][A-Z_0-9]+)=(.*)$", text, re.MULTILINE))


def replaced(text: str, words: Mapping[str, str]) -> str:
    """`text` with these words in it replaced, all at once: what is put in may hold another of the words.

    Each must be there: nothing is replaced that is not printed.
    """
    for word in words:
        assert word in text, f"{word!r} is not printed"
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: words[found[0]], text)
