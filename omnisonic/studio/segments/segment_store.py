"""The segment store: finds the segments of an upload for somebody who may hear it, on Postgres.

What is not made yet is put into the queue (`.segment_queue`) by whoever asks for it. Overload and a database that does
not answer: `Unavailable` (`omnisonic.stores.database.pool`). Crash: each statement is done whole or not at all.
Shutdown: the owner of `Database` closes it.
"""

from typing import Final

from omnisonic.models import LoginId, UploadId
from omnisonic.stores.database.pool import Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.segments import FORMAT, NoSegments, NoSuchSegment, Segments, SegmentsPending, StoredSegment
from omnisonic.studio.segments.segment_limit import NO_SPACE, has_space
from omnisonic.studio.uploads import NoSuchUpload
from omnisonic.studio.uploads.upload_statements import IS_VISIBLE

HIGHEST: Final = 1_000_000
"""A number that no segment has."""

_FIND: Final = f"""
-- $1 sign-in, $2 upload, $3 format, $4 number of a segment. One row, as soon as the sign-in holds; NULLs when there is
-- no upload for them, or no segments of it.
SELECT upload.id IS NOT NULL AS is_there, upload.analysis_due_at IS NOT NULL AS is_unanalysed,
    upload.peaks IS NOT NULL AS has_sound, upload.segments_due_at IS NOT NULL AS is_waiting, upload.segments_problem,
    made.object_key, made.sha256, cardinality(made.ends) AS count, made.frames, made.channels, made.bits, made.gain,
    made.warning, coalesce(made.ends[$4], 0) AS begins_at, made.ends[$4 + 1] AS ends_at
FROM live_logins AS login
LEFT JOIN uploads AS upload ON upload.id = $2 AND {IS_VISIBLE}
LEFT JOIN upload_segments AS made ON made.upload_id = upload.id AND made.format = $3
WHERE login.id = $1
"""

_REQUEST: Final = """
-- $1 upload.
UPDATE uploads SET segments_due_at = now(), segments_tries = 0
WHERE id = $1 AND segments_due_at IS NULL AND segments_problem IS NULL
"""

_FORGET: Final = """
-- $1 key.
DELETE FROM upload_segments WHERE object_key = $1
"""


class SegmentStore:
    """The segments in `database`. `use` notes that sign-ins are used; stores on the same database may share it.

    A user's segments may take some times `quota_bytes` (`.segment_limit`); 0: any.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NotSignedIn: Every method that takes a sign-in, when it has ended.
        NoSuchUpload: Every method that takes an upload, when this user cannot see it.
        SegmentsPending, NoSegments: The same, when the segments are not there yet, or will not be.
    """

    def __init__(self, database: Database, use: LoginUse | None = None, *, quota_bytes: int = 0) -> None:
        self._database = database
        self._quota_bytes = quota_bytes
        self._use = use or LoginUse(database)

    async def describe(self, login: LoginId, upload: UploadId) -> Segments:
        """How many there are, and what they have in common."""
        row = await self._find(login, upload, 0)
        return Segments(
            version=row["sha256"],
            count=row["count"],
            frames=row["frames"],
            channels=row["channels"],
            sample_rate=RATE_HZ,
            bits_per_sample=row["bits"],
            gain=row["gain"],
            warning=row["warning"],
        )

    async def get(self, login: LoginId, upload: UploadId, number: int) -> StoredSegment:
        """Find the segment with this number, from 0 on.

        Raises:
            NoSuchSegment
        """
        row = await self._find(login, upload, min(number, HIGHEST))
        if row["ends_at"] is None:
            raise NoSuchSegment(row["count"])
        return StoredSegment(row["object_key"], row["begins_at"], row["ends_at"], row["sha256"])

    async def forget(self, key: Key) -> None:
        """Forget segments whose object is lost, so that they are made again."""
        await self._database.row(_FORGET, key)

    async def _find(self, login: LoginId, upload: UploadId, number: int) -> Row:
        row = await self._use.fetch_row(_FIND, login, uuid_or_none(upload), FORMAT, number)
        if not row["is_there"]:
            raise NoSuchUpload
        if row["object_key"] is not None:
            return row
        if row["segments_problem"] is not None:
            raise NoSegments(row["segments_problem"])
        if not row["is_unanalysed"]:
            if not row["has_sound"]:
                raise NoSegments
            if not row["is_waiting"]:
                if not await has_space(self._database, upload, self._quota_bytes):
                    raise NoSegments(NO_SPACE)
                await self._database.row(_REQUEST, uuid_or_none(upload))
        raise SegmentsPending
