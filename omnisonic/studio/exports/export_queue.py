"""The queue of exports that wait to be made, on the table `exports` in Postgres.

A worker takes a job under a lease and renews the lease while it works. When the lease runs out, another worker may take
the job, and whatever the first one reports is ignored: exactly one worker completes an export, and a worker may be
killed at any moment. Temporary failures are retried with growing delays. After `TRIES` attempts, or after a permanent
failure, the export has failed.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). When the connection breaks
before the answer arrives, the call may be repeated: it has effect once. Shutdown: whoever opened the database closes
it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import Export, ExportStatus, Upload
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.database.pool import Database, Row
from omnisonic.stores.storage import Key, NoSuchObject
from omnisonic.studio.exports.export_store import COLUMNS, export_from_row
from omnisonic.studio.stems import SongMarker
from omnisonic.studio.uploads import StoredUpload, upload_statements
from omnisonic.studio.uploads.unreferenced_objects import abandon_object, register_object, try_bind_object
from omnisonic.studio.uploads.upload_changes import stored_upload
from omnisonic.studio.user_turns import next_in_turn

LEASE_S: Final = 20.0
"""How long a job belongs to its worker after each renewal."""
BEAT_S: Final = 4.0
"""The time between two renewals; a few of them may fail."""
TRIES: Final = 5
BACKOFF_S: Final = (2.0, 10.0, 30.0, 120.0)
"""How long a job waits after each failed attempt."""
MOST_STEMS: Final = 200
"""Most stems that can be mixed: each is an open file."""
CRASHED: Final = "Making this mixdown failed again and again. Tell whoever runs the studio."
"""Why an export has failed whose workers crashed."""
_LEASE: Final = timedelta(seconds=LEASE_S)
_BACKOFF: Final = [timedelta(seconds=pause_s) for pause_s in BACKOFF_S]

_NEXT: Final = next_in_turn(
    "exports", due="due_at", tries="tries", is_leased="status = 'processing'", turn="mixed_at", most_tries="$2"
)

_TAKE: Final = f"""
-- $1 the lease, $2 how often it is tried, $3 why it has failed when it was tried so often.
WITH {_NEXT}
UPDATE exports AS export
SET status = CASE WHEN next.is_tried THEN 'processing' ELSE 'failed' END,
    error_message = CASE WHEN NOT next.is_tried THEN $3 END,
    due_at = CASE WHEN next.is_tried THEN now() + $1::interval END,
    tries = tries + 1, progress = 0, lease = gen_random_uuid()
FROM next WHERE export.id = next.id
RETURNING {COLUMNS}, trace, lease::text
"""

_COUNT_WAITING: Final = "SELECT count(*) AS waiting FROM exports WHERE due_at <= now()"

_STEMS: Final = f"""
-- $1 session, $2 how many. At least one row: an upload, NULLs when the session has none, and the session's tempo and
-- beats. Of each track only the take that is heard. Muted ones come last, and else the oldest first. A film in which
-- analysis found no sound is no stem; a sound file without sound is one, for the mixdown has to say so.
SELECT {upload_statements.COLUMNS}, session.tempo_bpm, session.beats_per_bar
FROM sessions AS session
LEFT JOIN uploads AS upload ON upload.session_id = session.id AND upload.removed_at IS NULL
    AND upload.mime_type NOT LIKE 'image/%'
    AND NOT (upload.mime_type LIKE 'video/%' AND upload.analysis_due_at IS NULL AND upload.peaks IS NULL)
    AND {upload_statements.IS_HEARD}
WHERE session.id = $1
ORDER BY upload.muted, upload.created_at, upload.id LIMIT $2
"""

_MARKERS: Final = """
-- $1 session.
SELECT name, at_beat, end_beat FROM markers WHERE session_id = $1 AND removed_at IS NULL ORDER BY at_beat, id
"""

_FIND_MISSING: Final = """
-- $1 session, $2 uploads. The place, from 1 on, of the first that is not in the session any more.
SELECT stem.place::int FROM unnest($2::uuid[]) WITH ORDINALITY AS stem (id, place)
WHERE NOT EXISTS (
    SELECT FROM uploads WHERE uploads.id = stem.id AND uploads.session_id = $1 AND uploads.removed_at IS NULL
)
ORDER BY stem.place LIMIT 1
"""

_RENEW: Final = """
-- $1 export, $2 lease, $3 how long it is renewed for, $4 progress. A row when the lease is valid.
UPDATE exports SET due_at = now() + $3::interval, progress = $4
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING id
"""

_COMPLETE: Final = f"""
-- $1 export, $2 lease, $3 key, $4 size, $5 SHA-256, $6 duration, $7 loudness, $8 peak, $9 warning. A row when the
-- lease is valid.
UPDATE exports AS export
SET status = 'completed', progress = 100, due_at = NULL, completed_at = clock_timestamp(), object_key = $3,
    file_size = $4, sha256 = $5, duration_seconds = $6, loudness_lufs = $7, peak_dbfs = $8,
    warning = $9
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING {COLUMNS}
"""

_POSTPONE: Final = f"""
-- $1 export, $2 lease, $3 reason, $4 how long it waits after each try but the last, $5 how often it is tried.
UPDATE exports AS export
SET status = CASE WHEN tries < $5 THEN 'pending' ELSE 'failed' END,
    error_message = CASE WHEN tries < $5 THEN NULL ELSE $3 END,
    due_at = CASE WHEN tries < $5 THEN now() + ($4::interval[])[tries] END,
    progress = CASE WHEN tries < $5 THEN 0 ELSE progress END
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING {COLUMNS}
"""

_FAIL: Final = f"""
-- $1 export, $2 lease, $3 reason.
UPDATE exports AS export SET status = 'failed', error_message = $3, due_at = NULL
WHERE id = $1 AND lease = $2 AND status = 'processing'
RETURNING {COLUMNS}
"""

_FIND_ENDED: Final = f"""
-- $1 export, $2 lease. The export, when the holder of this lease has ended the job before.
SELECT {COLUMNS} FROM exports AS export WHERE id = $1 AND lease = $2 AND status <> 'processing'
"""

_RELEASE: Final = """
-- $1 export, $2 lease, $3 how long it waits.
UPDATE exports SET status = 'pending', due_at = now() + $3::interval, tries = tries - 1, progress = 0, lease = NULL
WHERE id = $1 AND lease = $2 AND status = 'processing'
"""

_DROP_OLD: Final = """
-- $1 age, $2 how many. A mixdown stays as long as a link to it holds.
WITH old AS MATERIALIZED (
    SELECT id FROM exports WHERE due_at IS NULL AND created_at < now() - $1::interval
        AND NOT EXISTS (
            SELECT FROM shares WHERE export_id = exports.id AND revoked_at IS NULL AND expires_at > now()
        )
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM exports USING old WHERE exports.id = old.id RETURNING exports.id
)
SELECT count(*) AS dropped FROM gone
"""


class Job(msgspec.Struct, frozen=True):
    """An export to be made, under the lease `lease`, with the session's tempo and stems as they are now.

    `stems` are the chosen takes that may contain sound with their mix settings, oldest first, muted ones last. When
    there are more than `MOST_STEMS`, the list has one more than that. `trace` is the trace of the request. `markers`
    are those of the session, for stems.
    """

    export: Export
    lease: str
    tempo_bpm: float
    beats_per_bar: int
    stems: list[StoredUpload]
    trace: Trace | None = None
    markers: list[SongMarker] = []


class Finished(msgspec.Struct, frozen=True):
    """A mixdown in the storage: `key`, size in bytes, SHA-256 in hexadecimal, and its measurements as in `Export`."""

    key: Key
    file_size: int
    sha256: str
    duration_seconds: float
    loudness_lufs: float | None
    peak_dbfs: float | None
    warning: str | None = None


class ExportQueue:
    """The queue in `database`. Several workers may use it at once. Every method may raise `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> Job | Export | None:
        """Take the next job. Users take turns. None when no job waits.

        An `Export` is one that has just failed because too many workers crashed on it: tell its room, and take again.
        """
        async with self._database.transaction() as connection:
            taken = await connection.fetchrow(_TAKE, _LEASE, TRIES, CRASHED)
            if taken is None:
                return None
            export = export_from_row(taken).export
            if export.status == "failed":
                return export
            rows = await connection.fetch(_STEMS, export.session_id, MOST_STEMS + 1)
            markers = await connection.fetch(_MARKERS, export.session_id) if export.format == "stems" else []
        return _job_from_rows(export, taken, rows, markers)

    async def count_waiting(self) -> int:
        """Count the jobs that could be taken now."""
        row = await self._database.row(_COUNT_WAITING)
        assert row is not None
        return int(row["waiting"])

    async def renew(self, job: Job, progress: int) -> bool:
        """Renew the lease and store the progress in percent.

        Returns:
            False when the export was removed, or the lease is no longer the caller's.
        """
        row = await self._database.row(_RENEW, job.export.id, job.lease, _LEASE, max(0, min(progress, 100)))
        return row is not None

    async def find_missing(self, job: Job, stems: Sequence[Upload]) -> Upload | None:
        """Find the first of these stems that is no longer in the job's session."""
        row = await self._database.row(_FIND_MISSING, job.export.session_id, [stem.id for stem in stems])
        return None if row is None else stems[row["place"] - 1]

    async def note(self, key: Key) -> None:
        """Note `key` as unreferenced, before anything is put there."""
        async with self._database.connection() as connection:
            await register_object(connection, key)

    async def abandon(self, key: Key) -> bool:
        """Mark the object `key`, put or not, for deletion. False when an export has it after all."""
        async with self._database.connection() as connection:
            return await abandon_object(connection, key)

    async def complete(self, job: Job, finished: Finished) -> Export | None:
        """Complete the export: its file is now referenced. May be repeated, as may `postpone` and `fail`.

        Returns:
            The export as it is now; None when the lease is no longer the caller's.

        Raises:
            NoSuchObject: The key is no longer noted, because this took too long. Put the file again, at a new key.
        """
        measured = finished.duration_seconds, finished.loudness_lufs, finished.peak_dbfs, finished.warning
        values = finished.key, finished.file_size, finished.sha256, *measured
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_COMPLETE, job.export.id, job.lease, *values)
            if row is not None:
                if not await try_bind_object(connection, finished.key):
                    raise NoSuchObject  # rolls back
                return export_from_row(row).export
        ended = await self._database.row(_FIND_ENDED, job.export.id, job.lease)
        stored = None if ended is None else export_from_row(ended)
        return stored.export if stored is not None and stored.key == finished.key else None

    async def postpone(self, job: Job, reason: str) -> Export | None:
        """End an attempt that failed for now: the job waits, or has failed for `reason` after the last attempt.

        `reason` is a sentence for musicians. Returns as `complete`.
        """
        return await self._end(_POSTPONE, job, reason, _BACKOFF, TRIES, into=("pending", "failed"))

    async def fail(self, job: Job, reason: str) -> Export | None:
        """End the job: it has failed for `reason`, a sentence for musicians. Returns as `complete`."""
        return await self._end(_FAIL, job, reason, into=("failed",))

    async def release(self, job: Job, after_s: float = 0.0) -> None:
        """Give the job back, to be taken `after_s` from now. This attempt does not count."""
        await self._database.row(_RELEASE, job.export.id, job.lease, timedelta(seconds=after_s))

    async def drop_old(self, older_than: timedelta, limit: int) -> int:
        """Delete ended exports that are older, oldest first, and return how many. Their files are due for deletion."""
        row = await self._database.row(_DROP_OLD, older_than, limit)
        assert row is not None
        return int(row["dropped"])

    async def _end(self, statement: str, job: Job, *values: object, into: tuple[ExportStatus, ...]) -> Export | None:
        """End the attempt, or find that it was ended in the same way before."""
        lease = job.export.id, job.lease
        row = await self._database.row(statement, *lease, *values) or await self._database.row(_FIND_ENDED, *lease)
        export = None if row is None else export_from_row(row).export
        return None if export is None or export.status not in into else export


def _job_from_rows(export: Export, taken: Row, rows: Sequence[Row], markers: Sequence[Row]) -> Job:
    session = rows[0]
    stems = [stored_upload(row) for row in rows if row["id"] is not None]
    marked = [SongMarker(*marker) for marker in markers]
    return Job(export, taken["lease"], session["tempo_bpm"], session["beats_per_bar"], stems, taken["trace"], marked)
