"""People, sessions, rooms, members, uploads and exports as frozen values, and the rules for names (SPEC 3 and 5.1).

Rooms, stores, bus and web share them. Their JSON is camelCase.
"""

from datetime import UTC, datetime
from typing import Final, Literal, Self, TypeAlias

import msgspec
import msgspec.structs

RoomId: TypeAlias = str
MemberId: TypeAlias = str
Status: TypeAlias = Literal["active", "away"]
UserId: TypeAlias = str
"""A UUID, in its usual form."""
LoginId: TypeAlias = str
"""Identifies a sign-in: a digest of the secret in its cookie, so it is no secret itself."""
SessionId: TypeAlias = str
"""A UUID. It is also the id of the session's room."""
UploadId: TypeAlias = str
"""A UUID."""
TrackId: TypeAlias = str
"""A UUID: the id of the upload that the track began with."""
ExportId: TypeAlias = str
"""A UUID."""
InviteId: TypeAlias = str
"""A UUID."""
AudioFormat: TypeAlias = Literal["wav", "flac", "mp3"]
"""A mixdown as one file."""
ExportFormat: TypeAlias = Literal[AudioFormat, "stems"]
"""A mixdown, or every track as a file of its own, in one zip."""
ExportStatus: TypeAlias = Literal["pending", "processing", "completed", "failed"]
Role: TypeAlias = Literal["owner", "editor", "listener"]
"""What somebody may do in a session. An editor may change all of it but its settings, people and end; a listener hears,
talks and downloads, and changes nothing.
"""
GivenRole: TypeAlias = Literal["editor", "listener"]
"""A role that an owner gives."""

SESSION_NAME_LENGTH: Final = 120
"""Most characters in a session's name."""
UNTITLED: Final = "Untitled"
TEMPO_BPM: Final = (20.0, 400.0)
BEATS_PER_BAR: Final = (1, 32)

ID_LENGTH: Final = 128
"""Most characters in a room's or a member's id."""
ID_BYTES: Final = 255
"""Most bytes in the UTF-8 of a member's id."""
DISPLAY_NAME_LENGTH: Final = 64
"""Most characters in a display name."""
NAMELESS: Final = "Somebody"
"""The display name of a person without a name and an e-mail address."""
STATUSES: Final[tuple[Status, ...]] = ("active", "away")


class Account(msgspec.Struct, frozen=True):
    """The studio account of a member. `name` is its name in the studio, None where only the id is known.

    Unlike a display name, nobody can choose it for one room.
    """

    id: UserId
    name: str | None


class _Shown(msgspec.Struct, frozen=True, rename="camel"):
    """What a client says about itself."""

    member_id: MemberId
    display_name: str
    status: Status = "active"


class Member(_Shown, frozen=True, rename="camel", kw_only=True):
    """One member of a room, as the others see them: the payload of `presence.join` and `presence.update`.

    Attributes:
        member_id: The member's id in the room, the same after reconnections.
        display_name: The name that others see.
        status: `active` or `away`.
        connected: False while the member's connection is broken and waited for.
        account: The member's studio account; UNSET where there are no accounts.

    Example:
        names = [member.display_name for member in room.members if member.status == "active"]
    """

    connected: bool = True
    account: Account | msgspec.UnsetType = msgspec.UNSET


class PresenceMember(Member, frozen=True, rename="camel"):
    """A member in the presence store, with the time when they were last known to be in the room (UTC)."""

    last_seen: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class Person(msgspec.Struct, frozen=True):
    """A user. `email` is None for those who may not see it: a session's owner sees its members', others their own."""

    id: UserId
    name: str | None
    email: str | None
    image: str | None

    def without_email(self) -> Self:
        """The same person without the address, with its first part as the name if they have none."""
        return msgspec.structs.replace(self, name=called(self) or None, email=None)


class Collaborator(Person, frozen=True):
    """A user with whom a session is shared, and their role in it."""

    role: GivenRole


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """A music session, as the user who requests it sees it (SPEC 3).

    `participants` is the number of members in its room now, None when the roster cannot be read.
    """

    id: SessionId
    name: str
    created_at: datetime
    updated_at: datetime
    tempo_bpm: float
    beats_per_bar: int
    owner: Person
    role: Role
    participants: int | None = None


class ListedSession(Session, frozen=True, kw_only=True, rename="camel"):
    """A session in a list of the user who requests it.

    Attributes:
        last_activity_at: When somebody said, wrote or did something in it last, or when it was created.
        unread: How many messages, comments and changes by others have come since `seen_at`. At most 99.
        seen_at: Until when the user has seen what happens in it.
        cover_upload_id: The oldest stem that has a waveform, null for none.
    """

    last_activity_at: datetime
    unread: int
    seen_at: datetime
    cover_upload_id: UploadId | None

    def as_session(self) -> Session:
        """The session without what lists say of it."""
        return Session(**{field: getattr(self, field) for field in Session.__struct_fields__})


class Invite(msgspec.Struct, frozen=True, rename="camel"):
    """A link that shares a session until it expires, in this role. Its secret is not stored (SPEC 3)."""

    id: InviteId
    role: GivenRole
    created_at: datetime
    expires_at: datetime


class KeptMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A message of a session's room that was written down (SPEC 5.2).

    `epoch` and `offset` are its place in the room's order, `id` is what its sender called it. `display_name` is the
    sender's name at that time, and `user_id` their user, None when that account is deleted.
    """

    epoch: str
    offset: int
    id: str | int
    sender: MemberId = msgspec.field(name="from")
    user_id: UserId | None
    display_name: str
    type: str
    payload: msgspec.Raw
    at: datetime


class Upload(msgspec.Struct, frozen=True, rename="camel"):
    """An uploaded file, its place in the mix, and its track (SPEC 3).

    `file_size` is in bytes, `mime_type` is found from the content, `sha256` is hexadecimal. What the analysis finds is
    None before it, and stays None for a file without sound. `warning` says what is missing: the file was cut off, or a
    part of it cannot be decoded.

    `name` and `position` are the track's: what it is called, and where it is in the order of the session's tracks.
    `take_of` is the track. Uploads with the same are its takes, of which one is `chosen` and heard.
    """

    id: UploadId
    user_id: UserId
    session_id: SessionId | None
    file_name: str
    file_size: int
    mime_type: str
    sha256: str
    duration_seconds: float | None
    sample_rate: int | None
    channels: int | None
    gain_db: float
    pan: float
    muted: bool
    offset_seconds: float
    name: str
    position: float
    take_of: TrackId
    chosen: bool
    trim_start_seconds: float
    trim_end_seconds: float
    fade_in_seconds: float
    fade_out_seconds: float
    created_at: datetime
    warning: str | None = None


class Export(msgspec.Struct, frozen=True, rename="camel"):
    """A mixdown or the stems of a session, requested or finished (SPEC 3).

    `progress` is in percent; `error_message` is a sentence once it has failed. These are None until it is finished:
    `file_size` in bytes, `duration_seconds`, `loudness_lufs` (ITU-R BS.1770; None for what is too quiet to measure),
    `peak_dbfs` (None for silence), both None for stems, and `warning`, which says what is missing of its files.
    """

    id: ExportId
    session_id: SessionId
    user_id: UserId | None
    format: ExportFormat
    status: ExportStatus
    progress: int
    error_message: str | None
    file_name: str
    file_size: int | None
    duration_seconds: float | None
    loudness_lufs: float | None
    peak_dbfs: float | None
    created_at: datetime
    completed_at: datetime | None
    warning: str | None = None


def called(person: Person) -> str:
    """The default name of a person: their name, or the first part of their address; may be empty."""
    return (person.name or "").strip() or (person.email or "").partition("@")[0]
