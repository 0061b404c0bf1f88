"""The quota: how many bytes a user's uploads may take. For use in a transaction that has locked the user.

Uploads, unfinished uploads and what is arriving count. What is in the bin does not: `upload_changes.remove_upload`.
"""

from omnisonic.models import UploadId, UserId
from omnisonic.stores.database.pool import Connection
from omnisonic.stores.storage import Key
from omnisonic.studio.sessions import NotSignedIn
from omnisonic.studio.uploads import QuotaExceeded
from omnisonic.studio.uploads import upload_statements as statements


async def lock_user(connection: Connection, user: UserId) -> None:
    """Let no other transaction count this user's bytes. Errors: `NotSignedIn` when the account is deleted."""
    if await connection.fetchrow(statements.LOCK_USER, user) is None:
        raise NotSignedIn


async def check_quota(
    connection: Connection,
    user: UserId,
    size: int,
    quota_bytes: int,
    *,
    except_resumable: UploadId | None = None,
    except_key: Key | None = None,
) -> None:
    """Check that the user may keep `size` bytes more, not counting one resumable upload or key.

    Raises:
        QuotaExceeded
    """
    if not quota_bytes:
        return
    if await connection.fetchval(statements.USED_BYTES, user, except_resumable, except_key) + size > quota_bytes:
        raise QuotaExceeded


async def bytes_over_quota(connection: Connection, user: UserId, quota_bytes: int) -> int:
    """How many bytes the user's uploads, finished, unfinished and arriving, are over the quota; 0 without a quota."""
    if not quota_bytes:
        return 0
    used: int = await connection.fetchval(statements.USED_BYTES, user, None, None)
    return max(0, used - quota_bytes)
