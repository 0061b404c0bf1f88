"""The server keys of an installation, in the table `server_keys`. Asyncio.

Overload and a database that does not answer: `Unavailable`, and no key is believed. A revoked key is believed nowhere
from then on. Shutdown: the owner of `Database` closes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from omnisonic.errors import OmnisonicError
from omnisonic.identity.server_keys import digest_server_key, generate_server_key
from omnisonic.models import RoomId
from omnisonic.stores.database.pool import Database

_ADD: Final = """
-- $1 name, $2 digest, $3 room or NULL. No row when the name is taken.
INSERT INTO server_keys (name, digest, room) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING name
"""

_LIST: Final = "SELECT name, room, created_at, last_used_at FROM server_keys ORDER BY created_at, name"

_REVOKE: Final = "DELETE FROM server_keys WHERE name = $1 RETURNING name"

_USE: Final = """
-- $1 digest. A use is noted once a minute; one that is being noted is left out.
WITH key AS MATERIALIZED (
    SELECT id, room, last_used_at FROM server_keys WHERE digest = $1
), unnoted AS (
    SELECT id FROM server_keys
    WHERE id IN (SELECT id FROM key WHERE coalesce(last_used_at < now() - interval '1 minute', true))
    FOR NO KEY UPDATE SKIP LOCKED
), noted AS (
    UPDATE server_keys SET last_used_at = now() FROM unnoted WHERE server_keys.id = unnoted.id
)
SELECT room FROM key
"""


class KeyNameTaken(OmnisonicError):
    """There is a server key with that name."""

    code = "key_name_taken"


class NoSuchKey(OmnisonicError):
    """There is no server key with that name."""

    code = "key_not_found"


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A server key as the operator sees it. `room`: the only room that it is for; None: every room."""

    name: str
    room: RoomId | None
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyScope:
    """What a key that holds is for: one room, or with None every room."""

    room: RoomId | None

    def includes(self, room: RoomId) -> bool:
        """Whether the key may be used for this room."""
        return self.room is None or self.room == room


class ServerKeyStore:
    """The server keys in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, room: RoomId | None = None) -> str:
        """Make a key and return it. It is not stored, so it cannot be shown again.

        Raises:
            KeyNameTaken: There is a key with this name.
            Unavailable: The database does not answer.
        """
        key = generate_server_key()
        if await self._database.row(_ADD, name, digest_server_key(key), room) is None:
            raise KeyNameTaken(f"There is a key named {name}. Choose another name, or revoke that key first.")
        return key

    async def all(self) -> Sequence[ServerKey]:
        """All keys, oldest first. Raises `Unavailable`."""
        return [ServerKey(**row) for row in await self._database.rows(_LIST)]

    async def revoke(self, name: str) -> None:
        """Delete a key, so that it is not believed any more. Raises `NoSuchKey`, `Unavailable`."""
        if await self._database.row(_REVOKE, name) is None:
            raise NoSuchKey(f"There is no key named {name}. `omnisonic keys ls` lists them.")

    async def use(self, key: str) -> KeyScope | None:
        """What this key is for; None when it is not a key here. Notes the use. Raises `Unavailable`."""
        row = await self._database.row(_USE, digest_server_key(key))
        return None if row is None else KeyScope(row["room"])
