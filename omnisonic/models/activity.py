"""The activity of a session as frozen values: who did what, and how it is undone (SPEC 3). Their JSON is camelCase."""

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from omnisonic.models import SessionId, UserId

ActivityId: TypeAlias = str
"""A UUID."""
ActivityKind: TypeAlias = Literal[
    "upload.added",
    "upload.changed",
    "upload.removed",
    "upload.restored",
    "export.requested",
    "export.removed",
    "share.added",
    "share.removed",
    "member.joined",
    "member.left",
    "member.removed",
    "member.changed",
    "session.changed",
    "marker.added",
    "marker.changed",
    "marker.removed",
    "marker.restored",
    "comment.removed",
]
StemField: TypeAlias = Literal[
    "gainDb",
    "pan",
    "muted",
    "offsetSeconds",
    "trimStartSeconds",
    "trimEndSeconds",
    "fadeInSeconds",
    "fadeOutSeconds",
    "takeOf",
]
"""What is changed of one upload."""
TrackField: TypeAlias = Literal["name", "position", "chosen"]
"""What is changed of a track. `chosen` has the upload that was chosen before, and the one that is chosen now."""
SessionField: TypeAlias = Literal["name", "tempoBpm", "beatsPerBar"]
MarkerField: TypeAlias = Literal["name", "place"]
ActivityField: TypeAlias = StemField | TrackField | SessionField | MarkerField | Literal["removed", "role"]
ActivityValue: TypeAlias = float | bool | str | list[float]
"""A list is the place of a marker: the beat that it is at, and for a section the beat where it ends."""

REMOVED: Final = "removed"
"""The field that says whether an upload is in the bin, or a marker is removed."""
ROLE: Final = "role"
"""The field that says what a person may do in the session. When ownership is passed on, it becomes `owner`."""


class Actor(msgspec.Struct, frozen=True):
    """Who did it, with the name as it was then. `id` is null when the account was deleted."""

    id: UserId | None
    name: str


class Undo(msgspec.Struct, frozen=True, rename="camel"):
    """How an event is undone: `POST` to `url`, a path of the web's.

    `allowedTo` are the users who may; null: the owner and every editor. Listeners undo nothing.
    """

    url: str
    allowed_to: list[UserId] | None


class ActivityEvent(msgspec.Struct, frozen=True, rename="camel"):
    """Something that somebody did in a session.

    `subjectId` and `subjectName` are the upload, mixdown, person, session or marker that it was done to, with the name
    as it was; a comment goes by the name of its author. For `name`, `position` and `chosen` of uploads it is the track,
    which is the `takeOf` of its takes. `field` is what was changed, with its value `before` and `after`. `undo` is null
    when it cannot be undone now.
    `undoes` is the event that this one has undone, `undoneBy` the person who has undone this one.
    """

    id: ActivityId
    session_id: SessionId
    at: datetime
    actor: Actor
    kind: ActivityKind
    field: ActivityField | None
    subject_id: str
    subject_name: str
    before: ActivityValue | None
    after: ActivityValue | None
    undoes: ActivityId | None
    undone_by: Actor | None
    undo: Undo | None
