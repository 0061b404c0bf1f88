"""Changes of uploads, and their undo: the mix, removal into the bin, and back. For use in a transaction.

`lock_upload` comes first; what it returns is passed on to one of the others. Each records the activity of the session.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from omnisonic.models import SessionId, Upload, UploadId, UserId
from omnisonic.models.activity import REMOVED, ActivityEvent, ActivityId, ActivityKind, StemField
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.activity.recording import record
from omnisonic.studio.sessions import ListenersChangeNothing
from omnisonic.studio.uploads import BIN_DAYS, Mix, NoSuchUpload, StoredUpload, UploaderOnly
from omnisonic.studio.uploads import upload_statements as statements
from omnisonic.studio.uploads.quota import check_quota

COLUMN_OF: Final[Mapping[StemField, str]] = {
    "gainDb": "gain_db",
    "pan": "pan",
    "muted": "muted",
    "offsetSeconds": "offset_seconds",
}
"""What of the mix is recorded, and the columns and fields of `Upload` and `Mix` that it is in."""
_IN_BIN: Final = timedelta(days=BIN_DAYS)


async def lock_upload(connection: Connection, user: UserId, upload: UploadId, *, in_bin: bool = False) -> Row:
    """Lock an upload that the user may see, after its uploader and its session. `in_bin`: also one in the bin.

    Returns:
        Its columns, `is_shared` with the user or not, and whether they `may_remove` it.

    Raises:
        NoSuchUpload
        ListenersChangeNothing
    """
    upload_id = uuid_or_none(upload)
    if in_bin:
        await connection.execute(statements.LOCK_UPLOADER, upload_id)
    await connection.execute(statements.LOCK_SESSION, upload_id)
    if in_bin:
        row = await connection.fetchrow(statements.LOCK_REMOVED, user, upload_id, _IN_BIN)
    else:
        row = await connection.fetchrow(statements.LOCK, user, upload_id)
    if row is None:
        raise NoSuchUpload
    if row["is_listener"]:
        raise ListenersChangeNothing
    return row


async def change_mix(
    connection: Connection, actor: UserId, locked: Row, mix: Mix, *, undoes: ActivityId | None = None
) -> tuple[Upload, list[ActivityEvent]]:
    """Change how the stem sits in the mix. Each value that changes is an event.

    Raises:
        NoSuchUpload: It is not shared with the user any more, who has uploaded it.
    """
    if not locked["is_shared"] and locked["session_id"] is not None:
        raise NoSuchUpload
    row = await connection.fetchrow(
        statements.CHANGE, locked["id"], mix.gain_db, mix.pan, mix.muted, mix.offset_seconds
    )
    assert row is not None
    events = []
    if row["session_id"] is not None:
        for field, column in COLUMN_OF.items():
            if locked[column] == row[column]:
                continue
            events += await record(
                connection,
                session=row["session_id"],
                actor=actor,
                kind="upload.changed",
                subject=row["id"],
                name=row["file_name"],
                change=(field, locked[column], row[column]),
                undoes=undoes,
            )
    return stored_upload(row).upload, events


async def remove_upload(
    connection: Connection, actor: UserId, locked: Row, *, quota_bytes: int, undoes: ActivityId | None = None
) -> list[ActivityEvent]:
    """Put the upload into the bin, which holds at most `quota_bytes` of its uploader's; 0 is any number.

    Raises:
        NoSuchUpload: It is in the bin already.
        UploaderOnly
    """
    if locked["is_removed"]:
        raise NoSuchUpload
    if not locked["may_remove"]:
        raise UploaderOnly
    await connection.execute(statements.REMOVE, locked["id"])
    if quota_bytes:
        await connection.execute(statements.TRIM_BIN, locked["user_id"], quota_bytes)
    return await _record_removal(connection, actor, locked, "upload.removed", undoes)


async def restore_upload(
    connection: Connection, actor: UserId, locked: Row, *, quota_bytes: int, undoes: ActivityId | None = None
) -> list[ActivityEvent]:
    """Take the upload out of the bin. Nothing happens to one that is not in it.

    Raises:
        UploaderOnly
        QuotaExceeded: Its uploader has no room for it any more.
    """
    if not locked["may_remove"]:
        raise UploaderOnly
    if not locked["is_removed"]:
        return []
    await check_quota(connection, locked["user_id"], locked["file_size"], quota_bytes)
    await connection.execute(statements.RESTORE, locked["id"])
    return await _record_removal(connection, actor, locked, "upload.restored", undoes)


async def record_arrival(connection: Connection, upload: Upload) -> list[ActivityEvent]:
    """Record that the upload was added to its session, if it has one."""
    if upload.session_id is None:
        return []
    return await record(
        connection,
        session=upload.session_id,
        actor=upload.user_id,
        kind="upload.added",
        subject=upload.id,
        name=upload.file_name,
    )


async def _record_removal(
    connection: Connection, actor: UserId, locked: Row, kind: ActivityKind, undoes: ActivityId | None
) -> list[ActivityEvent]:
    session: SessionId | None = locked["session_id"]
    if session is None:
        return []
    is_removed = kind == "upload.removed"
    return await record(
        connection,
        session=session,
        actor=actor,
        kind=kind,
        subject=locked["id"],
        name=locked["file_name"],
        change=(REMOVED, not is_removed, is_removed),
        undoes=undoes,
    )


def stored_upload(row: Row) -> StoredUpload:
    """An upload from a row with `upload_statements.COLUMNS`."""
    return StoredUpload(Upload(**{field: row[field] for field in Upload.__struct_fields__}), row["object_key"])
