"""Ids in texts: only a UUID in its usual form names a row. Whoever reads one from outside brings it into that form."""

import re
from typing import Final

_UUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid_or_none(text: str) -> str | None:
    """`text` when it is a UUID as Postgres writes it, else None, which in SQL equals nothing.

    Capitals, braces and other forms that Postgres would read are refused: a session's room is called by this text, and
    one session must not have two rooms.
    """
    return text if _UUID.fullmatch(text) else None
