"""Changes of uploads, and their undo: mix and track, removal into the bin, and back. For use in a transaction.

`lock_upload` comes first; what it returns is passed on to one of the others. Each records the activity of the session,
and tells which other uploads have changed by it: takes of the same track, mostly.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import SessionId, Upload, UploadId, UserId
from omnisonic.models.activity import (
    REMOVED,
    ActivityEvent,
    ActivityId,
    ActivityKind,
    ActivityValue,
    StemField,
    TrackField,
)
from omnisonic.stores.database.pool import Connection, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.activity.recording import record
from omnisonic.studio.sessions import ListenersChangeNothing
from omnisonic.studio.uploads import (
    BIN_DAYS,
    LEAST_HEARD_S,
    ChangedUploads,
    LeftTrack,
    Mix,
    NoSuchUpload,
    StoredUpload,
    TrimsLeaveNothing,
    UploaderOnly,
)
from omnisonic.studio.uploads import upload_statements as statements
from omnisonic.studio.uploads.quota import check_quota
from omnisonic.studio.uploads.tracks import change_track, keep_heard, move_upload

COLUMN_OF: Final[Mapping[StemField | TrackField, str]] = {
    "takeOf": "take_of",
    "name": "name",
    "position": "position",
    "chosen": "chosen_take",
    "gainDb": "gain_db",
    "pan": "pan",
    "muted": "muted",
    "offsetSeconds": "offset_seconds",
    "trimStartSeconds": "trim_start_seconds",
    "trimEndSeconds": "trim_end_seconds",
    "fadeInSeconds": "fade_in_seconds",
    "fadeOutSeconds": "fade_out_seconds",
}
"""What is recorded, and the columns that it is in; but for `chosen` they are fields of `Mix`, too."""
TRACK_FIELDS: Final[tuple[TrackField, ...]] = ("name", "position", "chosen")
_OTHER_FIELDS: Final[Sequence[StemField | TrackField]] = [field for field in COLUMN_OF if field != "takeOf"]
_IN_BIN: Final = timedelta(days=BIN_DAYS)


def mix_back(field: StemField | TrackField, before: ActivityValue) -> Mix:
    """The change that gives `field` the value `before` again. For `chosen`, it is one of the upload `before`."""
    return Mix(chosen=True) if field == "chosen" else msgspec.convert({COLUMN_OF[field]: before}, Mix)


async def lock_upload(
    connection: Connection, user: UserId, upload: UploadId, *, in_bin: bool = False, moves: bool = False
) -> Row:
    """Lock an upload that the user may see, after its uploader and its session, and then its track.

    Args:
        connection: In a transaction.
        user: The user.
        upload: The upload.
        in_bin: Also one in the bin.
        moves: It may go to another track.

    Returns:
        Its columns, the `chosen_take` of its track, whether it `is_shared` with the user, and whether they `may_remove`
        it.

    Raises:
        NoSuchUpload
        ListenersChangeNothing
    """
    upload_id = uuid_or_none(upload)
    if in_bin:
        await connection.execute(statements.LOCK_UPLOADER, upload_id)
    await connection.execute(statements.LOCK_SESSION_TO_MOVE if moves else statements.LOCK_SESSION, upload_id)
    await connection.execute(statements.LOCK, upload_id)
    await connection.execute(statements.LOCK_TRACK, upload_id)
    if in_bin:
        row = await connection.fetchrow(statements.READ_REMOVED, user, upload_id, _IN_BIN)
    else:
        row = await connection.fetchrow(statements.READ_LOCKED, user, upload_id)
    if row is None:
        raise NoSuchUpload
    if row["is_listener"]:
        raise ListenersChangeNothing
    return row


async def change_upload(
    connection: Connection,
    actor: UserId,
    locked: Row,
    mix: Mix,
    *,
    undoes: ActivityId | None = None,
    left: LeftTrack | None = None,
) -> tuple[ChangedUploads, list[ActivityEvent]]:
    """Change how the stem sits in the mix, and its track. Each value that changes is an event.

    `left` is the track to which it goes back by an undo, as it was when the upload left it.

    Raises:
        NoSuchUpload: It is not shared with the user any more, who has uploaded it.
        NoSuchTrack
        TrimsLeaveNothing
    """
    _check_shared(locked)
    upload, events = locked["id"], list[ActivityEvent]()
    moves = mix.take_of is not msgspec.UNSET
    arranges = moves or mix.chosen or mix.name is not None or mix.position is not None
    before = await _read_session(connection, locked["session_id"]) if arranges else {}
    now = locked
    if mix.take_of is not msgspec.UNSET:
        await move_upload(connection, locked, mix.take_of, is_undo=undoes is not None, left=left)
        now = await _read(connection, upload)
        events += await _record_changes(connection, actor, (locked, now), ["takeOf"], undoes)
    _check_trims(locked, mix)
    values = mix.gain_db, mix.pan, mix.muted, mix.offset_seconds
    clip = mix.trim_start_seconds, mix.trim_end_seconds, mix.fade_in_seconds, mix.fade_out_seconds
    await connection.execute(statements.CHANGE, upload, *values, *clip)
    if arranges:
        await change_track(connection, now, mix)
    changed = await _read(connection, upload)
    fields: list[StemField | TrackField] = [field for field in _OTHER_FIELDS if _is_asked(mix, field)]
    events += await _record_changes(connection, actor, (now, changed), fields, undoes)
    others = await _others_changed(connection, locked, before) if arranges else []
    stored = stored_upload(changed)
    return ChangedUploads(stored, others, is_changed=stored != stored_upload(locked)), events


async def remove_upload(
    connection: Connection, actor: UserId, locked: Row, *, quota_bytes: int, undoes: ActivityId | None = None
) -> tuple[ChangedUploads, list[ActivityEvent]]:
    """Put the upload into the bin, which holds at most `quota_bytes` of its uploader's; 0 is any number.

    Its uploader may also do that when it is not shared with them any more. They cannot bring it back then.

    Returns:
        The upload as it was, the take that is heard instead if it was heard, and the event.

    Raises:
        NoSuchUpload: It is in the bin already.
        UploaderOnly
    """
    if locked["is_removed"]:
        raise NoSuchUpload
    if not locked["may_remove"]:
        raise UploaderOnly
    before = await _read_session(connection, locked["session_id"])
    await connection.execute(statements.REMOVE, locked["id"])
    if quota_bytes:
        await connection.execute(statements.TRIM_BIN, locked["user_id"], quota_bytes)
    others = await _others_changed(connection, locked, before)
    events = await _record_removal(connection, actor, locked, "upload.removed", undoes)
    return ChangedUploads(stored_upload(locked), others), events


async def restore_upload(
    connection: Connection, actor: UserId, locked: Row, *, quota_bytes: int, undoes: ActivityId | None = None
) -> tuple[ChangedUploads, list[ActivityEvent]]:
    """Take the upload out of the bin. Nothing happens to one that is not in it.

    It is heard again if it was, unless another take of its track was chosen meanwhile.

    Raises:
        NoSuchUpload: It is not shared with the user any more, who has uploaded it.
        UploaderOnly
        QuotaExceeded: Its uploader has no room for it any more.
    """
    _check_shared(locked)
    if not locked["may_remove"]:
        raise UploaderOnly
    if not locked["is_removed"]:
        return ChangedUploads(stored_upload(locked), is_changed=False), []
    await check_quota(connection, locked["user_id"], locked["file_size"], quota_bytes)
    before = await _read_session(connection, locked["session_id"])
    await keep_heard(connection, locked["take_of"], unless=locked["id"])
    await connection.execute(statements.RESTORE, locked["id"])
    others = await _others_changed(connection, locked, before)
    events = await _record_removal(connection, actor, locked, "upload.restored", undoes)
    return ChangedUploads(stored_upload(await _read(connection, locked["id"])), others), events


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


def stored_upload(row: Row) -> StoredUpload:
    """An upload from a row with `upload_statements.COLUMNS`."""
    return StoredUpload(Upload(**{field: row[field] for field in Upload.__struct_fields__}), row["object_key"])


def _check_shared(locked: Row) -> None:
    """Check that the user, who may be its uploader, has a role in the session of the upload, if it has one."""
    if not locked["is_shared"] and locked["session_id"] is not None:
        raise NoSuchUpload


def _is_asked(mix: Mix, field: StemField | TrackField) -> bool:
    """Whether `mix` changes this."""
    return mix.chosen if field == "chosen" else getattr(mix, COLUMN_OF[field]) is not None


def _check_trims(locked: Row, mix: Mix) -> None:
    """Check that something is left of the sound, where its length is known."""
    names = "trim_start_seconds", "trim_end_seconds"
    wanted = [getattr(mix, name) for name in names]
    if wanted == [None, None] or locked["duration_seconds"] is None:
        return
    trims = [locked[name] if trim is None else trim for name, trim in zip(names, wanted, strict=True)]
    if any(trims) and sum(trims) > locked["duration_seconds"] - LEAST_HEARD_S:
        raise TrimsLeaveNothing


async def _record_changes(
    connection: Connection,
    actor: UserId,
    rows: tuple[Row, Row],
    fields: Sequence[StemField | TrackField],
    undoes: ActivityId | None,
) -> list[ActivityEvent]:
    """Record which of the `fields` differ between the two rows of the upload, if it is in a session."""
    before, after = rows
    events: list[ActivityEvent] = []
    for field in fields if after["session_id"] is not None else ():
        column = COLUMN_OF[field]
        if before[column] == after[column]:
            continue
        events += await record(
            connection,
            session=after["session_id"],
            actor=actor,
            kind="upload.changed",
            subject=after["take_of"] if field in TRACK_FIELDS else after["id"],
            name=after["name"],
            change=(field, before[column], after[column]),
            undoes=undoes,
            left=LeftTrack(before["name"], before["position"]) if field == "takeOf" else None,
        )
    return events


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
        name=locked["name"],
        change=(REMOVED, not is_removed, is_removed),
        undoes=undoes,
    )


async def _read(connection: Connection, upload: UploadId) -> Row:
    """The upload as it is now, which is locked."""
    row = await connection.fetchrow(statements.READ, upload)
    assert row is not None
    return row


async def _read_session(connection: Connection, session: SessionId | None) -> dict[UploadId, Upload]:
    """The uploads of the session as they are now."""
    rows = await connection.fetch(statements.READ_SESSION, session)
    return {row["id"]: stored_upload(row).upload for row in rows}


async def _others_changed(connection: Connection, locked: Row, before: Mapping[UploadId, Upload]) -> list[Upload]:
    """The uploads of the session that are not as they were `before`, without the locked one."""
    now = await _read_session(connection, locked["session_id"])
    return [each for each in now.values() if each.id != locked["id"] and before.get(each.id, each) != each]
