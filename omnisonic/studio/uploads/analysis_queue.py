"""The queue of uploads to listen to, on Postgres. Overload, crash and shutdown: as
`omnisonic.studio.uploads.upload_store`.
"""

from datetime import timedelta

import msgspec

from omnisonic.models import Upload
from omnisonic.stores.database.pool import Database
from omnisonic.studio.uploads import StoredUpload, analysis_statements
from omnisonic.studio.uploads.analyses import LEASE_S, TRIES, Analysis, AnalysisQueue
from omnisonic.studio.uploads.upload_store import FULL_SCALE, kept


class PostgresAnalyses:
    """An `AnalysisQueue` in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> StoredUpload | None:
        while row := await self._database.row(analysis_statements.TAKE, timedelta(seconds=LEASE_S), TRIES):
            *_, trace, is_tried = row
            if is_tried:
                return msgspec.structs.replace(kept(row), trace=trace)
        return None

    async def finish(self, upload: Upload, heard: Analysis | None) -> Upload | None:
        if heard is None:
            values: tuple[object, ...] = (None, None, None, None, None)
        else:
            peaks = bytes(round(max(0.0, min(1.0, peak)) * FULL_SCALE) for peak in heard.peaks.peaks)
            about = heard.peaks
            values = (about.duration_seconds, about.sample_rate, heard.channels, peaks, heard.warning)
        row = await self._database.row(analysis_statements.FINISH, upload.id, *values)
        return None if row is None else kept(row).upload


_fits: type[AnalysisQueue] = PostgresAnalyses
