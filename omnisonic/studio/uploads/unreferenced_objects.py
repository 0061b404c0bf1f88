"""The table `loose_objects`: objects that are in the storage, or on their way there, and that no row refers to.

An object is registered before it is put. `bind_object` removes the registration in the transaction that inserts the row
which refers to the object; `abandon_object` marks it for deletion. A registration is due after `UNREFERENCED_S`; then
the garbage collector takes it, and it cannot be bound any more.
"""

from datetime import timedelta
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.stores.database.pool import Connection
from omnisonic.stores.storage import Key

UNREFERENCED_S: Final = 7200
"""How long an object may stay unreferenced while it is put: longer than any put takes."""
COPY_LOCK: Final = 0x6F6D6E63
"""The number of the advisory lock that whoever copies all objects holds. Meanwhile none is deleted."""
TOO_LATE: Final = "The upload took too long. Send it again."

_REGISTER: Final = """
-- $1 key, $2 how long it may stay unreferenced.
INSERT INTO loose_objects (object_key, due_at) VALUES ($1, now() + $2::interval)
"""

REGISTER_ARRIVAL: Final = """
-- $1 key, $2 how long it may stay unreferenced, $3 user, $4 resumable upload or NULL, $5 bytes reserved, $6 how long.
INSERT INTO loose_objects (object_key, due_at, user_id, resumable_id, reserved_bytes, reserved_until)
VALUES ($1, now() + $2::interval, $3, $4, $5, now() + $6::interval)
"""

COUNT_ARRIVALS: Final = """
-- $1 user. How many objects of this user arrive now.
SELECT count(*) FROM loose_objects WHERE user_id = $1 AND reserved_until > now() AND NOT doomed
"""

SENDER: Final = """
-- $1 key. The user whose object arrives there; no row when it cannot be bound any more.
SELECT user_id::text FROM loose_objects WHERE object_key = $1 AND NOT doomed AND user_id IS NOT NULL
"""

RESERVE: Final = """
-- $1 key, $2 bytes reserved, $3 for how long. A row when it can still be bound.
UPDATE loose_objects SET reserved_bytes = $2, reserved_until = now() + $3::interval
WHERE object_key = $1 AND NOT doomed RETURNING object_key
"""

_BIND: Final = """
-- $1 key. A row when it was unreferenced and could still be bound.
DELETE FROM loose_objects WHERE object_key = $1 AND NOT doomed RETURNING object_key
"""

_ABANDON: Final = """
-- $1 key. A row when it was unreferenced.
UPDATE loose_objects SET due_at = now(), doomed = true WHERE object_key = $1 RETURNING object_key
"""

_ABANDON_UNREGISTERED: Final = """
-- $1 key, which is not registered. A row when nothing refers to it: it was collected while it was still being put, for
-- example by a machine that slept. Runs after `_ABANDON`, which waits for a transaction that binds the key.
INSERT INTO loose_objects (object_key, due_at, doomed)
SELECT $1, now(), true
WHERE NOT EXISTS (SELECT FROM uploads WHERE object_key = $1)
    AND NOT EXISTS (SELECT FROM upload_pieces WHERE object_key = $1)
    AND NOT EXISTS (SELECT FROM upload_segments WHERE object_key = $1)
    AND NOT EXISTS (SELECT FROM exports WHERE object_key = $1)
    AND NOT EXISTS (SELECT FROM export_previews WHERE object_key = $1)
ON CONFLICT (object_key) DO UPDATE SET due_at = now(), doomed = true
RETURNING object_key
"""


MAY_DELETE: Final = """
-- $1 the copy lock. Whether objects may be deleted whose rows are gone by now: no, while somebody copies all objects.
SELECT pg_try_advisory_xact_lock_shared($1) AS may_delete
"""


async def register_object(connection: Connection, key: Key) -> None:
    """Register `key` as unreferenced, before anything is put there."""
    await connection.execute(_REGISTER, key, timedelta(seconds=UNREFERENCED_S))


async def bind_object(connection: Connection, key: Key) -> None:
    """Remove the registration of `key`; the same transaction inserts the row that refers to it.

    Raises:
        Unavailable: It is not registered, or being deleted.
    """
    if not await try_bind_object(connection, key):
        raise Unavailable(TOO_LATE)


async def try_bind_object(connection: Connection, key: Key) -> bool:
    """As `bind_object`, but False when it is not registered, or being deleted."""
    return await connection.fetchrow(_BIND, key) is not None


async def abandon_object(connection: Connection, key: Key) -> bool:
    """Mark `key` for deletion. False when a row refers to it."""
    for statement in (_ABANDON, _ABANDON_UNREGISTERED):
        if await connection.fetchrow(statement, key) is not None:
            return True
    return False
