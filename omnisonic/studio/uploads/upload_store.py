"""The upload store, on Postgres. Transactions that count a user's bytes lock the user's row, one after the other.

Overload and a database that does not answer: `Unavailable` (`omnisonic.stores.database.pool`). Crash: a transaction is
done whole or not at all. Shutdown: the owner of `Database` closes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from asyncpg.exceptions import ForeignKeyViolationError

from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, SessionId, Upload, UploadId
from omnisonic.stores.database.pool import Database
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import Tell, tell_nobody
from omnisonic.studio.activity.recording import lock_actor
from omnisonic.studio.sessions import Cursor, NoSuchSession
from omnisonic.studio.uploads import (
    LONGEST_PAGE,
    RESERVED_S,
    ChangedUploads,
    Mix,
    NoPeaks,
    NoSuchUpload,
    Peaks,
    PeaksPending,
    QuotaExceeded,
    ReceivedFile,
    StoredUpload,
    TooManyUploads,
    UploadPage,
    unreferenced_objects,
)
from omnisonic.studio.uploads import upload_statements as statements
from omnisonic.studio.uploads.arrival import find_uploader, insert_upload
from omnisonic.studio.uploads.peaks import WHOLE, Window, peaks_in
from omnisonic.studio.uploads.quota import bytes_over_quota, check_quota, lock_user
from omnisonic.studio.uploads.unreferenced_objects import abandon_object, register_object
from omnisonic.studio.uploads.upload_changes import (
    change_upload,
    lock_upload,
    remove_upload,
    restore_upload,
    stored_upload,
)

ANY_BYTES: Final = 2**62
"""How many bytes may be put where there is no quota."""
RESERVED: Final = timedelta(seconds=RESERVED_S)
_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all uploads."""


class UploadStore:
    """The uploads in `database`. An id that is no UUID is treated as an unknown id.

    Args:
        database: An open pool.
        use: Notes that sign-ins are used; stores on the same database may share it.
        quota_bytes: How much each user may keep; 0 for no limit.
        most_active: How many files of one user may arrive at the same time; 0 for no limit.
        tell: Is told of the events in sessions that were recorded.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NotSignedIn: Every method that takes a sign-in, when it has ended.
        NoSuchUpload: Every method that takes an upload, when this user cannot see it.
        NoSuchSession: Every method that takes a session, when this user has no role in it.
        ListenersChangeNothing: Every method that changes a session, when this user is a listener there.
    """

    def __init__(
        self,
        database: Database,
        use: LoginUse | None = None,
        *,
        quota_bytes: int = 0,
        most_active: int = 0,
        tell: Tell = tell_nobody,
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._quota_bytes = quota_bytes
        self._most_active = most_active
        self._tell = tell

    async def begin(
        self,
        login: LoginId,
        key: Key,
        *,
        session: SessionId | None,
        size: int | None,
        resumable: UploadId | None = None,
    ) -> int:
        """Register `key` as unreferenced, before anything is put there, and reserve quota for `RESERVED_S`.

        `size` is how many bytes will come, if known. For a chunk of a `resumable` upload only the bytes beyond the size
        of that upload count.

        Returns:
            How many bytes may be put; `reserve` asks for more.

        Raises:
            QuotaExceeded, TooManyUploads
        """
        try:
            async with self._database.transaction() as connection:
                user = await find_uploader(connection, self._use, login, session)
                await lock_user(connection, user)
                if self._most_active:
                    arrivals = await connection.fetchval(unreferenced_objects.COUNT_ARRIVALS, user)
                    if arrivals >= self._most_active:
                        raise TooManyUploads(self._most_active)
                values = timedelta(seconds=unreferenced_objects.UNREFERENCED_S), user, resumable, size or 0, RESERVED
                await connection.execute(unreferenced_objects.REGISTER_ARRIVAL, key, *values)
                await check_quota(connection, user, 0, self._quota_bytes)
        except ForeignKeyViolationError:
            raise NoSuchUpload from None  # the resumable was finished or removed just now
        return (size or 0) if self._quota_bytes else ANY_BYTES

    async def reserve(self, key: Key, *, least: int, most: int) -> int:
        """Reserve between `least` and `most` bytes in all for what arrives at `key`, for another `RESERVED_S`.

        Returns:
            How many bytes are reserved.

        Raises:
            QuotaExceeded: Fewer than `least` are left.
            Unavailable: `key` is not registered any more: the upload took too long.
        """
        async with self._database.transaction() as connection:
            user = await connection.fetchval(unreferenced_objects.SENDER, key)
            if user is None:
                raise Unavailable(unreferenced_objects.TOO_LATE)
            await lock_user(connection, user)
            if await connection.fetchrow(unreferenced_objects.RESERVE, key, most, RESERVED) is None:
                raise Unavailable(unreferenced_objects.TOO_LATE)
            if not self._quota_bytes:
                return ANY_BYTES
            granted = most - await bytes_over_quota(connection, user, self._quota_bytes)
            if granted < least:
                raise QuotaExceeded
            if granted < most:
                await connection.fetchrow(unreferenced_objects.RESERVE, key, granted, RESERVED)
        return int(granted)

    async def begin_copy(self, key: Key) -> None:
        """Register `key` as unreferenced, for a copy of bytes that have arrived and count towards the quota already."""
        async with self._database.connection() as connection:
            await register_object(connection, key)

    async def commit(
        self,
        login: LoginId,
        upload: UploadId,
        key: Key,
        file: ReceivedFile,
        *,
        session: SessionId | None,
        take_of: str | None = None,
        offset_s: float = 0.0,
    ) -> Upload:
        """Insert the row of what was put at `key` and remove the registration: both or neither.

        `take_of` is a track, or an upload in it, of which it is another take. What is heard there is still heard.
        `offset_s` is where in the session it begins.

        Raises:
            QuotaExceeded, NoSuchTrack
            Unavailable: `key` is not registered any more: the upload took too long.
        """
        try:
            async with self._database.transaction() as connection:
                user = await find_uploader(connection, self._use, login, session)
                await lock_user(connection, user)
                await check_quota(connection, user, file.file_size, self._quota_bytes, except_key=key)
                added, events = await insert_upload(
                    connection, upload, user, session, key, file, take_of=take_of, offset_s=offset_s
                )
        except ForeignKeyViolationError:
            raise NoSuchSession from None  # deleted just now
        await self._tell(events)
        return added

    async def abandon(self, key: Key) -> bool:
        """Mark the object `key` for deletion, put or not: it is due now and cannot become an upload any more.

        Returns:
            False when it became an upload, or a chunk of one, after all; a commit that raised may have been done.
        """
        async with self._database.connection() as connection:
            return await abandon_object(connection, key)

    async def list(
        self, login: LoginId, session: SessionId | None, *, limit: int, before: Cursor | None = None
    ) -> UploadPage:
        """List the uploads of a session, or with None all of the user's own, newest first."""
        cursor = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        values = cursor.created_at, uuid_or_none(cursor.id) or NIL_UUID, length + 1
        if session is None:
            rows = await self._use.fetch_rows(statements.LIST_OWN, login, *values)
        else:
            session_id = uuid_or_none(session) or NIL_UUID
            rows = await self._use.fetch_rows(statements.LIST_OF_SESSION, login, *values, session_id)
        if not rows[0]["has_role"]:
            raise NoSuchSession
        uploads = [stored_upload(row) for row in rows if row["id"] is not None]
        page = uploads[:length]
        last = page[-1].upload if len(uploads) > length else None
        return UploadPage(page, None if last is None else Cursor(last.created_at, last.id))

    async def get(self, login: LoginId, upload: UploadId) -> StoredUpload:
        """Read one upload."""
        row = await self._use.fetch_row(statements.GET, login, uuid_or_none(upload))
        if row["id"] is None:
            raise NoSuchUpload
        return stored_upload(row)

    async def change(self, login: LoginId, upload: UploadId, mix: Mix) -> ChangedUploads:
        """Change how a stem sits in the mix, and its track.

        Raises:
            NoSuchTrack
            TrimsLeaveNothing
        """
        async with self._database.transaction() as connection:
            user = await lock_actor(connection, self._use, login)
            locked = await lock_upload(connection, user, upload, moves=mix.take_of is not msgspec.UNSET)
            changed, events = await change_upload(connection, user, locked, mix)
        await self._tell(events)
        return changed

    async def remove(self, login: LoginId, upload: UploadId) -> ChangedUploads:
        """Put it into the bin. Of several calls at once one succeeds. Returns it as it was.

        Raises:
            UploaderOnly
        """
        async with self._database.transaction() as connection:
            user = await lock_actor(connection, self._use, login)
            locked = await lock_upload(connection, user, upload, in_bin=True)
            removed, events = await remove_upload(connection, user, locked, quota_bytes=self._quota_bytes)
        await self._tell(events)
        return removed

    async def restore(self, login: LoginId, upload: UploadId) -> ChangedUploads:
        """Take it out of the bin. Nothing happens to one that is not in it, and `is_changed` is False.

        Raises:
            UploaderOnly
            QuotaExceeded: Its uploader has no room for it any more.
        """
        async with self._database.transaction() as connection:
            user = await lock_actor(connection, self._use, login)
            locked = await lock_upload(connection, user, upload, in_bin=True)
            restored, events = await restore_upload(connection, user, locked, quota_bytes=self._quota_bytes)
        await self._tell(events)
        return restored

    async def is_in_bin(self, key: Key) -> bool:
        """Whether the object at `key` is that of a removed upload."""
        return await self._database.row(statements.FIND_IN_BIN, key) is not None

    async def peaks(self, login: LoginId, upload: UploadId, window: Window = WHOLE) -> Peaks:
        """Read a part of the waveform.

        Raises:
            PeaksPending, NoPeaks
        """
        row = await self._use.fetch_row(statements.PEAKS, login, uuid_or_none(upload))
        if not row["is_there"]:
            raise NoSuchUpload
        if row["peaks"] is None:
            raise PeaksPending if row["is_pending"] else NoPeaks
        peaks = peaks_in(window, row["peaks"], row["duration_seconds"])
        return Peaks(sample_rate=row["sample_rate"], duration_seconds=row["duration_seconds"], peaks=peaks)
