"""The queue of exports to be made, on Postgres. Overload, crash and shutdown: as
`omnisonic.studio.exports.export_store`.

What a worker is not told has happened, since the server broke off, may be said again: it has happened once.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from omnisonic.models import Export, ExportStatus, Upload
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.database.pool import Database, Row
from omnisonic.stores.storage import Key, NoSuchObject
from omnisonic.studio.exports import export_statements as statements
from omnisonic.studio.exports.export_store import made
from omnisonic.studio.exports.queue import BACKOFF_S, CRASHED, LEASE_S, MOST_STEMS, TRIES, ExportQueue, Finished, Job
from omnisonic.studio.uploads.unreferenced_objects import abandon_object, register_object, try_bind_object
from omnisonic.studio.uploads.upload_store import stored_upload

_LEASE: Final = timedelta(seconds=LEASE_S)
_BACKOFF: Final = [timedelta(seconds=pause_s) for pause_s in BACKOFF_S]
_UPLOAD: Final = 2
"""Where an upload begins in a row of a session."""


class PostgresExportQueue:
    """An `ExportQueue` in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> Job | Export | None:
        async with self._database.transaction() as connection:
            taken = await connection.fetchrow(statements.TAKE, _LEASE, TRIES, CRASHED)
            if taken is None:
                return None
            export = made(taken).export
            if export.status == "failed":
                return export
            rows = await connection.fetch(statements.STEMS, export.session_id, MOST_STEMS + 1)
        *_, trace, lease = taken
        return _job(export, trace, lease, rows)

    async def waiting(self) -> int:
        row = await self._database.row(statements.WAITING)
        assert row is not None
        return int(row[0])

    async def beat(self, job: Job, progress: int) -> bool:
        row = await self._database.row(statements.BEAT, job.export.id, job.lease, _LEASE, max(0, min(progress, 100)))
        return row is not None

    async def gone(self, job: Job, stems: Sequence[Upload]) -> Upload | None:
        row = await self._database.row(statements.GONE, job.export.session_id, [stem.id for stem in stems])
        return None if row is None else stems[row[0] - 1]

    async def note(self, key: Key) -> None:
        async with self._database.connection() as connection:
            await register_object(connection, key)

    async def abandon(self, key: Key) -> bool:
        async with self._database.connection() as connection:
            return await abandon_object(connection, key)

    async def complete(self, job: Job, finished: Finished) -> Export | None:
        measured = finished.duration_seconds, finished.loudness_lufs, finished.peak_dbfs, finished.warning
        values = finished.key, finished.file_size, finished.sha256, *measured
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(statements.COMPLETE, job.export.id, job.lease, *values)
            if row is not None:
                if not await try_bind_object(connection, finished.key):
                    raise NoSuchObject  # and nothing is completed
                return made(row).export
        settled = await self._database.row(statements.SETTLED, job.export.id, job.lease)
        return None if settled is None or made(settled).key != finished.key else made(settled).export

    async def postpone(self, job: Job, reason: str) -> Export | None:
        return await self._settle(statements.POSTPONE, job, reason, _BACKOFF, TRIES, into=("pending", "failed"))

    async def fail(self, job: Job, reason: str) -> Export | None:
        return await self._settle(statements.FAIL, job, reason, into=("failed",))

    async def release(self, job: Job, after_s: float = 0.0) -> None:
        await self._database.row(statements.GIVE_BACK, job.export.id, job.lease, timedelta(seconds=after_s))

    async def drop_old(self, older_than: timedelta, limit: int) -> int:
        row = await self._database.row(statements.DROP_OLD, older_than, limit)
        assert row is not None
        return int(row[0])

    async def _settle(self, statement: str, job: Job, *values: object, into: tuple[ExportStatus, ...]) -> Export | None:
        """End the work on `job`, or see that it was ended in this way before."""
        whose = job.export.id, job.lease
        row = await self._database.row(statement, *whose, *values) or await self._database.row(
            statements.SETTLED, *whose
        )
        export = None if row is None else made(row).export
        return None if export is None or export.status not in into else export


def _job(export: Export, trace: Trace | None, lease: str, rows: Sequence[Row]) -> Job:
    """From the columns of a session, and of its uploads."""
    tempo_bpm, beats_per_bar = rows[0][:_UPLOAD]
    stems = [stored_upload(row) for row in rows if row["id"] is not None]
    return Job(export, lease, tempo_bpm, beats_per_bar, stems, trace)


_fits: type[ExportQueue] = PostgresExportQueue
