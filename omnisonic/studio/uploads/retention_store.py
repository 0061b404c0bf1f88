"""The upkeep of uploads on Postgres. Overload, crash and shutdown: as `omnisonic.studio.uploads.upload_store`."""

from datetime import timedelta

from omnisonic.models import Upload
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import resumable_statements, unreferenced_objects, upload_statements
from omnisonic.studio.uploads.retention import TAKEN_S, Stale, UploadRetention
from omnisonic.studio.uploads.upload_store import kept


class PostgresRetention:
    """An `UploadRetention` in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_unreferenced(self, limit: int) -> list[Key]:
        return [
            row[0] for row in await self._database.rows(unreferenced_objects.TAKE, limit, timedelta(seconds=TAKEN_S))
        ]

    async def forget_unreferenced(self, keys: list[Key]) -> None:
        await self._database.row(unreferenced_objects.FORGET, keys)

    async def stale(self, older_than: timedelta) -> Stale:
        row = await self._database.row(upload_statements.STALE, older_than)
        assert row is not None
        return Stale(*row)

    async def drop_stale(self, older_than: timedelta, limit: int) -> list[Upload]:
        rows = await self._database.rows(upload_statements.DROP_STALE, older_than, limit)
        return [kept(row).upload for row in rows]

    async def drop_expired(self, limit: int) -> int:
        row = await self._database.row(resumable_statements.DROP_EXPIRED, limit)
        assert row is not None
        return int(row[0])


_fits: type[UploadRetention] = PostgresRetention
