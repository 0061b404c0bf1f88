"""Uploads: files that people bring, alone or into a session (SPEC 3). Adapter: `omnisonic.studio.uploads.upload_store`.

Rows are here and bytes in a `Storage`, and no crash may leave one without the other for good. So an object is noted as
*loose* before it is put, and is loose no more in the transaction that makes its row; a row that goes, however it goes,
leaves its object loose. Whoever keeps house deletes what has been loose for too long
(`omnisonic.studio.uploads.retention`).

Who shares a session sees, plays and mixes all its uploads; their uploader and the session's owner may remove them. An
upload without a session is its uploader's alone.
"""

from typing import Final, Protocol

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import LoginId, SessionId, Upload, UploadId
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.storage import Key, Label
from omnisonic.studio.sessions import Cursor

RESERVED_S: Final = 60.0
"""How long bytes that arrive are reserved without being renewed, as when the process is killed that takes them in."""
LONGEST_PAGE: Final = 200
"""Most uploads in one listing."""
GAIN_DB: Final = (-60.0, 12.0)
PAN: Final = (-1.0, 1.0)
"""From all left to all right."""
OFFSET_S: Final = (0.0, 3600.0)
"""Where in the session the stem begins."""


class NoSuchUpload(OmnisonicError):
    """There is no such upload for this user."""

    code = "upload_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such upload, or it is not shared with you.")


class UploaderOnly(OmnisonicError):
    """A collaborator wants to remove what another one brought."""

    code = "uploader_only"

    def __init__(self) -> None:
        super().__init__("Only whoever uploaded it, or the session's owner, can remove it.")


class UploadTooLarge(OmnisonicError):
    """The file is larger than this studio takes."""

    code = "upload_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The file is too large: at most {max_bytes:,} bytes can be uploaded at once.")


class QuotaExceeded(OmnisonicError):
    """All that this user has uploaded would be more than each user may have."""

    code = "upload_quota_exceeded"

    def __init__(self) -> None:
        super().__init__("That would be more than you may keep here. Remove something that you uploaded first.")


class TooManyUploads(OmnisonicError):
    """As many files of this user are arriving as may at once."""

    code = "too_many_uploads"

    def __init__(self, most: int) -> None:
        many = "A file" if most == 1 else f"{most} files"
        super().__init__(f"{many} of yours arrive already. Wait until one is here.")


class UnsupportedMedia(OmnisonicError):
    """The file is neither sound nor picture nor film, whatever it is called."""

    code = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__("Only audio, images and video can be uploaded, and this file is none of them.")


class PeaksPending(OmnisonicError):
    """The file has not been looked at yet."""

    code = "peaks_pending"

    def __init__(self) -> None:
        super().__init__("The waveform is being drawn. Ask again in a moment.")


class NoPeaks(OmnisonicError):
    """There is no sound in the file that can be played."""

    code = "no_peaks"

    def __init__(self) -> None:
        super().__init__("There is no sound in this file to draw.")


class Received(msgspec.Struct, frozen=True):
    """What was put: its name for people, its size in bytes, its media type by content, its SHA-256 in hexadecimal."""

    file_name: str
    file_size: int
    mime_type: str
    sha256: str


class StoredUpload(msgspec.Struct, frozen=True):
    """An upload, and where its bytes are. `trace`, for whoever listens to it: the trace in which it arrived."""

    upload: Upload
    key: Key
    trace: Trace | None = None

    @property
    def label(self) -> Label:
        return Label(self.upload.mime_type, self.upload.file_name)


class UploadPage(msgspec.Struct, frozen=True):
    """Some uploads, newest first; `next_before` is None when they are the last."""

    uploads: list[StoredUpload]
    next_before: Cursor | None


class Mix(msgspec.Struct, frozen=True):
    """How a stem is to sit in the mix; None stays as it is."""

    gain_db: float | None = None
    pan: float | None = None
    muted: bool | None = None
    offset_seconds: float | None = None


class Peaks(msgspec.Struct, frozen=True, rename="camel"):
    """A waveform: the loudest sample of each of equally long stretches, from 0 to 1, at most 1000 of them."""

    sample_rate: int
    duration_seconds: float
    peaks: list[float]


class UploadStore(Protocol):
    """Errors: every method but `abandon` may raise `NotSignedIn`; all of them `Unavailable`.

    Those that take an upload raise `NoSuchUpload`, those that take a session `NoSuchSession` when the user has no role
    in it. An id that is no UUID is that of nothing.
    """

    async def begin(
        self,
        login: LoginId,
        key: Key,
        *,
        session: SessionId | None,
        size: int | None,
        resumable: UploadId | None = None,
    ) -> int:
        """Note `key` as loose, before anything is put there; it stays so for `LOOSE_S`, longer than any put takes.

        `size` is what is coming, in bytes, when that is known; so much of the quota is reserved for `RESERVED_S`. Of a
        piece of a `resumable` only what goes beyond that one's size counts. How many bytes may be put: ask for more by
        `reserve`. Errors: `QuotaExceeded`, `TooManyUploads`.
        """
        ...

    async def reserve(self, key: Key, *, least: int, most: int) -> int:
        """Reserve between `least` and `most` bytes in all for what arrives at `key`, for another `RESERVED_S`.

        How many that are. Errors: `QuotaExceeded` when `least` are not left; `Unavailable` when it took too long.
        """
        ...

    async def note_copy(self, key: Key) -> None:
        """Note `key` as loose, for a copy of what has arrived and counts already."""
        ...

    async def commit(
        self, login: LoginId, upload: UploadId, key: Key, received: Received, *, session: SessionId | None
    ) -> Upload:
        """Make the row of what was put at `key`, which is loose no more: both or neither.

        Errors: `QuotaExceeded`; `Unavailable` when the key is not loose any more, for it took too long.
        """
        ...

    async def abandon(self, key: Key) -> bool:
        """Give the object `key` up, put or not: it is loose, due now, and cannot become an upload any more.

        False when it became an upload (or a piece of one) after all, though that may not have been told.
        """
        ...

    async def list(
        self, login: LoginId, session: SessionId | None, *, limit: int, before: Cursor | None = None
    ) -> UploadPage:
        """The uploads of a session, or with None all of the user's own, `createdAt` descending."""
        ...

    async def get(self, login: LoginId, upload: UploadId) -> StoredUpload: ...

    async def change(self, login: LoginId, upload: UploadId, mix: Mix) -> Upload: ...

    async def remove(self, login: LoginId, upload: UploadId) -> StoredUpload:
        """Delete the row, which leaves the object loose and due: of many at once one succeeds.

        Errors: `UploaderOnly`.
        """
        ...

    async def peaks(self, login: LoginId, upload: UploadId) -> Peaks:
        """Errors: `PeaksPending`, `NoPeaks`."""
        ...
