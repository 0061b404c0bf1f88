"""People, sessions, rooms, members, uploads and exports as frozen values, and the rules for names (SPEC 3 and 5.1).

Rooms, stores, bus and web share them. Their JSON is camelCase.
"""

import re
from datetime import UTC, datetime
from typing import Final, Literal, Self, TypeAlias
from uuid import UUID

import msgspec
import msgspec.structs

from omnisonic.errors import InvalidInput
from omnisonic.models.names import has_controls, has_halves, has_marks, is_visible

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
ExportId: TypeAlias = str
"""A UUID."""
InviteId: TypeAlias = str
"""A UUID."""
ExportFormat: TypeAlias = Literal["wav", "flac", "mp3"]
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

_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


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
    """An uploaded file, and its place in the mix (SPEC 3).

    `file_size` is in bytes, `mime_type` is found from the content, `sha256` is hexadecimal. What the analysis finds is
    None before it, and stays None for a file without sound. `warning` says what is missing: the file was cut off, or a
    part of it cannot be decoded.
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
    """A mixdown of a session, requested or finished (SPEC 3).

    `progress` is in percent; `error_message` is a sentence once it has failed. These are None until it is finished:
    `file_size` in bytes, `duration_seconds`, `loudness_lufs` (ITU-R BS.1770; None for what is too quiet to measure),
    `peak_dbfs` (None for silence), and `warning`, which says what is missing of its files.
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


def checked_name(value: str, *, name: str, longest: int) -> str:
    """Return `value` if it may be shown as a name.

    Args:
        value: The name to check.
        name: The field that it is in, such as `displayName`.
        longest: The most characters that it may have.

    Raises:
        InvalidInput: With the code `invalid_<name in snake case>`: it is invisible, too long, or has characters that no
            name may have (`omnisonic.models.names`).
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
    """The same for an id, which must not have marks of direction, so that ids that look the same are the same."""
    checked_name(value, name=name, longest=ID_LENGTH)
    if has_marks(value):
        code = f"invalid_{'room' if name == 'roomId' else 'member'}_id"
        raise InvalidInput(f"{name} must not contain control characters or marks of direction.", code=code)
    return value


def account_of(person: Person) -> Account:
    """The account of a person, as rooms show it."""
    return Account(person.id, default_display_name(person))


def default_display_name(person: Person) -> str:
    """The display name of a person who gives none: their name, or the first part of their address."""
    name = called(person)
    try:
        return checked_display_name(name[:DISPLAY_NAME_LENGTH])
    except InvalidInput:
        shown = "".join(filter(str.isprintable, name)).strip()[:DISPLAY_NAME_LENGTH]
        return shown if is_visible(shown) else NAMELESS


def plain_id(text: str) -> str:
    """An id in its usual form: a UUID in lower case (RFC 9562, section 4), any other id as it is.

    Every id from outside goes through this. A UUID without hyphens, or in braces, is not an id of the studio; it may be
    the name of a room.
    """
    return text.lower() if _UUID.fullmatch(text) else text


def uuid_meant(text: str) -> str | None:
    """The UUID that `text` can be read as, in its usual form; None when it is not a UUID in any form.

    It also reads capitals, braces, and a UUID without hyphens, so that no name can pass for an id of the studio.
    """
    if not len(UUID(int=0).hex) <= len(text) <= len(UUID(int=0).urn):
        return None
    try:
        return str(UUID(text))
    except ValueError:
        return None


def checked_room_id(value: str) -> RoomId:
    """Return `value` if it may be the id of a room, a UUID in lower case. Raises `InvalidInput` (`invalid_room_id`)."""
    return plain_id(_checked_id(value, name="roomId"))


def checked_member_id(value: str) -> MemberId:
    """Return `value` if it may be the id of a member. Raises `InvalidInput` (`invalid_member_id`).

    Its UTF-8 has at most 255 bytes, because a relayed binary message has the length of the sender's id in one byte.
    """
    _checked_id(value, name="memberId")
    if len(value.encode()) > ID_BYTES:
        raise InvalidInput(f"memberId must be at most {ID_BYTES} bytes of UTF-8.", code="invalid_member_id")
    return value


def checked_display_name(value: str) -> str:
    """Return `value` if it may be a display name. Raises `InvalidInput` (`invalid_display_name`)."""
    return checked_name(value, name="displayName", longest=DISPLAY_NAME_LENGTH)


def checked_status(value: str) -> Status:
    """Return `value` if it is a status. Raises `InvalidInput` (`invalid_status`)."""
    for status in STATUSES:
        if value == status:
            return status
    raise InvalidInput(f"status must be one of {', '.join(STATUSES)}.", code="invalid_status")


def checked_session_name(value: str) -> str:
    """A session's name, trimmed; `Untitled` when it is empty. Raises `InvalidInput` (`invalid_name`)."""
    trimmed = value.strip()
    return checked_name(trimmed, name="name", longest=SESSION_NAME_LENGTH) if trimmed else UNTITLED
