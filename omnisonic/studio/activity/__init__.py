"""Activity: what happens in a session, as rows written in the transaction that changes it (SPEC 3). Models and errors.

`omnisonic.studio.activity.recording` writes the rows, for the stores that change something. The activity store lists
them and undoes what can be undone: changes of the mix, of markers, of the session's name and tempo, and removal into
the bin. An undo is a row as well, and can be undone.

Everybody with a role in the session sees its activity. Whoever may make a change may undo it; a listener, none.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import Session, Upload
from omnisonic.models.activity import ActivityEvent
from omnisonic.models.markers import Marker
from omnisonic.studio.sessions import Cursor

MOST_EVENTS: Final = 10_000
"""Most events kept of a session. One more removes the oldest."""
MERGED_S: Final = 30.0
"""For how long further changes of the same value by the same person belong to the event of the first."""
LONGEST_PAGE: Final = 100
"""Most events in one listing."""
SOMEBODY: Final = "Somebody"
"""The name of a person who has none."""

Tell: TypeAlias = Callable[[Sequence[ActivityEvent]], Awaitable[None]]
"""Tells the rooms of events that were committed. Never raises."""


async def tell_nobody(_events: Sequence[ActivityEvent]) -> None:
    """Tell nobody: for programs without rooms."""


class NoSuchActivity(OmnisonicError):
    """The session has no such event."""

    code = "activity_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such event in this session, or it is too old to be kept.")


class CannotUndo(OmnisonicError):
    """The event is of a kind that has no undo, or what it is about is gone."""

    code = "cannot_undo"

    def __init__(self, why: str = "This cannot be undone.") -> None:
        super().__init__(why)


class AlreadyUndone(OmnisonicError):
    """The event was undone before."""

    code = "already_undone"

    def __init__(self, who: str) -> None:
        super().__init__(f"{who} has undone that already.")


class ChangedSince(OmnisonicError):
    """The value is not the one that the event left."""

    code = "changed_since"

    def __init__(self, who: str | None) -> None:
        super().__init__(f"{who} has changed it since." if who else "It was changed since.")


class ActivityPage(msgspec.Struct, frozen=True):
    """Some events, newest first. `next_before` is where the next page begins, None on the last page."""

    events: list[ActivityEvent]
    next_before: Cursor | None


class Undone(msgspec.Struct, frozen=True):
    """The event that an undo is, and the upload, the session or the marker as it is now.

    `others` are the other uploads that have changed by it, as they are now.
    """

    event: ActivityEvent
    upload: Upload | None = None
    session: Session | None = None
    others: list[Upload] = []
    marker: Marker | None = None
