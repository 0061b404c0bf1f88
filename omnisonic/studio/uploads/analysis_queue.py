"""The queue of uploads that wait to be analysed, in the table `uploads` on Postgres.

Several workers may take at once: each gets another upload. Overload: uploads wait in the table. Crash: an upload that
was taken and neither finished nor released is taken again `LEASE_S` after it was last renewed, `TRIES` times in all;
then it counts as having no sound. A database that does not answer: `Unavailable`. Shutdown: the owner of `Database`
closes it.
"""

from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import Upload
from omnisonic.stores.database.pool import Database
from omnisonic.studio.uploads import Analysis, StoredUpload
from omnisonic.studio.uploads.peaks import FULL_SCALE
from omnisonic.studio.uploads.upload_changes import stored_upload
from omnisonic.studio.uploads.upload_statements import COLUMNS
from omnisonic.studio.uploads.upload_turns import release_statement, take_statement

LEASE_S: Final = 300
BEAT_S: Final = 60.0
"""The time between two renewals of a lease: short enough that a few may fail."""
TRIES: Final = 3

_TAKE: Final = take_statement("analysis", turn="analysed_at")

_RELEASE: Final = release_statement("analysis")

_RENEW: Final = """
-- $1 upload, $2 its tries when it was taken, $3 how long nobody else may take it.
UPDATE uploads SET analysis_due_at = now() + $3::interval
WHERE id = $1 AND analysis_tries = $2 AND analysis_due_at IS NOT NULL
"""

_FINISH: Final = f"""
-- $1 upload, $2 duration in seconds, $3 sample rate, $4 channels, $5 peaks, $6 warning: NULLs when there is no sound,
-- which does not erase what another worker has found. The segments of a stem in a session come next.
UPDATE uploads AS upload
SET analysis_due_at = NULL, duration_seconds = coalesce($2, duration_seconds), sample_rate = coalesce($3, sample_rate),
    channels = coalesce($4, channels), peaks = coalesce($5, peaks),
    warning = coalesce($6, warning),
    segments_due_at = CASE
        WHEN $5::bytea IS NOT NULL AND session_id IS NOT NULL AND removed_at IS NULL AND segments_problem IS NULL
            AND NOT EXISTS (SELECT FROM upload_segments AS made WHERE made.upload_id = upload.id)
        THEN coalesce(segments_due_at, now()) ELSE segments_due_at
    END
WHERE upload.id = $1
RETURNING {COLUMNS}, removed_at IS NOT NULL AS is_removed
"""


class AnalysisQueue:
    """The uploads in `database` that wait to be analysed.

    Raises:
        Unavailable: Every method, when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> StoredUpload | None:
        """Take the next upload for `LEASE_S`; None when none waits. Users take turns."""
        while row := await self._database.row(_TAKE, timedelta(seconds=LEASE_S), TRIES):
            if row["is_tried"]:
                return msgspec.structs.replace(stored_upload(row), trace=row["trace"], tries=row["tries"])
        return None

    async def release(self, taken: StoredUpload, after_s: float) -> None:
        """Give back what was taken, to be taken again `after_s` from now. This try does not count."""
        await self._database.row(_RELEASE, taken.upload.id, taken.tries, timedelta(seconds=after_s))

    async def renew(self, taken: StoredUpload) -> None:
        """Nobody else may take it for another `LEASE_S`, unless somebody has."""
        await self._database.row(_RENEW, taken.upload.id, taken.tries, timedelta(seconds=LEASE_S))

    async def finish(self, upload: Upload, analysis: Analysis | None) -> Upload | None:
        """Store the analysis; None means no sound.

        Returns:
            The upload as it is now, or None when it was removed meanwhile; from the bin it comes back analysed.
        """
        if analysis is None:
            values: tuple[object, ...] = (None, None, None, None, None)
        else:
            waveform = analysis.peaks
            peaks = bytes(round(max(0.0, min(1.0, peak)) * FULL_SCALE) for peak in waveform.peaks)
            values = (waveform.duration_seconds, waveform.sample_rate, analysis.channels, peaks, analysis.warning)
        row = await self._database.row(_FINISH, upload.id, *values)
        return None if row is None or row["is_removed"] else stored_upload(row).upload
