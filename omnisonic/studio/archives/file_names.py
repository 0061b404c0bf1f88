"""Names of files that Windows, macOS and Linux take, made of the names that people give. Pure.

People may call a track anything: `..`, `AC/DC`, `con`, an emoji, 255 characters of it. What a file system refuses or
reads as something else is replaced; the rest stays as it was written, in whatever script.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from omnisonic.models.names import is_visible, without_controls

LONGEST_NAME_BYTES: Final = 200
"""Of a file name's UTF-8 before the ending: file systems take 255, and browsers may append a number."""
LONGEST_PART_BYTES: Final = 100
"""Of the names in an archive, which are unpacked into folders: Windows takes 260 characters for the whole path."""
LONGEST_ENDING: Final = 10

_UNSAFE: Final = re.compile(r'[/\\:*?"<>|]+')
"""Characters that are special on some file system."""
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
"""Names that Windows reserves, with any ending."""
_ENDING: Final = re.compile(rf"\.[A-Za-z0-9]{{1,{LONGEST_ENDING}}}")


def safe_name(text: str, fallback: str, longest_bytes: int = LONGEST_NAME_BYTES) -> str:
    """A name for a file, without its ending, or for a folder.

    `text` is how people call it, `fallback` the name when nothing visible is left. Longer ones are cut between letters.
    """
    name = _clean(text, fallback, longest_bytes)
    return f"_{name}" if _DEVICE.fullmatch(name) else name


def _clean(text: str, fallback: str, longest_bytes: int) -> str:
    """A safe name but for those of devices."""
    name = unicodedata.normalize("NFC", _UNSAFE.sub("-", without_controls(text)))
    name = name.encode()[:longest_bytes].decode(errors="ignore").strip(" .")
    return name if is_visible(name.strip("-")) else fallback


def ending_of(file_name: str) -> str:
    """The ending of a file's name with its dot; empty when it has none that looks like one."""
    ending = PurePosixPath(file_name).suffix
    return ending.lower() if _ENDING.fullmatch(ending) else ""


def numbered(names: Sequence[str], fallback: str) -> list[str]:
    """Names of files in one folder, without endings: each safe, with its number in front.

    So a folder shows them in their order, and equal names are different files, also where case does not count.
    """
    digits = max(2, len(str(len(names))))
    safe = [_clean(name, fallback, LONGEST_PART_BYTES) for name in names]
    return [f"{number:0{digits}} {name}" for number, name in enumerate(safe, 1)]
