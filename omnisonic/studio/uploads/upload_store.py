"""The upload store on Postgres. What counts bytes holds the user's row, so that two at once cannot both just fit.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.database.pool`); what breaks off is done whole or not
at all. Shutdown: whoever opened the database closes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncpg.exceptions import ForeignKeyViolationError, UniqueViolationError

from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, SessionId, Upload, UploadId, UserId
from omnisonic.observability.trace_context import current_trace
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions import Cursor, NoSuchSession, NotSignedIn
from omnisonic.studio.uploads import (
    LONGEST_PAGE,
    RESERVED_S,
    Mix,
    NoPeaks,
    NoSuchUpload,
    Peaks,
    PeaksPending,
    QuotaExceeded,
    Received,
    StoredUpload,
    TooManyUploads,
    UploaderOnly,
    UploadPage,
    UploadStore,
    unreferenced_objects,
)
from omnisonic.studio.uploads import upload_statements as statements
from omnisonic.studio.uploads.retention import LOOSE_S

FULL_SCALE: Final = 255
"""What the loudest sample is as a byte."""
ANY_BYTES: Final = 2**62
"""What may be put where there is no quota."""
RESERVED: Final = timedelta(seconds=RESERVED_S)
_TOO_LATE: Final = "The upload took too long. Send it again."
_FIRST: Final = Cursor(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before all uploads."""
_NOBODY_S: Final = "00000000-0000-0000-0000-000000000000"
"""What an id is that is no UUID: that of nothing."""
_UPLOAD_COLUMNS: Final = 16


class PostgresUploads:
    """An `UploadStore` in `database`; `use` is shared.

    `quota_bytes` is what a user may keep, `most_active` how many files of one may arrive at once; 0 for any.
    """

    def __init__(
        self, database: Database, use: LoginUse | None = None, *, quota_bytes: int = 0, most_active: int = 0
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._quota_bytes = quota_bytes
        self._most_active = most_active

    async def begin(
        self,
        login: LoginId,
        key: Key,
        *,
        session: SessionId | None,
        size: int | None,
        resumable: UploadId | None = None,
    ) -> int:
        try:
            async with self._database.transaction() as connection:
                user = await uploader(connection, self._use, login, session)
                await lock_user(connection, user)
                if (
                    self._most_active
                    and await connection.fetchval(unreferenced_objects.ARRIVING, user) >= self._most_active
                ):
                    raise TooManyUploads(self._most_active)
                values = user, resumable, size or 0, RESERVED
                await connection.execute(unreferenced_objects.ARRIVE, key, timedelta(seconds=LOOSE_S), *values)
                await check_quota(connection, user, 0, self._quota_bytes)
        except ForeignKeyViolationError:
            raise NoSuchUpload from None  # the resumable was finished or removed just now
        return (size or 0) if self._quota_bytes else ANY_BYTES

    async def reserve(self, key: Key, *, least: int, most: int) -> int:
        async with self._database.transaction() as connection:
            user = await connection.fetchval(unreferenced_objects.SENDER, key)
            if user is None:
                raise Unavailable(_TOO_LATE)
            await lock_user(connection, user)
            if await connection.fetchrow(unreferenced_objects.RESERVE, key, most, RESERVED) is None:
                raise Unavailable(_TOO_LATE)
            if not self._quota_bytes:
                return ANY_BYTES
            granted = most - await bytes_over(connection, user, self._quota_bytes)
            if granted < least:
                raise QuotaExceeded
            if granted < most:
                await connection.fetchrow(unreferenced_objects.RESERVE, key, granted, RESERVED)
        return int(granted)

    async def note_copy(self, key: Key) -> None:
        await self._database.row(unreferenced_objects.NOTE, key, timedelta(seconds=LOOSE_S))

    async def commit(
        self, login: LoginId, upload: UploadId, key: Key, received: Received, *, session: SessionId | None
    ) -> Upload:
        try:
            async with self._database.transaction() as connection:
                user = await uploader(connection, self._use, login, session)
                await lock_user(connection, user)
                await check_quota(connection, user, received.file_size, self._quota_bytes, key=key)
                return await make_upload(connection, upload, user, session, key, received)
        except ForeignKeyViolationError:
            raise NoSuchSession from None  # deleted just now

    async def abandon(self, key: Key) -> bool:
        async with self._database.connection() as connection:
            return await given_up(connection, key)

    async def list(
        self, login: LoginId, session: SessionId | None, *, limit: int, before: Cursor | None = None
    ) -> UploadPage:
        place = before or _FIRST
        length = max(1, min(limit, LONGEST_PAGE))
        after_id = uuid_or_none(place.id) or _NOBODY_S
        values = (login, place.created_at, after_id, length + 1)
        if session is None:
            rows = await self._database.rows(statements.LIST_OWN, *values)
        else:
            rows = await self._database.rows(statements.LIST_OF_SESSION, *values, uuid_or_none(session) or _NOBODY_S)
        if not rows:
            raise NotSignedIn
        self._use.note(login)
        if not rows[0][-1]:
            raise NoSuchSession
        found = [kept(row) for row in rows if row[0] is not None]
        shown = found[:length]
        last = shown[-1].upload if len(found) > length else None
        return UploadPage(shown, None if last is None else Cursor(last.created_at, last.id))

    async def get(self, login: LoginId, upload: UploadId) -> StoredUpload:
        row = await self._row(statements.GET, login, uuid_or_none(upload))
        if row[0] is None:
            raise NoSuchUpload
        return kept(row)

    async def change(self, login: LoginId, upload: UploadId, mix: Mix) -> Upload:
        values = mix.gain_db, mix.pan, mix.muted, mix.offset_seconds
        row = await self._row(statements.CHANGE, login, uuid_or_none(upload), *values)
        if row[0] is None:
            raise NoSuchUpload
        return kept(row).upload

    async def remove(self, login: LoginId, upload: UploadId) -> StoredUpload:
        row = await self._row(statements.REMOVE, login, uuid_or_none(upload))
        if row[0] is not None:
            return kept(row)
        is_there, may = row[-2:]
        raise UploaderOnly if is_there and not may else NoSuchUpload

    async def peaks(self, login: LoginId, upload: UploadId) -> Peaks:
        is_there, waits, sample_rate, duration_s, peaks = await self._row(statements.PEAKS, login, uuid_or_none(upload))
        if not is_there:
            raise NoSuchUpload
        if peaks is None:
            raise PeaksPending if waits else NoPeaks
        return Peaks(sample_rate, duration_s, [round(peak / FULL_SCALE, 3) for peak in peaks])

    async def _row(self, statement: str, login: LoginId, *values: object) -> Row:
        """The one row of a statement that has one whenever the sign-in holds. Errors: `NotSignedIn`."""
        row = await self._database.row(statement, login, *values)
        if row is None:
            raise NotSignedIn
        self._use.note(login)
        return row


async def uploader(connection: Connection, use: LoginUse, login: LoginId, session: SessionId | None) -> UserId:
    """Who uploads by this sign-in, into that session. Errors: `NotSignedIn`, `NoSuchSession`."""
    session_id = None if session is None else uuid_or_none(session) or _NOBODY_S
    row = await connection.fetchrow(statements.ASK, login, session_id)
    if row is None:
        raise NotSignedIn
    use.note(login)
    if not row[1]:
        raise NoSuchSession
    return str(row[0])


async def lock_user(connection: Connection, user: UserId) -> None:
    """Let nobody else count what this user keeps until the transaction ends. Errors: `NotSignedIn` without account."""
    if await connection.fetchrow(statements.LOCK_USER, user) is None:
        raise NotSignedIn


async def check_quota(
    connection: Connection,
    user: UserId,
    size: int,
    quota_bytes: int,
    *,
    but: UploadId | None = None,
    key: Key | None = None,
) -> None:
    """See that the user may keep `size` bytes more. Errors: `QuotaExceeded`.

    The resumable `but` does not count, nor does what is reserved for `key`.
    """
    if quota_bytes and await connection.fetchval(statements.KEPT, user, but, key) + size > quota_bytes:
        raise QuotaExceeded


async def bytes_over(connection: Connection, user: UserId, quota_bytes: int) -> int:
    """By how much all that the user keeps, is about to or sends now is more than they may."""
    kept_bytes: int = await connection.fetchval(statements.KEPT, user, None, None)
    return max(0, kept_bytes - quota_bytes)


async def make_upload(
    connection: Connection, upload: UploadId, user: UserId, session: SessionId | None, key: Key, received: Received
) -> Upload:
    """The row of what was put at `key`, which is loose no more. Errors: `Unavailable` when it was not loose."""
    await bind(connection, key)
    values = received.file_name, received.file_size, received.mime_type, received.sha256
    try:
        row = await connection.fetchrow(statements.CREATE, upload, user, session, key, *values, current_trace())
    except UniqueViolationError as problem:  # an id is used only once
        raise Unavailable("The upload was stored already. Look at the list.") from problem
    assert row is not None
    return kept(row).upload


async def bind(connection: Connection, key: Key) -> None:
    """Let `key` be loose no more. Errors: `Unavailable` when it is not, or is being deleted."""
    if await connection.fetchrow(unreferenced_objects.BIND, key) is None:
        raise Unavailable(_TOO_LATE)


async def given_up(connection: Connection, key: Key) -> bool:
    """Let `key` be loose and due; False when a row has it."""
    for statement in (unreferenced_objects.ABANDON, unreferenced_objects.ABANDON_FORGOTTEN):
        if await connection.fetchrow(statement, key) is not None:
            return True
    return False


def kept(row: Row | tuple[Any, ...]) -> StoredUpload:
    """From the columns as `omnisonic.studio.uploads.upload_statements` has them."""
    return StoredUpload(Upload(*row[:_UPLOAD_COLUMNS]), row[_UPLOAD_COLUMNS])


_fits: type[UploadStore] = PostgresUploads
