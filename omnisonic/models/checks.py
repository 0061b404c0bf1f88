"""The rules for ids, names and statuses (SPEC 3 and 5.1), and display names for people who give none. Pure."""

import re
from uuid import UUID

from omnisonic.errors import InvalidInput
from omnisonic.models import (
    DISPLAY_NAME_LENGTH,
    ID_BYTES,
    ID_LENGTH,
    NAMELESS,
    SESSION_NAME_LENGTH,
    STATUSES,
    UNTITLED,
    Account,
    MemberId,
    Person,
    RoomId,
    Status,
    called,
)
from omnisonic.models.comments import COMMENT_LENGTH
from omnisonic.models.markers import MARKER_NAME_LENGTH
from omnisonic.models.names import has_controls, has_halves, has_marks, is_plain, is_visible

_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


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
    if is_plain(value) and len(value) <= longest:
        return value
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


def checked_text(value: str, *, longest: int) -> str:
    """A text of one or more lines, trimmed, with a newline at the end of each line.

    Args:
        value: The text to check. It may have tabs and ends of lines, and otherwise what names may have.
        longest: The most characters that it may have, before it is trimmed.

    Raises:
        InvalidInput: `invalid_text`.
    """
    checked_name(re.sub("[\t\r\n]", " ", value), name="text", longest=longest)
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


def checked_comment(value: str) -> str:
    """The text of a comment, trimmed. Raises `InvalidInput` (`invalid_text`)."""
    return checked_text(value, longest=COMMENT_LENGTH)


def checked_marker_name(value: str) -> str:
    """The name of a marker, trimmed. Raises `InvalidInput` (`invalid_name`)."""
    return checked_name(value, name="name", longest=MARKER_NAME_LENGTH).strip()


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
