"""What `/api/upload` takes besides files: how a stem sits in the mix, pages of the list (SPEC 3)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from omnisonic.http.api.session_inputs import CURSOR
from omnisonic.http.core.inputs import Input
from omnisonic.studio.uploads import GAIN_DB, LONGEST_PAGE, OFFSET_S, PAN

FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Audio, an image or a video, by its content."},
        "sessionId": {"type": "string", "description": "The session that it is for, if any."},
    },
    "required": ["file"],
}
"""The JSON Schema of the form that carries a file."""
LISTED: Final = LONGEST_PAGE


class UploadQuery(Input):
    """The uploads of a session, or one's own."""

    session_id: str | None = Field(
        default=None, description="Only those in this session; without it, all that one uploaded."
    )
    limit: int = Field(default=LISTED, ge=1, le=LONGEST_PAGE, description="Most uploads to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR}$"})] | None = Field(
        default=None, description="List what comes after: the `nextBefore` of an earlier answer, or a time."
    )


class MixChanges(Input):
    """What is to be different; what is absent or null stays as it is."""

    gain_db: Annotated[float, Field(ge=GAIN_DB[0], le=GAIN_DB[1])] | None = None
    pan: Annotated[float, Field(ge=PAN[0], le=PAN[1])] | None = None
    muted: bool | None = None
    offset_seconds: Annotated[float, Field(ge=OFFSET_S[0], le=OFFSET_S[1])] | None = None
