"""The arrival of uploads: who may upload where, and the row of what has come. For use in a transaction.

A file that is another take of a track leaves what is heard there as it is (`omnisonic.studio.uploads.tracks`).
"""

from asyncpg.exceptions import UniqueViolationError

from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, SessionId, Upload, UploadId, UserId
from omnisonic.models.activity import ActivityEvent
from omnisonic.observability.trace_context import current_trace
from omnisonic.stores.database.pool import Connection
from omnisonic.stores.database.uuids import NIL_UUID, uuid_or_none
from omnisonic.stores.storage import Key
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions import ListenersChangeNothing, NoSuchSession, NotSignedIn
from omnisonic.studio.uploads import ReceivedFile
from omnisonic.studio.uploads import upload_statements as statements
from omnisonic.studio.uploads.tracks import join_track, open_track
from omnisonic.studio.uploads.unreferenced_objects import bind_object
from omnisonic.studio.uploads.upload_changes import record_arrival, stored_upload


async def find_uploader(connection: Connection, use: LoginUse, login: LoginId, session: SessionId | None) -> UserId:
    """The user who is signed in and may upload to that session.

    Raises:
        NotSignedIn, NoSuchSession, ListenersChangeNothing
    """
    session_id = None if session is None else uuid_or_none(session) or NIL_UUID
    row = await connection.fetchrow(statements.FIND_UPLOADER, login, session_id)
    if row is None:
        raise NotSignedIn
    use.note(login)
    if not row["has_role"]:
        raise NoSuchSession
    if row["is_listener"]:
        raise ListenersChangeNothing
    return str(row["user_id"])


async def insert_upload(
    connection: Connection,
    upload: UploadId,
    user: UserId,
    session: SessionId | None,
    key: Key,
    file: ReceivedFile,
    *,
    take_of: str | None = None,
    offset_s: float = 0.0,
) -> tuple[Upload, list[ActivityEvent]]:
    """Insert the row of what was put at `key`, and remove the registration.

    Args:
        connection: In a transaction.
        upload: Its id, used only once.
        user: Who has uploaded it.
        session: Where it belongs, if anywhere.
        key: Where it was put.
        file: What was put there.
        take_of: The track, or an upload in it, of which it is another take.
        offset_s: Where in the session it begins.

    Raises:
        NoSuchTrack
        Unavailable: `key` is not registered any more, or the id was used.
    """
    await bind_object(connection, key)
    values = file.file_name, file.file_size, file.mime_type, file.sha256, current_trace()
    try:
        track = await open_track(connection, upload, session, file.file_name)
        if take_of is not None:
            track = await join_track(connection, session, take_of)
        await connection.execute(statements.CREATE, upload, user, session, key, *values, track, offset_s)
    except UniqueViolationError as problem:  # an id is used only once
        raise Unavailable("The upload was stored already. Look at the list.") from problem
    row = await connection.fetchrow(statements.READ, upload)
    assert row is not None
    upload_ = stored_upload(row).upload
    return upload_, await record_arrival(connection, upload_)
