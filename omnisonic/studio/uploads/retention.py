"""Retention: which rows of uploads have outlived their use, and which unreferenced objects are due, on Postgres.

Several processes may run housekeeping at once: each takes other rows. Crash: objects that were taken and not deleted
are due again after `TAKEN_S`. Overload and a database that does not answer: `Unavailable`
(`omnisonic.stores.database.pool`). Shutdown: the owner of `Database` closes it.
"""

from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import Upload
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import BIN_DAYS
from omnisonic.studio.uploads.unreferenced_objects import COPY_LOCK, MAY_DELETE
from omnisonic.studio.uploads.upload_changes import stored_upload
from omnisonic.studio.uploads.upload_statements import COLUMNS

TAKEN_S: Final = 60
"""How long a process has time to delete the objects that it took, before others may take them."""

_TAKE_UNREFERENCED: Final = """
-- $1 how many, $2 for how long nobody else may take them.
WITH due AS MATERIALIZED (
    SELECT object_key FROM loose_objects WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE loose_objects AS loose SET due_at = now() + $2::interval, doomed = true
FROM due WHERE loose.object_key = due.object_key
RETURNING loose.object_key
"""

_FORGET_UNREFERENCED: Final = """
-- $1 keys.
DELETE FROM loose_objects WHERE object_key = ANY($1::text[]) AND doomed
"""

_COUNT_STALE: Final = """
-- $1 age.
SELECT count(*) AS uploads, coalesce(sum(file_size), 0)::bigint AS size_bytes FROM uploads
WHERE session_id IS NULL AND created_at < now() - $1::interval
"""

_DROP_STALE: Final = f"""
-- $1 age, $2 how many.
WITH stale AS MATERIALIZED (
    SELECT id FROM uploads WHERE session_id IS NULL AND created_at < now() - $1::interval
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM uploads AS upload USING stale WHERE upload.id = stale.id
RETURNING {COLUMNS}
"""

_DROP_EXPIRED: Final = """
-- $1 how many.
WITH expired AS MATERIALIZED (
    SELECT id FROM resumable_uploads WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM resumable_uploads AS resumable USING expired WHERE resumable.id = expired.id RETURNING resumable.id
)
SELECT count(*) AS dropped FROM gone
"""


_DROP_REMOVED: Final = """
-- $1 how long uploads stay in the bin, $2 how many.
WITH old AS MATERIALIZED (
    SELECT id FROM uploads WHERE removed_at < now() - $1::interval
    ORDER BY removed_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM uploads AS upload USING old WHERE upload.id = old.id RETURNING upload.id
)
SELECT count(*) AS dropped FROM gone
"""


class Stale(msgspec.Struct, frozen=True):
    """The uploads that have outlived their use: how many, and how many bytes."""

    uploads: int
    size_bytes: int


class UploadRetention:
    """Drops rows from `database` that are too old, and tells which objects to delete.

    Raises:
        Unavailable: Every method, when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_unreferenced(self, limit: int) -> list[Key]:
        """Take at most `limit` unreferenced objects that are due, to delete them. They cannot be bound from now on."""
        rows = await self._database.rows(_TAKE_UNREFERENCED, limit, timedelta(seconds=TAKEN_S))
        return [row["object_key"] for row in rows]

    async def may_delete(self) -> bool:
        """Whether objects that nothing refers to by now may be deleted: not while a backup copies them.

        Ask after their rows are gone: a backup that begins later does not need them.
        """
        row = await self._database.row(MAY_DELETE, COPY_LOCK)
        return row is not None and bool(row["may_delete"])

    async def forget_unreferenced(self, keys: list[Key]) -> None:
        """Remove the registrations of objects that are deleted. Idempotent."""
        await self._database.row(_FORGET_UNREFERENCED, keys)

    async def count_stale(self, older_than: timedelta) -> Stale:
        """Count what `drop_stale` would drop in all."""
        row = await self._database.row(_COUNT_STALE, older_than)
        assert row is not None
        return Stale(uploads=row["uploads"], size_bytes=row["size_bytes"])

    async def drop_stale(self, older_than: timedelta, limit: int) -> list[Upload]:
        """Delete at most `limit` older uploads without a session, oldest first. Their objects are due at once."""
        rows = await self._database.rows(_DROP_STALE, older_than, limit)
        return [stored_upload(row).upload for row in rows]

    async def drop_removed(self, limit: int) -> int:
        """Delete for good at most `limit` uploads that are long enough in the bin, and return how many."""
        row = await self._database.row(_DROP_REMOVED, timedelta(days=BIN_DAYS), limit)
        assert row is not None
        return int(row["dropped"])

    async def drop_expired(self, limit: int) -> int:
        """Delete at most `limit` expired resumable uploads, and return how many. Their chunks are due at once."""
        row = await self._database.row(_DROP_EXPIRED, limit)
        assert row is not None
        return int(row["dropped"])
