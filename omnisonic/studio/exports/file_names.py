"""What the file of an export is called, after its session: a name that every file system takes. Pure."""

import re
from typing import Final

from omnisonic.models import ExportFormat
from omnisonic.models.names import is_visible, without_controls

LONGEST_BYTES: Final = 200
"""Of the UTF-8 before the ending: file systems take 255, and browsers add a number to what they have already."""
FALLBACK: Final = "Mixdown"
"""When nothing is left of the session's name."""

_UNSAFE: Final = re.compile(r'[/\\:*?"<>|]+')
"""What means something to one system or another."""
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""What Windows keeps for itself, with any ending."""


def file_name_of(session_name: str, format_: ExportFormat) -> str:
    """Such as `Night jam.wav`."""
    name = _UNSAFE.sub("-", without_controls(session_name))
    name = name.encode()[:LONGEST_BYTES].decode(errors="ignore").strip(" .")
    if not is_visible(name.strip("-")):
        name = FALLBACK
    if _DEVICE.fullmatch(name):
        name = f"{name} mix"
    return f"{name}.{format_}"
