"""Exports: mixdowns of a session, and its stems, requested by its members and made by a worker (SPEC 3).

Here are the errors, events and models.

A row of `exports` is a job (`omnisonic.studio.exports.export_queue`) until it is completed or has failed; then it is
history (`omnisonic.studio.exports.export_store`). The finished file is an object in a `Storage`. Until the statement
that completes the row, the object counts as unreferenced (`omnisonic.studio.uploads`), so no crash leaves one without
the other for good.

Everybody with a role in the session sees all its exports; its owner and editors may request them. The session's owner,
and the requester unless they are a listener now, may remove an export. Removing one that is still being made stops the
work.
"""

from typing import Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import Export, ExportFormat, ExportId
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.stores.storage import Key
from omnisonic.studio.archives import ZIP_TYPE
from omnisonic.wire.payloads import ExportGone, Progress

MEDIA_TYPES: Final[dict[ExportFormat, str]] = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "stems": ZIP_TYPE,
}
LONGEST_LIST: Final = 100
"""Most exports in the list of a session."""
DISK_FULL: Final = "The studio's disk is full. Ask whoever runs it to make room, then render again."
PROGRESS: Final = "export.progress"
REMOVED: Final = "export.removed"


class NoSuchExport(OmnisonicError):
    """There is no such export for this user."""

    code = "export_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such mixdown, or it is not shared with you.")


class RequesterOnly(OmnisonicError):
    """A collaborator wants to remove an export that somebody else requested."""

    code = "requester_only"

    def __init__(self) -> None:
        super().__init__("Only whoever asked for it, or the session's owner, can remove it.")


class TooManyExports(OmnisonicError):
    """The session has as many exports in the making as it may have."""

    code = "too_many_exports"

    def __init__(self, most: int) -> None:
        many = "a mixdown" if most == 1 else f"{most} mixdowns"
        super().__init__(f"This session has {many} in the making already. Wait until one is finished.")


class TooManyExportsOfUser(OmnisonicError):
    """The user has as many exports in the making, in all sessions, as they may have."""

    code = "too_many_exports_of_user"

    def __init__(self, most: int) -> None:
        many = "a mixdown" if most == 1 else f"{most} mixdowns"
        super().__init__(f"You have {many} in the making already. Wait until one is finished.")


class CannotRender(OmnisonicError):
    """The export cannot be made of the session as it is now. Trying again does not help."""

    code = "cannot_render"


class RenderLater(OmnisonicError):
    """The export could not be made this time. It is tried again later."""

    code = "render_later"


class StoredExport(msgspec.Struct, frozen=True):
    """An export with the `key` and the SHA-256 of its file; both are None until it is completed.

    `preview_tries` is how often it was taken to make its preview, this time included.
    """

    export: Export
    key: Key | None
    sha256: str | None
    preview_tries: int = 0


def missing_source(file_name: str) -> CannotRender:
    """The error for a stem whose file was removed or lost while the export was being made."""
    return CannotRender(f'"{file_name}" is not there any more. Remove it if it is still listed, then render again.')


def download_path(export: ExportId) -> str:
    """The path where the web serves the file of an export."""
    return f"/api/export/{export}/download"


def progress_event(export: Export) -> RoomSaid:
    """The event that tells the room the state of `export` (SPEC 5.2)."""
    url = download_path(export.id) if export.status == "completed" else None
    payload = Progress(
        export.id, export.session_id, export.status, export.progress, export.format, url, export.error_message
    )
    return RoomSaid(export.session_id, PROGRESS, msgspec.Raw(msgspec.json.encode(payload)))


def removal_event(export: Export) -> RoomSaid:
    """The event that tells the room that `export` was removed, finished or not (SPEC 5.2)."""
    payload = ExportGone(export.id, export.session_id)
    return RoomSaid(export.session_id, REMOVED, msgspec.Raw(msgspec.json.encode(payload)))
