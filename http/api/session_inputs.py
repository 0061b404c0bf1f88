"""What `/api/sessions` takes: names, tempi, pages of the list (SPEC 3). Pure; the OpenAPI document is made from it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from omnisonic.errors import InvalidInput
from omnisonic.http.core.inputs import Input
from omnisonic.http.core.openapi import trimmed_name_schema
from omnisonic.models import BEATS_PER_BAR, SESSION_NAME_LENGTH, TEMPO_BPM, checked_session_name
from omnisonic.studio.sessions import LONGEST_PAGE, Cursor

LISTED: Final = 50
"""Sessions in one answer when nobody says how many."""
LISTED_AT_MOST: Final = LONGEST_PAGE
_BEFORE_ALL: Final = "00000000-0000-0000-0000-000000000000"

CURSOR: Final = (
    r"([12][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(\.[0-9]{1,6})?Z(_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?"
)

_SessionName = Annotated[
    str, AfterValidator(checked_session_name), WithJsonSchema(trimmed_name_schema(SESSION_NAME_LENGTH))
]


class SessionQuery(Input):
    """One session by its `id`, or a page of them all."""

    id: str | None = Field(default=None, description="Only this session.")
    limit: int = Field(default=LISTED, ge=1, le=LISTED_AT_MOST, description="Most sessions to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR}$"})] | None = Field(
        default=None, description="List what comes after: the `nextBefore` of an earlier answer, or a time."
    )


class NewSession(Input):
    """A session to be made. Without a name it is `Untitled`."""

    name: _SessionName | None = None


class Changes(Input):
    """What is to be different; what is absent or null stays as it is."""

    name: _SessionName | None = None
    tempo_bpm: Annotated[float, Field(ge=TEMPO_BPM[0], le=TEMPO_BPM[1])] | None = None
    beats_per_bar: Annotated[int, Field(ge=BEATS_PER_BAR[0], le=BEATS_PER_BAR[1])] | None = None


def written_cursor(cursor: Cursor | None) -> str | None:
    """The cursor as `nextBefore` says it."""
    if cursor is None:
        return None
    return f"{cursor.created_at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{cursor.id}"


def read_cursor(text: str | None) -> Cursor | None:
    """The place that `before` names. Errors: `InvalidInput` (`invalid_before`).

    The 31st of a short month is a day of the next one: a place in the order all the same.
    """
    if text is None:
        return None
    found = re.fullmatch(CURSOR, text)
    if found is None:
        raise InvalidInput("before must be a nextBefore of an earlier answer, or a time.", code="invalid_before")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = int((found[7] or ".0")[1:].ljust(6, "0"))
    first_of_month = datetime(year, month, 1, hour, minute, second, fraction, tzinfo=UTC)
    return Cursor(first_of_month + timedelta(days=day - 1), (found[8] or "_" + _BEFORE_ALL)[1:])
