"""UUIDs in texts from outside. Only the usual form names a row."""

import re
from typing import Final

NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
"""The id of nothing. In order it is before all others."""

_UUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid_or_none(text: str) -> str | None:
    """`text` when it is a UUID as Postgres writes it, else None, which in SQL equals nothing.

    Capitals, braces and other forms that Postgres would read are refused: a session's room is called by this text, and
    one session must not have two rooms.
    """
    return text if _UUID.fullmatch(text) else None
