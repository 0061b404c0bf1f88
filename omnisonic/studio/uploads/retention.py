"""What housekeeping asks of the uploads' rows. Adapter: `omnisonic.studio.uploads.retention_store`.

Several may keep house at once: each takes other rows. Crash: what was taken and not done is due again after `TAKEN_S`.
"""

from datetime import timedelta
from typing import Final, Protocol

import msgspec

from omnisonic.models import Upload
from omnisonic.stores.storage import Key

LOOSE_S: Final = 7200
"""How long an object that is being put may be loose: longer than any put takes."""
TAKEN_S: Final = 60
"""How long whoever took loose objects has time to delete them, before others may take them."""


class Stale(msgspec.Struct, frozen=True):
    """The uploads that have outlived their use: how many, and how many bytes."""

    uploads: int
    size_bytes: int


class UploadRetention(Protocol):
    """Errors: every method may raise `Unavailable`."""

    async def take_unreferenced(self, limit: int) -> list[Key]:
        """Some loose objects that are due, for the caller to delete: from now on they cannot become uploads."""
        ...

    async def forget_unreferenced(self, keys: list[Key]) -> None:
        """These objects are deleted. Idempotent."""
        ...

    async def stale(self, older_than: timedelta) -> Stale:
        """What `drop_stale` would drop in all."""
        ...

    async def drop_stale(self, older_than: timedelta, limit: int) -> list[Upload]:
        """Delete some of the uploads without a session that are older, oldest first; their objects are due."""
        ...

    async def drop_expired(self, limit: int) -> int:
        """Delete some unfinished resumable uploads whose time is over; how many. Their parts are loose and due."""
        ...
