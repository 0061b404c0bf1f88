"""The header that tells a browser to save a file and not to show it (RFC 6266, RFC 8187). Pure."""

from typing import Final
from urllib.parse import quote

_PLAIN: Final = frozenset(" !#$&+-.^_`|~()[]{}@=,'")
"""What a quoted file name may have beside letters and digits: nothing that a browser unescapes in its own way."""


def attachment(file_name: str) -> str:
    """`Content-Disposition` for a file of this name: once in ASCII, and as it is, where that is more."""
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in _PLAIN) else "_" for letter in file_name
    )
    header = f'attachment; filename="{plain}"'
    return header if plain == file_name else f"{header}; filename*=UTF-8''{quote(file_name, safe='')}"
