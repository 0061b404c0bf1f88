"""Markers and sections on the timeline of a session (SPEC 3). Models and errors.

Everybody with a role sees them; the owner and editors change them. Changes and removals are recorded and can be undone
(`omnisonic.studio.activity`). For that a marker that was removed stays in the table, until `MOST_REMOVED` others were
removed after it.
"""

from typing import Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.wire.transport import SHORTEST_LOOP_BEATS

MOST_MARKERS: Final = 200
"""Most markers and sections in a session."""
MOST_REMOVED: Final = 200
"""Most removed ones that are kept of a session."""
SHORTEST_SECTION_BEATS: Final = SHORTEST_LOOP_BEATS
"""A section can be looped."""


class Place(msgspec.Struct, frozen=True):
    """Where a marker is: the beat, and for a section the beat where it ends."""

    at_beat: float
    end_beat: float | None = None


class MarkerChange(msgspec.Struct, frozen=True):
    """Changes of a marker. What is absent stays as it is; an `end_beat` of None makes a section a marker."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    at_beat: float | msgspec.UnsetType = msgspec.UNSET
    end_beat: float | msgspec.UnsetType | None = msgspec.UNSET


class NoSuchMarker(OmnisonicError):
    """The session has no such marker."""

    code = "marker_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such marker in this session. It may have been removed.")


class TooManyMarkers(OmnisonicError):
    """The session has as many markers as allowed."""

    code = "too_many_markers"

    def __init__(self) -> None:
        super().__init__(f"A session has at most {MOST_MARKERS} markers. Remove some first.")
