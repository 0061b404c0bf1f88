"""What people call their files. Nothing is ever stored under such a name; it is shown, and given back. Pure."""

import re
from typing import Final

from omnisonic.errors import InvalidInput
from omnisonic.models import checked_name

LONGEST: Final = 255
"""Most characters: as many as file systems take."""


def checked_file_name(text: str) -> str:
    """The last component of the path `text`, trimmed. Errors: `InvalidInput` (`invalid_file_name`)."""
    name = re.split(r"[/\\]", text)[-1].strip()
    if name in (".", ".."):
        raise InvalidInput("fileName must be that of a file.", code="invalid_file_name")
    return checked_name(name, name="fileName", longest=LONGEST)
