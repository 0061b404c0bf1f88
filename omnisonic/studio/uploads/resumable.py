"""Uploads in pieces, which go on where they were cut off (tus 1.0). Adapter:
`omnisonic.studio.uploads.resumable_store`.

Each piece is an object of its own; the row says how much has arrived. The pieces become one upload, with the id of the
resumable, in the step that forgets the resumable. They are their uploader's alone until then.

Of several requests that send bytes at the same time, in whatever processes, the last one that has begun is the writer:
the others' pieces are refused. Whichever of them has a whole file first may finish it.
"""

from datetime import datetime
from typing import Final, Protocol

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import LoginId, SessionId, Upload, UploadId
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import Received

RESUMABLE_S: Final = 86_400
"""How long an upload may be unfinished: a day from when it was begun."""

MOST_PIECES: Final = 10_000
"""How many pieces an unfinished upload may have: as many as S3 takes of one object."""


class NoSuchResumable(OmnisonicError):
    """There is no such unfinished upload of this user: it was never begun, has expired, was finished or removed."""

    code = "upload_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such unfinished upload. Begin it anew.")


class OffsetTaken(OmnisonicError):
    """The piece does not begin where the last one ended."""

    code = "offset_conflict"

    def __init__(self) -> None:
        super().__init__("The upload goes on at another offset. Ask for it, and continue there.")


class TakenOver(OmnisonicError):
    """Another request sends bytes of this upload by now."""

    code = "upload_taken_over"

    def __init__(self) -> None:
        super().__init__("Another request goes on with this upload. Ask for its offset before you send more.")


class TooManyChunks(OmnisonicError):
    """The upload has come in as many pieces as it may, and is not whole."""

    code = "too_many_pieces"

    def __init__(self) -> None:
        super().__init__(f"This upload came in {MOST_PIECES:,} parts. Begin it anew, and send larger ones.")


class Resumable(msgspec.Struct, frozen=True):
    """An unfinished upload. Its size in all, and how much of it has arrived, in bytes."""

    id: UploadId
    session: SessionId | None
    file_name: str
    size: int
    received: int
    expires_at: datetime


class Arrival(msgspec.Struct, frozen=True):
    """An object that is to arrive at `key`, of at most `size` bytes."""

    key: Key
    size: int


class Claim(msgspec.Struct, frozen=True):
    """A request's right to add pieces, until the next one claims it: the number of the writer, and the upload.

    `is_contested`: the bytes of another request count still.
    """

    writer: int
    is_contested: bool
    resumable: Resumable


class ResumableStore(Protocol):
    """Errors: every method may raise `NotSignedIn` and `Unavailable`; those that take a resumable `NoSuchResumable`."""

    async def create(self, login: LoginId, file_name: str, size: int, session: SessionId | None) -> Resumable:
        """Begin one of `size` bytes, which count towards the quota. Errors: `NoSuchSession`, `QuotaExceeded`."""
        ...

    async def get(self, login: LoginId, resumable: UploadId) -> Resumable: ...

    async def claim(self, login: LoginId, resumable: UploadId, *, offset: int) -> Claim:
        """Be the only writer from now on. Errors: `OffsetTaken` unless so much has arrived."""
        ...

    async def check(self, login: LoginId, resumable: UploadId, *, writer: int) -> None:
        """See that this one still is the writer. Errors: `TakenOver`."""
        ...

    async def append(
        self,
        login: LoginId,
        resumable: UploadId,
        key: Key,
        *,
        writer: int,
        offset: int,
        size: int,
        following: Arrival | None = None,
    ) -> int:
        """The loose object `key` is the piece of `size` bytes from `offset` on; `following`, if any, is loose now.

        It takes the place of `key` among what arrives at the same time: how many bytes may be put there. Errors:
        `TakenOver`; `OffsetTaken`; `TooManyChunks`; `Unavailable` when `key` is not loose any more.
        """
        ...

    async def chunks(self, login: LoginId, resumable: UploadId) -> list[Key]:
        """The pieces of which it consists so far, in order."""
        ...

    async def finish(self, login: LoginId, resumable: UploadId, key: Key, received: Received, *, offset: int) -> Upload:
        """Make the upload of what was put at `key`, and forget the resumable, whose pieces are loose and due.

        It is made of the pieces up to `offset`, and of a last one, which was not appended. As `UploadStore.commit`; the
        bytes promised no longer count twice. Also `OffsetTaken`, when it is not whole, or goes on elsewhere by now.
        """
        ...

    async def remove(self, login: LoginId, resumable: UploadId) -> list[Key]:
        """Forget it. Its pieces, which are loose and due."""
        ...
