"""How much of the storage the segments of a user's uploads may take: `TIMES_QUOTA` as much as the quota.

Of a few bytes of a lossy codec a hundred times as many become segments. So segments are bounded, although they count
towards no quota. Those of uploads in the bin are there, too, and count. Checked before segments are made: the last ones
may be over. Overload and a database that does not answer: `Unavailable` (`omnisonic.stores.database.pool`).
"""

from typing import Final

from omnisonic.models import UploadId
from omnisonic.stores.database.pool import Database

TIMES_QUOTA: Final = 16
"""Twice as much as the segments of a quota full of MP3s of 256 kbit/s."""
NO_SPACE: Final = (
    "This file is not prepared for playing: those of whoever uploaded it take all the room that they may. It can be "
    "downloaded and mixed."
)

_TAKEN: Final = """
-- $1 upload. The bytes of the segments of its uploader's other uploads.
SELECT coalesce(sum(made.ends[cardinality(made.ends)]), 0)::bigint AS bytes
FROM uploads AS upload
JOIN uploads AS other ON other.user_id = upload.user_id AND other.id <> upload.id
JOIN upload_segments AS made ON made.upload_id = other.id
WHERE upload.id = $1
"""


async def has_space(database: Database, upload: UploadId, quota_bytes: int) -> bool:
    """Whether segments of `upload` may be made. Always without a quota (0)."""
    if not quota_bytes:
        return True
    row = await database.row(_TAKEN, upload)
    assert row is not None
    return int(row["bytes"]) < TIMES_QUOTA * quota_bytes
