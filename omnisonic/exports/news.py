"""What the room of a session is told of its exports (SPEC 5.2). Pure."""

from typing import Final

import msgspec

from omnisonic.bus.events import RoomSaid
from omnisonic.models import Export, ExportFormat, ExportId, ExportStatus, SessionId

PROGRESS: Final = "export.progress"
REMOVED: Final = "export.removed"


class Progress(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How far an export is: `progress` in percent; `url`, a path of the web's, once it is made."""

    export_id: ExportId
    session_id: SessionId
    status: ExportStatus
    progress: int
    format: ExportFormat
    url: str | None = None
    error_message: str | None = None


def download_path(export: ExportId) -> str:
    """Where the web serves the file of an export."""
    return f"/api/export/{export}/download"


def progressed(export: Export) -> RoomSaid:
    """The export is as far as that."""
    url = download_path(export.id) if export.status == "completed" else None
    said = Progress(
        export.id, export.session_id, export.status, export.progress, export.format, url, export.error_message
    )
    return RoomSaid(export.session_id, PROGRESS, msgspec.Raw(msgspec.json.encode(said)))


def removed(export: Export) -> RoomSaid:
    """The export is there no more, made or not."""
    said = {"exportId": export.id, "sessionId": export.session_id}
    return RoomSaid(export.session_id, REMOVED, msgspec.Raw(msgspec.json.encode(said)))
