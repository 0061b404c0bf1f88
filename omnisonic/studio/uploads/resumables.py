"""Resumable uploads: what they are, and what can go wrong with them. `ResumableStore` keeps them."""

from datetime import datetime
from typing import Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import SessionId, TrackId, UploadId
from omnisonic.stores.storage import Key

MAX_CHUNKS: Final = 10_000
"""Most chunks of an unfinished upload: as many as S3 accepts of one object."""


class NoSuchResumable(OmnisonicError):
    """The user has no such unfinished upload: it was never created, has expired, was finished or removed."""

    code = "upload_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such unfinished upload. Begin it anew.")


class OffsetConflict(OmnisonicError):
    """The chunk does not begin where the last one ended."""

    code = "offset_conflict"

    def __init__(self) -> None:
        super().__init__("The upload goes on at another offset. Ask for it, and continue there.")


class TakenOver(OmnisonicError):
    """Another request has become the writer of this upload."""

    code = "upload_taken_over"

    def __init__(self) -> None:
        super().__init__("Another request goes on with this upload. Ask for its offset before you send more.")


class TooManyChunks(OmnisonicError):
    """The upload has as many chunks as allowed and is not complete."""

    code = "too_many_pieces"

    def __init__(self) -> None:
        super().__init__(f"This upload came in {MAX_CHUNKS:,} parts. Begin it anew, and send larger ones.")


class LengthConflict(OmnisonicError):
    """The length was said before, or more than that has arrived."""

    code = "upload_length_conflict"

    def __init__(self) -> None:
        super().__init__("The length of an upload is said once, and is not less than what has arrived.")


class Resumable(msgspec.Struct, frozen=True):
    """An unfinished upload: its whole size and how much of it has arrived, in bytes.

    `size` is None while it is not known. `is_deferred`: it was not known when the upload was created. `take_of` is the
    track of which it will be another take, if any. `offset_s` is where in the session it will begin.
    """

    id: UploadId
    session: SessionId | None
    file_name: str
    size: int | None
    received: int
    expires_at: datetime
    is_deferred: bool
    take_of: TrackId | None = None
    offset_s: float = 0.0


class NextChunk(msgspec.Struct, frozen=True):
    """The chunk that will be put at `key`, of at most `size` bytes."""

    key: Key
    size: int


class Claim(msgspec.Struct, frozen=True):
    """A request's right to add chunks, until the next request claims it: the number of the writer, and the upload.

    `is_contested`: another request has bytes reserved for this upload.
    """

    writer: int
    is_contested: bool
    resumable: Resumable
