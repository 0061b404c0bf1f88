"""Markers on the timeline of a session as frozen values (SPEC 3). Their JSON is camelCase."""

from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from omnisonic.models import SessionId

MarkerId: TypeAlias = str
"""A UUID."""
MARKER_NAME_LENGTH: Final = 64
"""Most characters in the name of a marker."""


class Marker(msgspec.Struct, frozen=True, rename="camel"):
    """A named place on the timeline, or, with an `endBeat`, a section. Beats count from 0."""

    id: MarkerId
    session_id: SessionId
    name: str
    at_beat: float
    end_beat: float | None
    created_at: datetime
    updated_at: datetime
