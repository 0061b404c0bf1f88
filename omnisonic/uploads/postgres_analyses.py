"""The queue of uploads to listen to, on Postgres. Overload, crash and shutdown: as `omnisonic.uploads.postgres`."""

from datetime import timedelta

import msgspec

from omnisonic.database import analyses
from omnisonic.database.pool import Database
from omnisonic.models import Upload
from omnisonic.uploads import Kept
from omnisonic.uploads.analyses import LEASE_S, TRIES, AnalysisQueue, Heard
from omnisonic.uploads.postgres import FULL_SCALE, kept


class PostgresAnalyses:
    """An `AnalysisQueue` in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> Kept | None:
        while row := await self._database.row(analyses.TAKE, timedelta(seconds=LEASE_S), TRIES):
            *_, trace, is_tried = row
            if is_tried:
                return msgspec.structs.replace(kept(row), trace=trace)
        return None

    async def finish(self, upload: Upload, heard: Heard | None) -> Upload | None:
        if heard is None:
            values: tuple[object, ...] = (None, None, None, None, None)
        else:
            peaks = bytes(round(max(0.0, min(1.0, peak)) * FULL_SCALE) for peak in heard.peaks.peaks)
            about = heard.peaks
            values = (about.duration_seconds, about.sample_rate, heard.channels, peaks, heard.warning)
        row = await self._database.row(analyses.FINISH, upload.id, *values)
        return None if row is None else kept(row).upload


_fits: type[AnalysisQueue] = PostgresAnalyses
