"""What the room of a session is told of its exports (SPEC 5.2). Pure."""

from typing import Final

import msgspec

from omnisonic.models import Export, ExportId
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.wire.payloads import ExportGone, Progress

PROGRESS: Final = "export.progress"
REMOVED: Final = "export.removed"


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
    said = ExportGone(export.id, export.session_id)
    return RoomSaid(export.session_id, REMOVED, msgspec.Raw(msgspec.json.encode(said)))
