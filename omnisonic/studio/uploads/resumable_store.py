"""The resumable uploads on Postgres. Overload, crash and shutdown: as `omnisonic.studio.uploads.upload_store`."""

from datetime import timedelta

from asyncpg.exceptions import ForeignKeyViolationError

from omnisonic.models import LoginId, SessionId, Upload, UploadId, UserId
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn
from omnisonic.studio.uploads import Received, unreferenced_objects
from omnisonic.studio.uploads import resumable_statements as statements
from omnisonic.studio.uploads.resumable import (
    MOST_PIECES,
    RESUMABLE_S,
    Arrival,
    Claim,
    NoSuchResumable,
    OffsetTaken,
    Resumable,
    ResumableStore,
    TakenOver,
    TooManyChunks,
)
from omnisonic.studio.uploads.retention import LOOSE_S
from omnisonic.studio.uploads.upload_store import (
    ANY_BYTES,
    RESERVED,
    bind,
    bytes_over,
    check_quota,
    lock_user,
    make_upload,
    uploader,
)


class PostgresResumables:
    """A `ResumableStore` in `database`. `quota_bytes` and `use` as `PostgresUploads` has them."""

    def __init__(self, database: Database, use: LoginUse | None = None, *, quota_bytes: int = 0) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._quota_bytes = quota_bytes

    async def create(self, login: LoginId, file_name: str, size: int, session: SessionId | None) -> Resumable:
        life = timedelta(seconds=RESUMABLE_S)
        try:
            async with self._database.transaction() as connection:
                user = await uploader(connection, self._use, login, session)
                await lock_user(connection, user)
                await check_quota(connection, user, size, self._quota_bytes)
                row = await connection.fetchrow(statements.CREATE, user, session, file_name, size, life)
        except ForeignKeyViolationError:
            raise NoSuchSession from None  # deleted just now
        assert row is not None
        return Resumable(*row)

    async def get(self, login: LoginId, resumable: UploadId) -> Resumable:
        row = await self._row(statements.GET, login, uuid_or_none(resumable))
        if row[0] is None:
            raise NoSuchResumable
        return Resumable(*row)

    async def claim(self, login: LoginId, resumable: UploadId, *, offset: int) -> Claim:
        async with self._database.transaction() as connection:
            user = await uploader(connection, self._use, login, None)
            _, _, received, _, _ = await _locked(connection, user, resumable)
            if received != offset:
                raise OffsetTaken
            row = await connection.fetchrow(statements.CLAIM, resumable)
        assert row is not None
        writer, is_contested, *columns = row
        return Claim(writer, is_contested, Resumable(*columns))

    async def check(self, login: LoginId, resumable: UploadId, *, writer: int) -> None:
        (last,) = await self._row(statements.WRITER, login, uuid_or_none(resumable))
        if last is None:
            raise NoSuchResumable
        if last != writer:
            raise TakenOver

    async def append(
        self,
        login: LoginId,
        resumable: UploadId,
        key: Key,
        *,
        writer: int,
        offset: int,
        size: int,
        following: Arrival | None = None,
    ) -> int:
        async with self._database.transaction() as connection:
            user = await uploader(connection, self._use, login, None)
            await lock_user(connection, user)
            _, whole, received, last, count = await _locked(connection, user, resumable)
            if last != writer:
                raise TakenOver
            if received != offset or offset + size > whole:
                raise OffsetTaken
            if count >= MOST_PIECES:
                raise TooManyChunks
            over = await self._bytes_over(connection, user)
            await bind(connection, key)
            await connection.execute(statements.ADD_PIECE, resumable, offset, size, key)
            return 0 if following is None else await self._follow(connection, user, resumable, following, over)

    async def _follow(
        self, connection: Connection, user: UserId, resumable: UploadId, following: Arrival, over: int
    ) -> int:
        """Note what follows a piece as loose; how many bytes of it may arrive: what was `over` before is no matter."""
        values = following.key, timedelta(seconds=LOOSE_S), user, resumable, following.size, RESERVED
        await connection.execute(unreferenced_objects.ARRIVE, *values)
        if not self._quota_bytes:
            return ANY_BYTES
        more = await self._bytes_over(connection, user) - over
        if more <= 0:
            return following.size
        granted = max(0, following.size - more)
        await connection.fetchrow(unreferenced_objects.RESERVE, following.key, granted, RESERVED)
        return granted

    async def _bytes_over(self, connection: Connection, user: UserId) -> int:
        return await bytes_over(connection, user, self._quota_bytes) if self._quota_bytes else 0

    async def finish(self, login: LoginId, resumable: UploadId, key: Key, received: Received, *, offset: int) -> Upload:
        async with self._database.transaction() as connection:
            user = await uploader(connection, self._use, login, None)
            await lock_user(connection, user)
            await connection.execute(statements.LOCK_SESSION, uuid_or_none(resumable))
            session, whole, arrived, _, _ = await _locked(connection, user, resumable)
            await uploader(connection, self._use, login, session)  # the role may be lost meanwhile
            if received.file_size != whole or arrived != offset:
                raise OffsetTaken
            await check_quota(connection, user, received.file_size, self._quota_bytes, but=resumable)
            upload = await make_upload(connection, resumable, user, session, key, received)
            await connection.execute(statements.FORGET, resumable)
        return upload

    async def chunks(self, login: LoginId, resumable: UploadId) -> list[Key]:
        is_there, pieces = await self._row(statements.PIECES, login, uuid_or_none(resumable))
        if not is_there:
            raise NoSuchResumable
        return list(pieces)

    async def remove(self, login: LoginId, resumable: UploadId) -> list[Key]:
        row = await self._row(statements.REMOVE, login, uuid_or_none(resumable))
        if not row[0]:
            raise NoSuchResumable
        return list(row[1])

    async def _row(self, statement: str, login: LoginId, *values: object) -> Row:
        """The one row of a statement that has one whenever the sign-in holds. Errors: `NotSignedIn`."""
        row = await self._database.row(statement, login, *values)
        if row is None:
            raise NotSignedIn
        self._use.note(login)
        return row


async def _locked(connection: Connection, user: UserId, resumable: UploadId) -> Row:
    """Its session, size, bytes arrived, writer and number of pieces, for this transaction to change.

    Errors: `NoSuchResumable`.
    """
    row = await connection.fetchrow(statements.LOCK, user, uuid_or_none(resumable))
    if row is None:
        raise NoSuchResumable
    return row


_fits: type[ResumableStore] = PostgresResumables
