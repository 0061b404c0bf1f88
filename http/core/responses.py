"""The JSON responses of the web: their shapes, and how they become bytes (SPEC 3).

Input is checked by pydantic (`omnisonic.http.core.inputs`). Output is these frozen structs, encoded by msgspec. The
OpenAPI document is built from the same classes, so it cannot disagree with them.
"""

from datetime import datetime
from typing import Any, Final, Literal, Self

import msgspec
import msgspec.structs
from quart import Response

from omnisonic.models import (
    Collaborator,
    Export,
    ExportFormat,
    ExportId,
    ExportStatus,
    GivenRole,
    Invite,
    InviteId,
    KeptMessage,
    ListedSession,
    Person,
    PresenceMember,
    Session,
    SessionId,
    Upload,
    UserId,
)
from omnisonic.models.activity import ActivityEvent
from omnisonic.models.comments import Comment
from omnisonic.models.markers import Marker
from omnisonic.studio.exports import download_path

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
    """The caller's own sessions and those shared with them.

    Send `nextBefore` as `before`, with the same `order` and `q`, to get the next page; null: there are no more.
    """

    sessions: list[ListedSession]
    current_user_id: UserId
    next_before: str | None


class SeenAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Until when the caller has seen the session now, and until when it was before this request."""

    seen_at: datetime
    previously_seen_at: datetime


class InviteAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A link. Somebody signed in who accepts it gets the `role` in the session. It works until it expires."""

    url: str
    id: InviteId
    role: GivenRole
    expires_at: datetime


class InviteList(msgspec.Struct, frozen=True):
    """The valid invites to a session, newest first. Their links are not stored."""

    invites: list[Invite]


class OfferAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What an invite offers to whoever has its link."""

    session_name: str
    owner_name: str
    role: GivenRole
    expires_at: datetime


class Sharing(msgspec.Struct, frozen=True):
    """The owner of a session and its collaborators with their roles, oldest first.

    The owner sees all e-mail addresses; everybody else only their own, and null for the others.
    """

    owner: Person
    collaborators: list[Collaborator]


class CollaboratorAnswer(msgspec.Struct, frozen=True):
    """A collaborator of a session, with the role that they have now."""

    collaborator: Collaborator


class LiveKit(msgspec.Struct, frozen=True):
    """The address of the LiveKit server, and a token for it."""

    url: str
    token: str


class TicketAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A ticket: it lets the caller into a room once, until it expires.

    Connect to `url` with the WebSocket subprotocols `omnisonic` and `ticket.<ticket>`. Where WebSockets are blocked,
    GET `eventsUrl` with the ticket as a bearer token.
    """

    ticket: str
    url: str
    events_url: str
    expires_at: datetime
    livekit: LiveKit | msgspec.UnsetType = msgspec.UNSET


class SaidAnswer(msgspec.Struct, frozen=True):
    """The message was sent.

    `offset` is its place in the room's order. For a message to one member it is the place of the message before it.
    """

    offset: int


class PassedOnAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """So many messages were passed on to the web process with the stream. What the room answers comes on the stream."""

    passed_on: int


class MessageList(msgspec.Struct, frozen=True, rename="camel"):
    """Kept messages of a room, newest first.

    Send `nextBefore` as `before` to get the next page; null: there are no more.
    """

    messages: list[KeptMessage]
    next_before: str | None


class UploadAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """An upload, and a link that downloads it for fifteen minutes."""

    upload: Upload
    download_url: str


class ChangedUpload(msgspec.Struct, frozen=True):
    """The upload as it is now."""

    upload: Upload


class UploadList(msgspec.Struct, frozen=True, rename="camel"):
    """Uploads, newest first. Send `nextBefore` as `before` to get the next page; null: there are no more."""

    uploads: list[UploadAnswer]
    next_before: str | None


class ActivityList(msgspec.Struct, frozen=True, rename="camel"):
    """What happened in a session, newest first. Send `nextBefore` as `before` to get the next page; null: no more."""

    events: list[ActivityEvent]
    next_before: str | None


class ActivityAnswer(msgspec.Struct, frozen=True):
    """The event that an undo is. It can be undone as well."""

    event: ActivityEvent


class CommentList(msgspec.Struct, frozen=True, rename="camel"):
    """Comments, newest first. Send `nextBefore` as `before` to get the next page; null: there are no more."""

    comments: list[Comment]
    next_before: str | None


class CommentAnswer(msgspec.Struct, frozen=True):
    """The comment as it is now."""

    comment: Comment


class MarkerList(msgspec.Struct, frozen=True):
    """All markers and sections of a session, in the order of their beats."""

    markers: list[Marker]


class MarkerAnswer(msgspec.Struct, frozen=True):
    """The marker as it is now."""

    marker: Marker


class ExportAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A mixdown or stems, requested or finished, and the address of the file.

    `progress` is in percent. `errorMessage` says why it failed. Size, duration, loudness and peak are null until it is
    finished; `loudnessLufs` stays null when the mix is too quiet to measure, `peakDbfs` when it is silent, and both for
    stems. `warning` says which files are missing, null for none.
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
        """The response for `export`, with its download on `origin`."""
        return cls(origin + download_path(export.id), *msgspec.structs.astuple(export))


class ExportList(msgspec.Struct, frozen=True):
    """The exports of a session, newest first."""

    exports: list[ExportAnswer]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that this server needs answers. Each check is `ok`."""

    ok: Literal[True] = True
    checks: dict[str, str]


class Unreadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Something that this server needs does not answer. A failed check says why."""

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


encode_json: Final = msgspec.json.Encoder().encode
"""Encode a shape as JSON."""


def json_response(shape: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Build a JSON response from `shape`."""
    return encoded_response(encode_json(shape), status, headers)


def encoded_response(json: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Build a response from encoded JSON."""
    return Response(json, status, headers, content_type=JSON_TYPE)
