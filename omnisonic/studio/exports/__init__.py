"""Exports: mixdowns of a session, asked for by whoever shares it, and made by a worker (SPEC 3).

Adapter: `omnisonic.studio.exports.export_store`. A row is a job (`omnisonic.studio.exports.queue`) until it is
completed or has failed; then it is history. The finished file is an object in a `Storage`, and no crash leaves one
without the other for good: it is loose until the step that completes the row (`omnisonic.studio.uploads`).

Who shares the session asks for exports and hears all of them; whoever asked for one, and the session's owner, may
remove it, which ends it when it is still being made.
"""

from typing import Final, Protocol

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import Export, ExportFormat, ExportId, LoginId, SessionId
from omnisonic.stores.storage import Key

MEDIA_TYPES: Final[dict[ExportFormat, str]] = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg"}
LONGEST_LIST: Final = 100
"""Most exports in the list of a session."""


class NoSuchExport(OmnisonicError):
    """There is no such export for this user."""

    code = "export_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such mixdown, or it is not shared with you.")


class RequesterOnly(OmnisonicError):
    """A collaborator wants to remove the export that another one has asked for."""

    code = "requester_only"

    def __init__(self) -> None:
        super().__init__("Only whoever asked for it, or the session's owner, can remove it.")


class TooManyExports(OmnisonicError):
    """As many exports of this session as may be made at the same time are being made."""

    code = "too_many_exports"

    def __init__(self, most: int) -> None:
        many = "a mixdown" if most == 1 else f"{most} mixdowns"
        super().__init__(f"This session has {many} in the making already. Wait until one is finished.")


class TooManyExportsOfUser(OmnisonicError):
    """As many exports as this user may have in the making, in all sessions, are being made."""

    code = "too_many_exports_of_user"

    def __init__(self, most: int) -> None:
        many = "a mixdown" if most == 1 else f"{most} mixdowns"
        super().__init__(f"You have {many} in the making already. Wait until one is finished.")


class StoredExport(msgspec.Struct, frozen=True):
    """An export, and where its file is: at `key`, with that SHA-256, once it is completed."""

    export: Export
    key: Key | None
    sha256: str | None


class ExportStore(Protocol):
    """Errors: every method may raise `NotSignedIn` and `Unavailable`.

    Those that take an export raise `NoSuchExport`, those that take a session `NoSuchSession` when the user has no role
    in it. An id that is no UUID is that of nothing.
    """

    async def create(self, login: LoginId, session: SessionId, format_: ExportFormat) -> Export:
        """Ask for an export, which is `pending`. Errors: `TooManyExports`, `TooManyExportsOfUser`."""
        ...

    async def get(self, login: LoginId, export: ExportId) -> StoredExport: ...

    async def list(self, login: LoginId, session: SessionId) -> list[Export]:
        """The exports of a session, `createdAt` descending, `LONGEST_LIST` at most."""
        ...

    async def remove(self, login: LoginId, export: ExportId) -> StoredExport:
        """Delete it, made or not; its file is loose and due. Of many at once one succeeds. Errors: `RequesterOnly`."""
        ...
