"""The queue of mixdowns whose preview is to be made, in the tables `exports` and `export_previews` on Postgres.

Several workers may take at once: each gets another mixdown, and where two have made the preview of one, the first
counts. Overload: mixdowns wait in the table, and users take turns. Crash: what was taken, and neither finished nor
released, is taken again `LEASE_S` after it was last renewed, `TRIES` times in all; after that, when another link to it
is made. A database that does not answer: `Unavailable`. Shutdown: the owner of `Database` closes it.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final

import msgspec

from omnisonic.models import ExportId
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Key
from omnisonic.studio.exports import StoredExport
from omnisonic.studio.exports.export_store import COLUMNS, export_from_row
from omnisonic.studio.shares import Preview
from omnisonic.studio.uploads.unreferenced_objects import abandon_object, bind_object, register_object
from omnisonic.studio.user_turns import next_in_turn

LEASE_S: Final = 60
BEAT_S: Final = 15.0
"""The time between two renewals of a lease: short enough that a few may fail."""
TRIES: Final = 3
POINTS: Final = 240
"""Most peaks of a preview: a bar each on a phone is about a dot."""
FULL_SCALE: Final = 255

_NEXT: Final = next_in_turn(
    "exports",
    due="preview_due_at",
    tries="preview_tries",
    is_leased="preview_tries > 0",
    turn="previewed_at",
    most_tries="$2",
)

_TAKE: Final = f"""
-- $1 how long nobody else may take it, $2 how often it is tried. What was tried too often does not wait any more, and
-- is returned once with `is_tried` false.
WITH {_NEXT}
UPDATE exports AS export
SET preview_due_at = CASE WHEN next.is_tried THEN now() + $1::interval END, preview_tries = preview_tries + 1
FROM next WHERE export.id = next.id
RETURNING {COLUMNS}, export.preview_tries, next.is_tried
"""

_RELEASE: Final = """
-- $1 export, $2 its tries when it was taken, $3 how long it waits. This one does not count.
UPDATE exports SET preview_due_at = now() + $3::interval, preview_tries = preview_tries - 1
WHERE id = $1 AND preview_tries = $2 AND preview_due_at IS NOT NULL
"""

_RENEW: Final = """
-- $1 export, $2 how long nobody else may take it.
UPDATE exports SET preview_due_at = now() + $2::interval WHERE id = $1 AND preview_due_at IS NOT NULL
"""

_LOCK: Final = """
-- $1 export. A row when it is there: whether its preview is.
SELECT EXISTS (SELECT FROM export_previews WHERE export_id = $1) AS is_made
FROM exports WHERE id = $1 FOR NO KEY UPDATE
"""

_INSERT: Final = """
-- $1 export, $2 peaks, $3 key, $4 size, $5 SHA-256.
INSERT INTO export_previews (export_id, peaks, object_key, file_size, sha256) VALUES ($1, $2, $3, $4, $5)
"""

_END: Final = "UPDATE exports SET preview_due_at = NULL WHERE id = $1"

_DONE: Final = "UPDATE exports SET preview_due_at = NULL, preview_tries = 0 WHERE id = $1"


class PreviewQueue:
    """The mixdowns in `database` whose preview is to be made.

    Raises:
        Unavailable: Every method, when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> StoredExport | None:
        """Take the next mixdown for `LEASE_S`; None when none waits. Users take turns."""
        while row := await self._database.row(_TAKE, timedelta(seconds=LEASE_S), TRIES):
            if row["is_tried"]:
                return msgspec.structs.replace(export_from_row(row), preview_tries=row["preview_tries"])
        return None

    async def release(self, taken: StoredExport, after_s: float) -> None:
        """Give back what was taken, to be taken again `after_s` from now. This try does not count."""
        await self._database.row(_RELEASE, taken.export.id, taken.preview_tries, timedelta(seconds=after_s))

    async def renew(self, export: ExportId) -> None:
        """Nobody else may take it for another `LEASE_S`."""
        await self._database.row(_RENEW, export, timedelta(seconds=LEASE_S))

    async def register(self, key: Key) -> None:
        """Register `key` as unreferenced, before the MP3 is put there."""
        async with self._database.connection() as connection:
            await register_object(connection, key)

    async def finish(self, export: ExportId, peaks: bytes, preview: Preview | None) -> bool:
        """Insert the row of the preview and remove the registration of its MP3: both or neither.

        Returns:
            False when it is not needed: the mixdown is gone, or another worker has made it. Abandon the MP3.

        Raises:
            Unavailable: The key is not registered any more: it took too long.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_LOCK, export)
            if row is None or row["is_made"]:
                return False
            file: tuple[object, ...] = (None, None, None)
            if preview is not None:
                await bind_object(connection, preview.key)
                file = preview.key, preview.file_size, preview.sha256
            await connection.execute(_INSERT, export, peaks, *file)
            await connection.execute(_DONE, export)
        return True

    async def give_up(self, export: ExportId) -> None:
        """There is no preview of this mixdown: it has no sound, or its file is lost."""
        await self._database.row(_END, export)

    async def abandon(self, key: Key) -> None:
        """Mark what was put, or half put, at `key` for deletion."""
        async with self._database.connection() as connection:
            await abandon_object(connection, key)


def packed_peaks(peaks: Sequence[float]) -> bytes:
    """The peaks as at most `POINTS` bytes, each the highest of its stretch. Pure."""
    count = min(POINTS, len(peaks))
    edges = [len(peaks) * place // count for place in range(count + 1)] if count else [0]
    stretches = (peaks[begin:end] for begin, end in pairwise(edges))
    return bytes(round(max(0.0, min(1.0, max(stretch))) * FULL_SCALE) for stretch in stretches)
