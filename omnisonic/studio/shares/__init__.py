"""Share links: a mixdown for people without an account (SPEC 3, 6). Models and errors.

The session's owner and its editors make links to a finished mixdown (`.share_store`). Whoever has a link hears the
mixdown, and may download it if the link says so (`.share_links`). A link ends when it expires or is revoked, and with
its mixdown.

Only a digest of a link's secret is stored, as of invites: reading the database opens no link, and a link is shown once.

A link plays an MP3 and draws a waveform, both made by the worker when the first link to a mixdown is made
(`.preview_worker`). Until then, and when that fails, it plays the mixdown itself and draws nothing.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, get_args

import msgspec

from omnisonic.errors import InvalidInput, OmnisonicError
from omnisonic.models import AudioFormat, Export, ExportId, UserId
from omnisonic.models.comments import CommentId
from omnisonic.stores.storage import Key

ShareId: TypeAlias = str
"""A UUID."""

PLAYABLE: Final = get_args(AudioFormat)
"""The formats of exports that can be shared."""
TOKEN_BYTES: Final = 32
MOST_SHARES: Final = 20
"""Most links to a mixdown that hold at once."""
MOST_ENDED: Final = 50
"""Most links to a mixdown that are kept after they have ended, to tell those who follow them."""
DEFAULT_DAYS: Final = 30
LONGEST_DAYS: Final = 366
"""A year, also a leap year."""
LONGEST_EXPIRY: Final = 40
"""Most characters of a time."""
MOST_GUEST_COMMENTS: Final = 200
"""Most comments through one link."""
GUEST_COMMENT_LENGTH: Final = 1000
"""Most characters in a comment of a guest."""


class NoSuchShare(OmnisonicError):
    """There is no such link."""

    code = "share_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such link. It may be cut short: ask whoever sent it.")


class ShareOver(OmnisonicError):
    """The link has expired, or was revoked."""

    code = "share_over"

    def __init__(self) -> None:
        super().__init__("This link does not play any more. Ask whoever sent it for a new one.")


class TooManyShares(OmnisonicError):
    """The mixdown has as many links as it may have."""

    code = "too_many_shares"

    def __init__(self) -> None:
        super().__init__(f"A mixdown has at most {MOST_SHARES} links at once. Revoke one first.")


class ExportNotCompleted(OmnisonicError):
    """The mixdown is not finished, or has failed."""

    code = "export_not_completed"

    def __init__(self) -> None:
        super().__init__("Only a finished mixdown can be shared. Wait until it is made.")


class NotPlayable(OmnisonicError):
    """The export is no sound that can be played."""

    code = "not_playable"

    def __init__(self) -> None:
        super().__init__("Only a mixdown can be shared: one file that can be played.")


class DownloadRefused(OmnisonicError):
    """Whoever made the link did not allow downloads."""

    code = "download_not_allowed"

    def __init__(self) -> None:
        super().__init__("This mixdown can be heard here, but not downloaded.")


class GuestCommentsOff(OmnisonicError):
    """The link takes no comments."""

    code = "comments_off"

    def __init__(self) -> None:
        super().__init__("Comments are switched off for this link.")


class TooManyGuestComments(OmnisonicError):
    """As many comments were written through the link, or in its session, as may be."""

    code = "too_many_comments"

    def __init__(self) -> None:
        super().__init__("There are as many comments as this page takes. Tell whoever sent you the link.")


class Sharer(msgspec.Struct, frozen=True):
    """Who made a link."""

    id: UserId
    name: str


class Share(msgspec.Struct, frozen=True, rename="camel"):
    """A link to a mixdown, as the members of its session see it.

    `plays` counts a browser once an hour. `shared_by` is None when the account was deleted.
    """

    id: ShareId
    export_id: ExportId
    created_at: datetime
    expires_at: datetime
    download: bool
    comments: bool
    plays: int
    shared_by: Sharer | None


class ShareTerms(msgspec.Struct, frozen=True):
    """What a new link allows, and until when, as text: an ISO 8601 time. None: `DEFAULT_DAYS`."""

    expires_at: str | None = None
    download: bool = False
    comments: bool = True


class Preview(msgspec.Struct, frozen=True):
    """The MP3 of a mixdown: `key`, size in bytes, SHA-256 in hexadecimal."""

    key: Key
    file_size: int
    sha256: str


class SharedMixdown(msgspec.Struct, frozen=True):
    """A mixdown as whoever has a link finds it.

    `sharer_name` is None when whoever made the link has no name. `peaks` are None until the preview is made, `preview`
    is also None when the mixdown is an MP3 itself.
    """

    share_id: ShareId
    session_name: str
    sharer_name: str | None
    expires_at: datetime
    download: bool
    comments: bool
    export: Export
    key: Key
    sha256: str
    peaks: bytes | None
    preview: Preview | None


class GuestComment(msgspec.Struct, frozen=True, rename="camel"):
    """What a guest wrote about a mixdown, as other guests see it. `atSeconds` is the place; null for the whole."""

    id: CommentId
    name: str
    text: str
    at_seconds: float | None
    created_at: datetime


def new_token() -> str:
    """Make the secret of a link, `/listen/<token>`."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_digest(token: str) -> str:
    """The digest of a token that the database stores: SHA-256 in base64url, 43 characters."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def expiry_of(text: str | None, now: datetime) -> datetime:
    """When a link ends, by the text of a request. Pure.

    Raises:
        InvalidInput: `invalid_expires_at`: no time with its zone, in the past, or more than a year from `now`.
    """
    if text is None:
        return now + timedelta(days=DEFAULT_DAYS)
    try:
        expires_at = datetime.fromisoformat(text)
    except ValueError:
        expires_at = None
    if expires_at is None or expires_at.tzinfo is None:
        message = "expiresAt must be a time such as 2030-01-31T12:00:00Z."
        raise InvalidInput(message, code="invalid_expires_at")
    if not now < expires_at <= now + timedelta(days=LONGEST_DAYS):
        raise InvalidInput("expiresAt must be in the future, and at most a year from now.", code="invalid_expires_at")
    return expires_at.astimezone(UTC)
