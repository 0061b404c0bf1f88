"""The shapes that the web answers with, and how they become bytes (SPEC 3).

What comes in is checked by pydantic (`omnisonic.http.core.inputs`); what goes out are these frozen structs, encoded by
msgspec in microseconds. The OpenAPI document is made from the same classes, so it cannot disagree with them.
"""

from datetime import datetime
from typing import Any, Final, Literal, Self

import msgspec
import msgspec.structs
from quart import Response

from omnisonic.models import (
    Export,
    ExportFormat,
    ExportId,
    ExportStatus,
    Invite,
    InviteId,
    Person,
    PresenceMember,
    Role,
    Session,
    SessionId,
    Upload,
    UserId,
)
from omnisonic.studio.exports.events import download_path

JSON_TYPE: Final = "application/json"


class Ok(msgspec.Struct, frozen=True):
    """Done."""

    ok: Literal[True] = True


class Problem(msgspec.Struct, frozen=True):
    """What went wrong: a sentence for a person and a code for a program, which never changes once released."""

    error: str
    code: str


class Members(msgspec.Struct, frozen=True):
    """Everyone in the room, in the order of their member ids."""

    members: list[PresenceMember]


class SessionAnswer(msgspec.Struct, frozen=True):
    """One session, as the caller sees it."""

    session: Session


class FoundSession(msgspec.Struct, frozen=True, rename="camel"):
    """One session, as the caller sees it, and who that is."""

    session: Session
    current_user_id: UserId


class SessionList(msgspec.Struct, frozen=True, rename="camel"):
    """The caller's own sessions and those shared with them, newest first.

    `nextBefore` is what to ask for as `before` to see more, null when there is no more.
    """

    sessions: list[Session]
    current_user_id: UserId
    next_before: str | None


class InviteAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A link whose offer, once accepted by somebody signed in, gives them the `role`, until it expires."""

    url: str
    id: InviteId
    role: Role
    expires_at: datetime


class InviteList(msgspec.Struct, frozen=True):
    """The invites to a session that hold, the newest first. Their links are not kept."""

    invites: list[Invite]


class OfferAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What an invite offers to whoever has its link."""

    session_name: str
    owner_name: str
    role: Role
    expires_at: datetime


class Sharing(msgspec.Struct, frozen=True):
    """Whose session it is, and with whom it is shared, those who came first at the top.

    E-mail addresses are the owner's to see; everybody else sees their own, and null for the others.
    """

    owner: Person
    collaborators: list[Person]


class LiveKit(msgspec.Struct, frozen=True):
    """Where the session's sound is, and a token for it."""

    url: str
    token: str


class TicketAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What lets the caller into a room once, until it expires.

    Connect to `url` with the WebSocket subprotocols `omnisonic` and `ticket.<ticket>`.
    """

    ticket: str
    url: str
    expires_at: datetime
    livekit: LiveKit | msgspec.UnsetType = msgspec.UNSET


class SaidAnswer(msgspec.Struct, frozen=True):
    """It was said. `offset` is its place in the room's order; of what one member is told, that of what came before."""

    offset: int


class UploadAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """An upload, and a link that downloads it for fifteen minutes."""

    upload: Upload
    download_url: str


class ChangedUpload(msgspec.Struct, frozen=True):
    """The upload as it is now."""

    upload: Upload


class UploadList(msgspec.Struct, frozen=True, rename="camel"):
    """Uploads, newest first. `nextBefore` is what to ask for as `before` to see more, null when there is no more."""

    uploads: list[UploadAnswer]
    next_before: str | None


class ExportAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A mixdown, asked for or made, and where its file is, or will be.

    `progress` is in percent, `errorMessage` says why it has failed. What is known only of a finished one is null until
    then; `loudnessLufs` stays so for what is too quiet to have any, and `peakDbfs` for silence. `warning` says what of
    its files is missing in it, null for nothing.
    """

    url: str
    export_id: ExportId
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

    @classmethod
    def of(cls, export: Export, origin: str) -> Self:
        """As whoever knows the web by `origin` sees `export`."""
        return cls(origin + download_path(export.id), *msgspec.structs.astuple(export))


class ExportList(msgspec.Struct, frozen=True):
    """The exports of a session, newest first."""

    exports: list[ExportAnswer]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that this server needs answers. Each check says `ok`."""

    ok: Literal[True] = True
    checks: dict[str, str]


class Unreadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Something that this server needs does not answer. A check that failed says why."""

    ok: Literal[False] = False
    error: str
    code: Literal["unavailable"] = "unavailable"
    checks: dict[str, str]


class ApiDocument(msgspec.Struct, frozen=True):
    """The API, described in OpenAPI 3.1."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class RealtimeDocument(msgspec.Struct, frozen=True, rename="camel"):
    """The realtime protocol, described in AsyncAPI 3."""

    asyncapi: str
    info: dict[str, Any]
    default_content_type: str
    servers: dict[str, Any]
    channels: dict[str, Any]
    operations: dict[str, Any]
    components: dict[str, Any]


encoded: Final = msgspec.json.Encoder().encode
"""A shape as JSON."""


def json_response(shape: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`shape` as a JSON response."""
    return encoded_response(encoded(shape), status, headers)


def encoded_response(json: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response with JSON that is made already."""
    return Response(json, status, headers, content_type=JSON_TYPE)
