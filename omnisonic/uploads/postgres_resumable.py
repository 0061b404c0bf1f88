"""The resumable uploads on Postgres. Overload, crash and shutdown: as `omnisonic.uploads.postgres`."""

from datetime import timedelta

from asyncpg.exceptions import ForeignKeyViolationError

from omnisonic.database import resumable_uploads as statements
from omnisonic.database.login_use import LoginUse
from omnisonic.database.pool import Connection, Database, Row
from omnisonic.database.uuids import uuid_or_none
from omnisonic.models import LoginId, SessionId, Upload, UploadId, UserId
from omnisonic.sessions import NoSuchSession, NotSignedIn
from omnisonic.storage import Key
from omnisonic.uploads import Received
from omnisonic.uploads.postgres import bind, check_quota, lock_user, make_upload, uploader
from omnisonic.uploads.resumable import RESUMABLE_S, NoSuchResumable, OffsetTaken, Resumable, ResumableStore


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

    async def append(self, login: LoginId, resumable: UploadId, key: Key, *, offset: int, size: int) -> int:
        async with self._database.transaction() as connection:
            user = await uploader(connection, self._use, login, None)
            _, whole, received = await _locked(connection, user, resumable)
            if received != offset or offset + size > whole:
                raise OffsetTaken
            await bind(connection, key)
            row = await connection.fetchrow(statements.ADD_PIECE, resumable, offset, size, key)
        assert row is not None
        return int(row[0])

    async def finish(self, login: LoginId, resumable: UploadId, key: Key, received: Received) -> Upload:
        async with self._database.transaction() as connection:
            user = await uploader(connection, self._use, login, None)
            await lock_user(connection, user)
            await connection.execute(statements.LOCK_SESSION, uuid_or_none(resumable))
            session, whole, _ = await _locked(connection, user, resumable)
            await uploader(connection, self._use, login, session)  # the role may be lost meanwhile
            if received.file_size != whole:
                raise OffsetTaken
            await check_quota(connection, user, received.file_size, self._quota_bytes, but=resumable)
            upload = await make_upload(connection, resumable, user, session, key, received)
            await connection.execute(statements.FORGET, resumable)
        return upload

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
    """Its session, its size and what has arrived, for this transaction to change. Errors: `NoSuchResumable`."""
    row = await connection.fetchrow(statements.LOCK, user, uuid_or_none(resumable))
    if row is None:
        raise NoSuchResumable
    return row


_fits: type[ResumableStore] = PostgresResumables
