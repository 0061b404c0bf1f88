"""What people, sessions, rooms and their members are, and which names are allowed (SPEC 3 and 5.1).

Plain frozen values, shared by the rooms, the stores, the bus and the web side. JSON is camelCase.
"""

import re
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from omnisonic.errors import InvalidInput
from omnisonic.models.names import has_controls, has_halves, has_marks, is_visible

RoomId: TypeAlias = str
MemberId: TypeAlias = str
Status: TypeAlias = Literal["active", "away"]
UserId: TypeAlias = str
"""A UUID, in its usual form."""
LoginId: TypeAlias = str
"""Names a sign-in: a digest of the secret in its cookie, so that knowing it opens nothing."""
SessionId: TypeAlias = str
"""A UUID. A session's room is called the same."""
UploadId: TypeAlias = str
"""A UUID."""
ExportId: TypeAlias = str
"""A UUID."""
InviteId: TypeAlias = str
"""A UUID."""
ExportFormat: TypeAlias = Literal["wav", "flac", "mp3"]
ExportStatus: TypeAlias = Literal["pending", "processing", "completed", "failed"]
Role: TypeAlias = Literal["owner", "collaborator"]
INVITED: Final[Role] = "collaborator"
"""What an invite makes of whoever accepts it."""

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
"""Who has neither a name nor an address."""
STATUSES: Final[tuple[Status, ...]] = ("active", "away")

_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class Account(msgspec.Struct, frozen=True):
    """Whose a member is, where people are known. `name` is what the studio calls them, None where only the id is known.

    Unlike a display name nobody can choose it for one room.
    """

    id: UserId
    name: str | None


class _Shown(msgspec.Struct, frozen=True, rename="camel"):
    """What a client says of itself."""

    member_id: MemberId
    display_name: str
    status: Status = "active"


class Member(_Shown, frozen=True, rename="camel", kw_only=True):
    """One participant of a room as the others see them: the payload of `presence.join` and `presence.update`.

    There is an `account` where people are known.
    """

    account: Account | msgspec.UnsetType = msgspec.UNSET


class PresenceMember(Member, frozen=True, rename="camel"):
    """A line of the mirrored roster: the member and when they were last known to be there (UTC)."""

    last_seen: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class Person(msgspec.Struct, frozen=True):
    """A user. `email` is None for those who may not see it: a session's owner sees its people's, all see their own."""

    id: UserId
    name: str | None
    email: str | None
    image: str | None

    def without_email(self) -> "Person":
        """As those see them who may not see the address: without a name of their own they go by its first part, as they
        do in rooms.
        """
        return Person(self.id, called(self) or None, None, self.image)


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """A music session, as the one who asked sees it (SPEC 3).

    `participants` is the live head count of its room, None when the roster cannot be read now.
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


class Invite(msgspec.Struct, frozen=True, rename="camel"):
    """A link that lets whoever accepts it share a session, until it expires. Its secret is not kept (SPEC 3)."""

    id: InviteId
    role: Role
    created_at: datetime
    expires_at: datetime


class Upload(msgspec.Struct, frozen=True, rename="camel"):
    """A file that somebody brought, and how it sits in the mix (SPEC 3).

    `file_size` is in bytes, `mime_type` by content, `sha256` hexadecimal. What is known only once the file was listened
    to is None until then, and for good when it has no sound. `warning` says what of it is missing, if anything is: it
    was cut off, or a part of it cannot be decoded.
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
    created_at: datetime
    warning: str | None = None


class Export(msgspec.Struct, frozen=True, rename="camel"):
    """A mixdown of a session, asked for or made (SPEC 3).

    `progress` is in percent; `error_message` a sentence once it has failed. What is known only of a finished one is
    None until then: `file_size` in bytes, `duration_seconds`, `loudness_lufs` (ITU-R BS.1770; None also for what is too
    quiet to have any) and `peak_dbfs` (None also for silence), and a `warning` when something of its files is missing.
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
    """What a person is called by default: their name, or what their address begins with; may be empty."""
    return (person.name or "").strip() or (person.email or "").partition("@")[0]


def checked_name(value: str, *, name: str, longest: int) -> str:
    """Return `value` when people may see it as a name; `name` is what the caller calls it, as in `displayName`.

    Errors: `InvalidInput` with the code `invalid_<name in snake case>` when nothing of it can be seen, it is longer
    than `longest` characters, or has what no name may have (`omnisonic.models.names`).
    """
    code = "invalid_" + re.sub("[A-Z]", lambda capital: "_" + capital[0].lower(), name)
    if not value or value.isspace():
        raise InvalidInput(f"{name} must not be empty.", code=code)
    if len(value) > longest:
        raise InvalidInput(f"{name} must be at most {longest} characters; this has {len(value)}.", code=code)
    if has_halves(value):
        raise InvalidInput(f"{name} must not have half a character.", code=code)
    if has_controls(value):
        raise InvalidInput(f"{name} must not contain control characters or direction overrides.", code=code)
    if not is_visible(value):
        raise InvalidInput(f"{name} must have something in it that can be seen.", code=code)
    return value


def _checked_id(value: str, *, name: str) -> str:
    """The same for an id, which has no marks of direction either: two ids that look the same are nearly always one."""
    checked_name(value, name=name, longest=ID_LENGTH)
    if has_marks(value):
        code = f"invalid_{'room' if name == 'roomId' else 'member'}_id"
        raise InvalidInput(f"{name} must not contain control characters or marks of direction.", code=code)
    return value


def account_of(person: Person) -> Account:
    """What a room says of whose a member is."""
    return Account(person.id, default_display_name(person))


def default_display_name(person: Person) -> str:
    """What a person is called in a room when they do not say: their name, or what their address begins with."""
    name = called(person)
    try:
        return checked_display_name(name[:DISPLAY_NAME_LENGTH])
    except InvalidInput:
        shown = "".join(filter(str.isprintable, name)).strip()[:DISPLAY_NAME_LENGTH]
        return shown if is_visible(shown) else NAMELESS


def plain_id(text: str) -> str:
    """An id from outside, as it is written here: a UUID in small letters, as RFC 9562 (4) has it; others as they are.

    Every id is read through this where it comes in. Without hyphens, or in braces, it is no id of ours: a room may be
    called so.
    """
    return text.lower() if _UUID.fullmatch(text) else text


def uuid_meant(text: str) -> str | None:
    """The UUID that `text` can be read as, in its usual form: in capitals, braces, or without hyphens, too.

    None for what is no UUID in any form. A name that means the id of something of ours must not pass for another one.
    """
    if not len(UUID(int=0).hex) <= len(text) <= len(UUID(int=0).urn):
        return None
    try:
        return str(UUID(text))
    except ValueError:
        return None


def checked_room_id(value: str) -> RoomId:
    """Return `value` when it may name a room, a UUID in small letters. Errors: `InvalidInput` (`invalid_room_id`)."""
    return plain_id(_checked_id(value, name="roomId"))


def checked_member_id(value: str) -> MemberId:
    """Return `value` when it may name a member. Errors: `InvalidInput` (`invalid_member_id`).

    Its UTF-8 is at most 255 bytes, because a relayed binary message says the sender's length in one byte.
    """
    _checked_id(value, name="memberId")
    if len(value.encode()) > ID_BYTES:
        raise InvalidInput(f"memberId must be at most {ID_BYTES} bytes of UTF-8.", code="invalid_member_id")
    return value


def checked_display_name(value: str) -> str:
    """Return `value` when it may be shown as a name. Errors: `InvalidInput` (`invalid_display_name`)."""
    return checked_name(value, name="displayName", longest=DISPLAY_NAME_LENGTH)


def checked_status(value: str) -> Status:
    """Return `value` when it is a status. Errors: `InvalidInput` (`invalid_status`)."""
    for status in STATUSES:
        if value == status:
            return status
    raise InvalidInput(f"status must be one of {', '.join(STATUSES)}.", code="invalid_status")


def checked_session_name(value: str) -> str:
    """A session's name, trimmed; `Untitled` when nothing is left. Errors: `InvalidInput` (`invalid_name`)."""
    trimmed = value.strip()
    return checked_name(trimmed, name="name", longest=SESSION_NAME_LENGTH) if trimmed else UNTITLED
