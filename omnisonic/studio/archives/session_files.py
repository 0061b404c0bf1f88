"""The files of a session as they came, in the order and with the names that an archive gives them. On Postgres.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Shutdown: whoever opened the
database closes it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from omnisonic.models import LoginId, SessionId, Upload
from omnisonic.stores.database.pool import Database
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.archives import NothingToTake, TooManyFiles
from omnisonic.studio.archives.file_names import LONGEST_PART_BYTES, ending_of, numbered, safe_name
from omnisonic.studio.archives.zip_stream import Entry
from omnisonic.studio.sessions import NoSuchSession
from omnisonic.studio.sessions.session_statements import asked
from omnisonic.studio.uploads import StoredUpload
from omnisonic.studio.uploads.upload_changes import stored_upload
from omnisonic.studio.uploads.upload_statements import COLUMNS

MOST_FILES: Final = 2_000
"""Most files in one archive: their names are in memory while it is sent."""
FALLBACK_NAME: Final = "Session"

_LIST: Final = asked(f"""
-- $3 how many.
SELECT upload.*, asked.session_id IS NOT NULL AS has_role, session.name AS session_name
FROM asked
LEFT JOIN sessions AS session ON session.id = asked.session_id
LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM uploads AS upload
    WHERE upload.session_id = asked.session_id AND upload.removed_at IS NULL
    ORDER BY upload.created_at, upload.id LIMIT $3
) AS upload ON true
""")


class OriginalsArchive(NamedTuple):
    """What is in the archive of a session: its file name, and each file with the key of its object."""

    file_name: str
    files: list[tuple[Entry, Key]]


class SessionFiles:
    """The files in `database`. `use` notes that sign-ins are used; stores on the same database may share it."""

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._use = use or LoginUse(database)

    async def describe_originals(self, login: LoginId, session: SessionId) -> OriginalsArchive:
        """List all files of the session, takes and pictures as well, without those in the bin.

        Raises:
            NotSignedIn, NoSuchSession
            NothingToTake: There are none.
            TooManyFiles: There are more than `MOST_FILES`.
        """
        rows = await self._use.fetch_rows(_LIST, login, uuid_or_none(session), MOST_FILES + 1)
        if not rows[0]["has_role"]:
            raise NoSuchSession
        uploads = [stored_upload(row) for row in rows if row["id"] is not None]
        if not uploads:
            raise NothingToTake
        if len(uploads) > MOST_FILES:
            raise TooManyFiles(MOST_FILES)
        return originals_archive(rows[0]["session_name"], sorted(uploads, key=_place))


def _place(stored: StoredUpload) -> tuple[float, str, bool, datetime, str]:
    """Where it is in the session: by its track, whose chosen take comes first."""
    upload = stored.upload
    return upload.position, upload.take_of, not upload.chosen, upload.created_at, upload.id


def _name(upload: Upload) -> str:
    return upload.name if upload.chosen else f"{upload.name} (take)"


def originals_archive(session_name: str, uploads: Sequence[StoredUpload]) -> OriginalsArchive:
    """The archive of these files, in this order, in one folder that is named after the session. Pure."""
    folder = f"{safe_name(session_name, FALLBACK_NAME, LONGEST_PART_BYTES)} originals"
    names = numbered([_name(stored.upload) for stored in uploads], "File")
    files = []
    for name, stored in zip(names, uploads, strict=True):
        upload = stored.upload
        path = f"{folder}/{name}{ending_of(upload.file_name)}"
        files.append((Entry(path, upload.file_size, upload.created_at), stored.key))
    return OriginalsArchive(f"{folder}.zip", files)
