"""The queue of uploads whose segments are to be made, in the tables `uploads` and `upload_segments` on Postgres.

Several workers may take at once: each gets another upload, and where two have made the segments of one, the first set
counts. Overload: uploads wait in the table, and users take turns. Crash: what was taken, and neither finished nor
released, is taken again `LEASE_S` after it was last renewed, `TRIES` times in all; after that, when somebody asks for
it again. A database that does not answer: `Unavailable`. Shutdown: the owner of `Database` closes it.
"""

from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import UploadId
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Key
from omnisonic.studio.segments import FORMAT, MadeSegments
from omnisonic.studio.segments.segment_limit import has_space
from omnisonic.studio.uploads import StoredUpload
from omnisonic.studio.uploads.unreferenced_objects import abandon_object, bind_object, register_object
from omnisonic.studio.uploads.upload_changes import stored_upload
from omnisonic.studio.uploads.upload_turns import release_statement, take_statement

LEASE_S: Final = 60
BEAT_S: Final = 15.0
"""The time between two renewals of a lease: short enough that a few may fail."""
TRIES: Final = 3

_TAKE: Final = take_statement("segments", turn="segmented_at")

_RELEASE: Final = release_statement("segments")

_RENEW: Final = """
-- $1 upload, $2 how long nobody else may take it.
UPDATE uploads SET segments_due_at = now() + $2::interval WHERE id = $1 AND segments_due_at IS NOT NULL
"""

_LOCK: Final = """
-- $1 upload, $2 format. A row when it is there: whether its segments are.
SELECT EXISTS (SELECT FROM upload_segments WHERE upload_id = $1 AND format = $2) AS are_made
FROM uploads WHERE id = $1 FOR NO KEY UPDATE
"""

_DROP_OLD: Final = "DELETE FROM upload_segments WHERE upload_id = $1"

_INSERT: Final = """
-- $1 upload, $2 format, $3 key, $4 SHA-256, $5 ends, $6 frames, $7 channels, $8 bits, $9 gain, $10 warning.
INSERT INTO upload_segments
    (upload_id, format, object_key, sha256, ends, frames, channels, bits, gain, warning)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

_END: Final = """
-- $1 upload, $2 why there are no segments, NULL when there are.
UPDATE uploads SET segments_due_at = NULL, segments_problem = $2 WHERE id = $1
"""


class SegmentQueue:
    """The uploads in `database` whose segments are to be made, within the limit of `quota_bytes` (`.segment_limit`).

    Raises:
        Unavailable: Every method, when the database does not answer.
    """

    def __init__(self, database: Database, *, quota_bytes: int = 0) -> None:
        self._database = database
        self._quota_bytes = quota_bytes

    async def take(self) -> StoredUpload | None:
        """Take the next upload for `LEASE_S`; None when none waits. Users take turns."""
        while row := await self._database.row(_TAKE, timedelta(seconds=LEASE_S), TRIES):
            if row["is_tried"]:
                return msgspec.structs.replace(stored_upload(row), trace=row["trace"], tries=row["tries"])
        return None

    async def release(self, taken: StoredUpload, after_s: float) -> None:
        """Give back what was taken, to be taken again `after_s` from now. This try does not count."""
        await self._database.row(_RELEASE, taken.upload.id, taken.tries, timedelta(seconds=after_s))

    async def renew(self, upload: UploadId) -> None:
        """Nobody else may take it for another `LEASE_S`."""
        await self._database.row(_RENEW, upload, timedelta(seconds=LEASE_S))

    async def has_space(self, upload: UploadId) -> bool:
        """Whether segments of it may be made."""
        return await has_space(self._database, upload, self._quota_bytes)

    async def drop(self, upload: UploadId) -> None:
        """Make none now. They are made when somebody asks for them and there is space."""
        await self._database.row(_END, upload, None)

    async def register(self, key: Key) -> None:
        """Register `key` as unreferenced, before the segments are put there."""
        async with self._database.connection() as connection:
            await register_object(connection, key)

    async def finish(self, upload: UploadId, made: MadeSegments) -> bool:
        """Insert the row of the segments and remove the registration: both or neither.

        Returns:
            False when they are not needed: the upload is gone, or another worker has made them. Abandon them.

        Raises:
            Unavailable: The key is not registered any more: it took too long.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_LOCK, upload, FORMAT)
            if row is None or row["are_made"]:
                return False
            await bind_object(connection, made.key)
            await connection.execute(_DROP_OLD, upload)
            cut = made.cut
            values = made.key, made.sha256, made.ends, cut.frames, cut.channels, cut.bits, cut.gain, cut.warning
            await connection.execute(_INSERT, upload, FORMAT, *values)
            await connection.execute(_END, upload, None)
        return True

    async def give_up(self, upload: UploadId, problem: str) -> None:
        """Note why there are no segments of this upload, and never will be."""
        await self._database.row(_END, upload, problem)

    async def abandon(self, key: Key) -> None:
        """Mark what was put, or half put, at `key` for deletion."""
        async with self._database.connection() as connection:
            await abandon_object(connection, key)
