"""What `/api/export` takes (SPEC 3). Pure; the OpenAPI document is made from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from omnisonic.http.core.inputs import Id, Input
from omnisonic.models import ExportFormat


def _in_lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class NewExport(Input):
    """A mixdown to be made of a session, as it is then."""

    session_id: Id
    format: Annotated[ExportFormat, BeforeValidator(_in_lower_case)] = Field(
        default="wav", description="24-bit WAV, FLAC or MP3, at 48 kHz, in stereo."
    )


class ExportQuery(Input):
    """One export by its `id`, or those of a session."""

    id: str | None = Field(default=None, description="Only this export.")
    session_id: str | None = Field(default=None, description="Those of this session, newest first.")
