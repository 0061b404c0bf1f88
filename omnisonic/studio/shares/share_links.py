"""The links to mixdowns as whoever has one finds them: by the digest of their token, without an account.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Crash: each statement is done
whole or not at all. Shutdown: whoever opened the database closes it.
"""

from typing import Final

from omnisonic.models import Export, ExportId
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage import Key
from omnisonic.studio.exports.export_store import COLUMNS
from omnisonic.studio.shares import NoSuchShare, Preview, SharedMixdown, ShareId, ShareOver
from omnisonic.studio.shares.share_store import HOLDS

_FIND: Final = f"""
-- $1 digest.
SELECT {COLUMNS}, share.id::text AS share_id, share.expires_at, share.download, share.comments, {HOLDS} AS holds,
    session.name AS session_name, nullif(btrim(sharer.name), '') AS sharer_name, preview.peaks,
    preview.object_key AS preview_key, preview.file_size AS preview_size, preview.sha256 AS preview_sha256
FROM shares AS share
JOIN exports AS export ON export.id = share.export_id
JOIN sessions AS session ON session.id = export.session_id
LEFT JOIN users AS sharer ON sharer.id = share.user_id
LEFT JOIN export_previews AS preview ON preview.export_id = export.id
WHERE share.digest = $1
"""

_COUNT_PLAY: Final = "UPDATE shares SET plays = plays + 1 WHERE id = $1"

_FORGET_PREVIEW: Final = """
-- $1 key. The preview is made again.
WITH gone AS (DELETE FROM export_previews WHERE object_key = $1 RETURNING export_id)
UPDATE exports SET preview_due_at = now(), preview_tries = 0 FROM gone WHERE exports.id = gone.export_id
"""

_REQUEST_PREVIEW: Final = """
-- $1 export. Not after it was tried in vain: strangers ask for this.
UPDATE exports SET preview_due_at = now()
WHERE id = $1 AND preview_due_at IS NULL AND preview_tries = 0
    AND NOT EXISTS (SELECT FROM export_previews WHERE export_id = exports.id)
"""


class ShareLinks:
    """The links in `database`. Every method may raise `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: str) -> SharedMixdown:
        """Find the mixdown of the link whose token has this digest.

        Raises:
            NoSuchShare
            ShareOver: The link has expired, or was revoked.
        """
        row = await self._database.row(_FIND, digest)
        if row is None:
            raise NoSuchShare
        if not row["holds"]:
            raise ShareOver
        key = row["preview_key"]
        return SharedMixdown(
            share_id=row["share_id"],
            session_name=row["session_name"],
            sharer_name=row["sharer_name"],
            expires_at=row["expires_at"],
            download=row["download"],
            comments=row["comments"],
            export=Export(*[row[field] for field in Export.__struct_fields__]),
            key=row["object_key"],
            sha256=row["sha256"],
            peaks=row["peaks"],
            preview=None if key is None else Preview(key, row["preview_size"], row["preview_sha256"]),
        )

    async def count_play(self, share: ShareId) -> None:
        """Count one play of a link."""
        await self._database.row(_COUNT_PLAY, share)

    async def request_preview(self, export: ExportId) -> None:
        """Have the preview made, unless it is there, or cannot be made."""
        await self._database.row(_REQUEST_PREVIEW, export)

    async def forget_preview(self, key: Key) -> None:
        """Forget a preview whose object is lost, so that it is made again."""
        await self._database.row(_FORGET_PREVIEW, key)
