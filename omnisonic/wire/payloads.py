"""Payloads of the messages about sessions, uploads and mixdowns (SPEC 5.2).

The web and the worker send them to rooms. `omnisonic.wire.message_types` describes them. The payloads that rooms write
themselves are in `omnisonic.wire.messages`, except two that are written by hand there: `Welcomed` and `Pulse` describe
the result.
"""

from datetime import datetime
from typing import Any

import msgspec

from omnisonic.models import ExportFormat, ExportId, ExportStatus, Member, Person, SessionId, UploadId
from omnisonic.models.comments import CommentId
from omnisonic.models.markers import MarkerId
from omnisonic.wire.messages import Welcome
from omnisonic.wire.shared_state import StateEntry
from omnisonic.wire.transport import Transport


class Welcomed(Welcome, kw_only=True, rename="camel"):
    """The payload of `welcome`, with everyone who is there, the newcomer included."""

    members: list[Member]
    state: dict[str, StateEntry]
    transport: Transport


class Pulse(msgspec.Struct, frozen=True):
    """The payload of the server's `heartbeat`: its clock in milliseconds since 1970, and what the client sent."""

    ts: int
    echo: Any


class Progress(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How far an export is: `progress` in percent; `url`, a path of the web's, once it is made."""

    export_id: ExportId
    session_id: SessionId
    status: ExportStatus
    progress: int
    format: ExportFormat
    url: str | None = None
    error_message: str | None = None


class ExportGone(msgspec.Struct, frozen=True, rename="camel"):
    """An export that was removed, made or not."""

    export_id: ExportId
    session_id: SessionId


class UploadGone(msgspec.Struct, frozen=True, rename="camel"):
    """An upload that was removed."""

    upload_id: UploadId
    session_id: SessionId


class CommentGone(msgspec.Struct, frozen=True, rename="camel"):
    """A comment that was removed. `parentId` is the first comment of its thread, null when it was that itself."""

    comment_id: CommentId
    session_id: SessionId
    parent_id: CommentId | None


class MarkerGone(msgspec.Struct, frozen=True, rename="camel"):
    """A marker that was removed."""

    marker_id: MarkerId
    session_id: SessionId


class SharedSession(msgspec.Struct, frozen=True, rename="camel"):
    """A session without what is different for each who asks."""

    id: SessionId
    name: str
    tempo_bpm: float
    beats_per_bar: int
    owner: Person
    created_at: datetime
    updated_at: datetime


class SessionGone(msgspec.Struct, frozen=True, rename="camel"):
    """A session that was deleted."""

    session_id: SessionId
