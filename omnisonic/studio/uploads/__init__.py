"""Uploads: audio, image and video files, in a session or without one (SPEC 3). Here are the models and errors.

In a session an upload is a take of a *track* (`omnisonic.studio.uploads.tracks`), mostly the only one.

An upload is a row in the database and an object in the storage. Neither may stay without the other after a crash, so an
object is registered as *unreferenced* before it is put. The transaction that inserts its row removes that registration,
and deleting the row, in whatever way, registers the object again. The garbage collector deletes what stays unreferenced
for too long (`omnisonic.studio.uploads.unreferenced_objects`, `.garbage_collector`).

Everybody who shares a session can see and play all its uploads; its owner and editors can add and mix them. The
session's owner, and the uploader unless they are a listener now, can remove them. An upload without a session belongs
to its uploader alone.

A removed upload is in the bin for `BIN_DAYS`. Whoever may remove it may restore it. Meanwhile it is in no list and no
mixdown, and does not count towards the quota of its uploader, whose bin holds at most as many bytes as the quota: what
was removed first makes room for what is removed next. The bin of a session goes with the session.
"""

import re
from typing import Final

import msgspec

from omnisonic.errors import InvalidInput, OmnisonicError
from omnisonic.models import TrackId, Upload, UploadId
from omnisonic.models.checks import checked_name
from omnisonic.models.names import is_visible
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.storage import Key, Label
from omnisonic.studio.sessions import Cursor

RESERVED_S: Final = 60.0
"""How long reserved quota stays reserved without renewal, for example after the receiving process was killed."""
BIN_DAYS: Final = 30
"""How long a removed upload can be restored. Then housekeeping deletes it for good."""
LONGEST_PAGE: Final = 200
"""Most uploads in one listing."""
GAIN_DB: Final = (-60.0, 12.0)
PAN: Final = (-1.0, 1.0)
"""From left to right."""
OFFSET_S: Final = (0.0, 3600.0)
"""Where in the session the stem begins."""
TRIM_S: Final = (0.0, 14_400.0)
"""What is cut from the beginning or the end of the sound: up to as much as is decoded of a file."""
FADE_S: Final = (0.0, 600.0)
LEAST_HEARD_S: Final = 0.01
"""What trims have to leave of the sound."""
POSITION: Final = (-1_000_000.0, 1_000_000.0)
LEAST_GAP: Final = 1e-6
"""When two tracks are closer to each other than that, the tracks of the session are numbered again."""
TRACK_NAME_LENGTH: Final = 120
"""Most characters in a track's name."""
MAX_FILE_NAME: Final = 255
"""Most characters in a file name: the limit of most file systems."""
_SECONDS: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,20})?(e[-+]?[0-9]{1,3})?", re.IGNORECASE)
"""A number as programs write it, such as 12.5 and 1e-7."""
_ENDING: Final = re.compile(r"\.(?=[0-9]*[A-Za-z])[0-9A-Za-z]{1,5}\Z")
"""`.wav` and `.7z`, but not the end of `Take 1.2`."""


class NoSuchUpload(OmnisonicError):
    """There is no such upload for this user."""

    code = "upload_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such upload, or it is not shared with you.")


class UploaderOnly(OmnisonicError):
    """A collaborator wants to remove or restore an upload of somebody else."""

    code = "uploader_only"

    def __init__(self) -> None:
        super().__init__("Only whoever uploaded it, or the session's owner, can remove it or bring it back.")


class NoSuchTrack(OmnisonicError):
    """The session has no such track."""

    code = "track_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such track in this session. Choose another one, or leave takeOf out.")


class TrimsLeaveNothing(InvalidInput):
    """Beginning and end would be cut so far that nothing is heard."""

    def __init__(self) -> None:
        super().__init__("The trims would leave nothing to hear. Cut less.", code="trims_leave_nothing")


class UploadTooLarge(OmnisonicError):
    """The file is larger than this studio accepts."""

    code = "upload_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The file is too large: at most {max_bytes:,} bytes can be uploaded at once.")


class QuotaExceeded(OmnisonicError):
    """The user's uploads would take more space than each user may have."""

    code = "upload_quota_exceeded"

    def __init__(self) -> None:
        super().__init__("That would be more than you may keep here. Remove something that you uploaded first.")


class TooManyUploads(OmnisonicError):
    """The user already uploads as many files at the same time as allowed."""

    code = "too_many_uploads"

    def __init__(self, most: int) -> None:
        many = "A file" if most == 1 else f"{most} files"
        super().__init__(f"{many} of yours arrive already. Wait until one is here.")


class TooManyUnfinished(TooManyUploads):
    """The user has as many unfinished uploads as may wait for their rest."""

    def __init__(self, most: int) -> None:
        OmnisonicError.__init__(self, f"{most} uploads of yours are not finished. Finish or delete one of them first.")


class UnsupportedMedia(OmnisonicError):
    """The file is not audio, image or video, judged by its content and not by its name."""

    code = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__("Only audio, images and video can be uploaded, and this file is none of them.")


class PeaksPending(OmnisonicError):
    """The file has not been analysed yet."""

    code = "peaks_pending"

    def __init__(self) -> None:
        super().__init__("The waveform is being drawn. Ask again in a moment.")


class NoPeaks(OmnisonicError):
    """The file has no sound that can be decoded."""

    code = "no_peaks"

    def __init__(self) -> None:
        super().__init__("There is no sound in this file to draw.")


class ReceivedFile(msgspec.Struct, frozen=True):
    """A file that was put into the storage.

    `file_name` is for people, `file_size` in bytes, `mime_type` by content, `sha256` hexadecimal.
    """

    file_name: str
    file_size: int
    mime_type: str
    sha256: str


class StoredUpload(msgspec.Struct, frozen=True):
    """An upload and the key of its object.

    `trace` is that of the request that uploaded it; its analysis joins it. `tries` is how often it was taken from the
    queue that it comes from, this time included.
    """

    upload: Upload
    key: Key
    trace: Trace | None = None
    tries: int = 0

    @property
    def label(self) -> Label:
        return Label(self.upload.mime_type, self.upload.file_name)


class UploadPage(msgspec.Struct, frozen=True):
    """Some uploads, newest first. `next_before` is where the next page begins, None on the last page."""

    uploads: list[StoredUpload]
    next_before: Cursor | None


class Mix(msgspec.Struct, frozen=True):
    """Changes to how a stem sits in the mix, and to its track. None leaves a value unchanged.

    `take_of` is the track that the upload becomes a take of, or an upload in it; None: a track of its own. `name` and
    `position` are then those of the track that it is in, and with `chosen` it is the take that is heard there. An empty
    `name` is the default one of the upload.
    """

    gain_db: float | None = None
    pan: float | None = None
    muted: bool | None = None
    offset_seconds: float | None = None
    trim_start_seconds: float | None = None
    trim_end_seconds: float | None = None
    fade_in_seconds: float | None = None
    fade_out_seconds: float | None = None
    name: str | None = None
    position: float | None = None
    take_of: TrackId | UploadId | msgspec.UnsetType | None = msgspec.UNSET
    chosen: bool = False


class LeftTrack(msgspec.Struct, frozen=True):
    """A track as it was when an upload left it. It may be gone since."""

    name: str
    position: float


class ChangedUploads(msgspec.Struct, frozen=True):
    """An upload as it is after a change, with its key, and the others that have changed by it, as they are now.

    Without `is_changed` it was that way before.
    """

    stored: StoredUpload
    others: list[Upload] = []
    is_changed: bool = True

    @property
    def upload(self) -> Upload:
        return self.stored.upload


class Peaks(msgspec.Struct, frozen=True, rename="camel"):
    """A waveform or a part of it: the peak of each of some stretches of equal length, from 0 to 1.

    `duration_seconds` is that of the whole sound.
    """

    sample_rate: int
    duration_seconds: float
    peaks: list[float]


class Analysis(msgspec.Struct, frozen=True):
    """What the analyser found in a file: channels and waveform. `warning` is a sentence on what is missing."""

    channels: int
    peaks: Peaks
    warning: str | None = None


def checked_file_name(text: str) -> str:
    """The last component of the path `text`, trimmed. Nothing is stored under this name, it is only shown.

    Raises:
        InvalidInput: `invalid_file_name`.
    """
    name = re.split(r"[/\\]", text)[-1].strip()
    if name in (".", ".."):
        raise InvalidInput("fileName must be that of a file.", code="invalid_file_name")
    return checked_name(name, name="fileName", longest=MAX_FILE_NAME)


def checked_offset_s(text: str) -> float:
    """Where an upload begins in its session, in seconds.

    Raises:
        InvalidInput: `invalid_offset_seconds`.
    """
    offset_s = float(text) if _SECONDS.fullmatch(text) else -1.0
    least, most = OFFSET_S
    if not least <= offset_s <= most:
        message = f"offsetSeconds must be a number of seconds, from {least:g} to {most:g}."
        raise InvalidInput(message, code="invalid_offset_seconds")
    return offset_s


def checked_track_name(text: str) -> str:
    """The name of a track, trimmed; empty for the default one. Errors: `InvalidInput` (`invalid_name`)."""
    name = text.strip()
    return checked_name(name, name="name", longest=TRACK_NAME_LENGTH) if name else name


def default_track_name(file_name: str) -> str:
    """The name of a track whose first take is in a file of this name: that without its ending."""
    name = _ENDING.sub("", file_name)[:TRACK_NAME_LENGTH].strip()
    return name if is_visible(name) else file_name[:TRACK_NAME_LENGTH]
