"""Resumable uploads, on Postgres: uploads in chunks that continue where they were interrupted (tus 1.0).

Each chunk is an object of its own; the row says how many bytes have arrived. `finish` turns the chunks into one upload
with the id of the resumable. Until then they belong to their uploader alone.

When several requests send bytes of one upload at the same time, in whatever processes, the last one that has begun is
the writer and the chunks of the others are refused. Whichever of them has a whole file first may finish it.

Overload, crash and shutdown: as `omnisonic.studio.uploads.upload_store`.
"""

from datetime import timedelta
from typing import Final

import msgspec
from asyncpg.exceptions import ForeignKeyViolationError

from omnisonic.models import LoginId, SessionId, TrackId, Upload, UploadId, UserId
from omnisonic.stores.database.pool import Connection, Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.activity import Tell, tell_nobody
from omnisonic.studio.sessions import NoSuchSession
from omnisonic.studio.uploads import NoSuchTrack, ReceivedFile, TooManyUnfinished, unreferenced_objects
from omnisonic.studio.uploads import resumable_statements as statements
from omnisonic.studio.uploads.arrival import find_uploader, insert_upload
from omnisonic.studio.uploads.quota import bytes_over_quota, check_quota, lock_user
from omnisonic.studio.uploads.resumables import (
    MAX_CHUNKS,
    Claim,
    LengthConflict,
    NextChunk,
    NoSuchResumable,
    OffsetConflict,
    Resumable,
    TakenOver,
    TooManyChunks,
)
from omnisonic.studio.uploads.tracks import find_track
from omnisonic.studio.uploads.unreferenced_objects import UNREFERENCED_S, bind_object
from omnisonic.studio.uploads.upload_store import ANY_BYTES, RESERVED

RESUMABLE_S: Final = 86_400
"""How long an upload may stay unfinished: a day from when it was created."""
MOST_UNFINISHED: Final = 500
"""How many of a user may be unfinished. Each check of the quota visits all of them, while the user is locked."""


class ResumableStore:
    """The resumable uploads in `database`. `quota_bytes` and `use` as for `UploadStore`.

    A user may have `most_unfinished` of them.

    Raises:
        Unavailable: Every method, when the database does not answer.
        NotSignedIn: Every method, when the sign-in has ended.
        NoSuchResumable: Every method that takes a resumable.
    """

    def __init__(
        self,
        database: Database,
        use: LoginUse | None = None,
        *,
        quota_bytes: int = 0,
        most_unfinished: int = MOST_UNFINISHED,
        tell: Tell = tell_nobody,
    ) -> None:
        self._database = database
        self._use = use or LoginUse(database)
        self._quota_bytes = quota_bytes
        self._most_unfinished = most_unfinished
        self._tell = tell

    async def create(
        self,
        login: LoginId,
        file_name: str,
        size: int | None,
        session: SessionId | None,
        take_of: str | None = None,
        *,
        offset_s: float = 0.0,
    ) -> Resumable:
        """Create one of `size` bytes, which count towards the quota. With None, each byte counts when it arrives.

        `take_of` is a track of the session, or an upload in it, of which it will be another take. It may also be an
        upload of theirs that is not finished yet: finish that one first. `offset_s` is where in the session it will
        begin.

        Raises:
            NoSuchSession, ListenersChangeNothing, NoSuchTrack, TooManyUnfinished, QuotaExceeded
        """
        life = timedelta(seconds=RESUMABLE_S)
        try:
            async with self._database.transaction() as connection:
                user = await find_uploader(connection, self._use, login, session)
                await lock_user(connection, user)
                if await connection.fetchval(statements.COUNT, user) >= self._most_unfinished:
                    raise TooManyUnfinished(self._most_unfinished)
                await check_quota(connection, user, 1 if size is None else size, self._quota_bytes)
                track = await _find_track_to_be(connection, user, session, take_of)
                values = user, session, file_name, size, life, track, offset_s
                row = await connection.fetchrow(statements.CREATE, *values)
        except ForeignKeyViolationError:
            raise NoSuchSession from None  # deleted just now
        assert row is not None
        return _resumable(row)

    async def get(self, login: LoginId, resumable: UploadId) -> Resumable:
        """Read one, to see how much of it has arrived."""
        row = await self._use.fetch_row(statements.GET, login, uuid_or_none(resumable))
        if row["id"] is None:
            raise NoSuchResumable
        return _resumable(row)

    async def claim(self, login: LoginId, resumable: UploadId, *, offset: int, size: int | None = None) -> Claim:
        """Become the only writer. `size` is the whole size, where it was not known before.

        A size that has arrived already is kept by `finish` only: until then the upload is not there, and whoever asks
        for the offset must not take it for complete.

        Raises:
            OffsetConflict: Not exactly `offset` bytes have arrived.
            LengthConflict, QuotaExceeded
        """
        async with self._database.transaction() as connection:
            user = await find_uploader(connection, self._use, login, None)
            if size is not None:
                await lock_user(connection, user)
            locked = await _lock_resumable(connection, user, resumable)
            if locked["received"] != offset:
                raise OffsetConflict
            if size is not None and locked["size"] != size:
                if locked["size"] is not None or size < offset:
                    raise LengthConflict
                await check_quota(connection, user, size, self._quota_bytes, except_resumable=resumable)
                if size > offset:
                    await connection.execute(statements.SET_SIZE, resumable, size)
            row = await connection.fetchrow(statements.CLAIM, resumable)
        assert row is not None
        claimed = _resumable(row)
        return Claim(row["writer"], row["is_contested"], msgspec.structs.replace(claimed, size=claimed.size or size))

    async def check(self, login: LoginId, resumable: UploadId, *, writer: int) -> None:
        """Check that `writer` is still the writer. Errors: `TakenOver`."""
        row = await self._use.fetch_row(statements.WRITER, login, uuid_or_none(resumable))
        if row["writer"] is None:
            raise NoSuchResumable
        if row["writer"] != writer:
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
        following: NextChunk | None = None,
    ) -> int:
        """Make the unreferenced object `key` the chunk of `size` bytes that begins at `offset`.

        The next chunk, if any, is registered in its place.

        Returns:
            How many bytes of `following` may be put.

        Raises:
            TakenOver, OffsetConflict, TooManyChunks
            Unavailable: `key` is not registered any more: it took too long.
        """
        async with self._database.transaction() as connection:
            user = await find_uploader(connection, self._use, login, None)
            await lock_user(connection, user)
            locked = await _lock_resumable(connection, user, resumable)
            if locked["writer"] != writer:
                raise TakenOver
            if locked["received"] != offset or offset + size > (locked["size"] or ANY_BYTES):
                raise OffsetConflict
            if locked["piece_count"] >= MAX_CHUNKS:
                raise TooManyChunks
            over = await bytes_over_quota(connection, user, self._quota_bytes)
            await bind_object(connection, key)
            await connection.execute(statements.ADD_CHUNK, resumable, offset, size, key)
            if following is None:
                return 0
            return await self._register_next(connection, user, resumable, following, over)

    async def _register_next(
        self, connection: Connection, user: UserId, resumable: UploadId, following: NextChunk, over: int
    ) -> int:
        """Register the next chunk. Returns how many bytes of it may arrive; what was `over` before is ignored."""
        values = following.key, timedelta(seconds=UNREFERENCED_S), user, resumable, following.size, RESERVED
        await connection.execute(unreferenced_objects.REGISTER_ARRIVAL, *values)
        if not self._quota_bytes:
            return ANY_BYTES
        more = await bytes_over_quota(connection, user, self._quota_bytes) - over
        if more <= 0:
            return following.size
        granted = max(0, following.size - more)
        await connection.fetchrow(unreferenced_objects.RESERVE, following.key, granted, RESERVED)
        return granted

    async def chunks(self, login: LoginId, resumable: UploadId) -> list[Key]:
        """The keys of the chunks so far, in order."""
        row = await self._use.fetch_row(statements.CHUNKS, login, uuid_or_none(resumable))
        if not row["is_there"]:
            raise NoSuchResumable
        return list(row["keys"])

    async def finish(self, login: LoginId, resumable: UploadId, key: Key, file: ReceivedFile, *, offset: int) -> Upload:
        """Insert the upload of what was put at `key`, and delete the resumable; its chunks are due at once.

        `file` was joined from the chunks up to `offset` and a last one, which was not appended. Its bytes do not count
        twice towards the quota. When the track that it was meant for is gone, it is a track of its own.

        Raises:
            OffsetConflict: It is not complete, or another request has continued it elsewhere.
            OmnisonicError: As `UploadStore.commit`.
        """
        async with self._database.transaction() as connection:
            user = await find_uploader(connection, self._use, login, None)
            await lock_user(connection, user)
            await connection.execute(statements.LOCK_SESSION, uuid_or_none(resumable))
            locked = await _lock_resumable(connection, user, resumable)
            session = locked["session"]
            await find_uploader(connection, self._use, login, session)  # the role may be lost meanwhile
            if locked["size"] not in (None, file.file_size) or locked["received"] != offset:
                raise OffsetConflict
            await check_quota(connection, user, file.file_size, self._quota_bytes, except_resumable=resumable)
            take_of = await _find_track_if_there(connection, session, locked["take_of"])
            upload, events = await insert_upload(
                connection, resumable, user, session, key, file, take_of=take_of, offset_s=locked["offset_s"]
            )
            await connection.execute(statements.DELETE, resumable)
        await self._tell(events)
        return upload

    async def remove(self, login: LoginId, resumable: UploadId) -> list[Key]:
        """Delete it. Returns the keys of its chunks, which are unreferenced and due."""
        row = await self._use.fetch_row(statements.REMOVE, login, uuid_or_none(resumable))
        if not row["is_gone"]:
            raise NoSuchResumable
        return list(row["keys"])


async def _find_track_to_be(
    connection: Connection, user: UserId, session: SessionId | None, take_of: str | None
) -> TrackId | None:
    """The track, which may come with an upload that is not finished. Errors: `NoSuchTrack`."""
    if take_of is None:
        return None
    found = await connection.fetchval(statements.TRACK_TO_BE, user, uuid_or_none(session or ""), uuid_or_none(take_of))
    return str(found) if found is not None else await find_track(connection, session, take_of)


async def _find_track_if_there(connection: Connection, session: SessionId | None, track: str | None) -> TrackId | None:
    if track is None:
        return None
    try:
        return await find_track(connection, session, track)
    except NoSuchTrack:
        return None


async def _lock_resumable(connection: Connection, user: UserId, resumable: UploadId) -> Row:
    """Lock the row for this transaction: session, size, received, writer, piece_count, take_of,
    offset_s.

    Raises:
        NoSuchResumable
    """
    row = await connection.fetchrow(statements.LOCK, user, uuid_or_none(resumable))
    if row is None:
        raise NoSuchResumable
    return row


def _resumable(row: Row) -> Resumable:
    return Resumable(**{field: row[field] for field in Resumable.__struct_fields__})
