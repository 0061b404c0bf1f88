"""The part of a user's quota that is reserved for a file while it arrives (`UploadStore.reserve`). Asyncio.

Bytes are passed on once there is room for them. Overload: `QuotaExceeded`. Crash of the process: the reservation ends
with its lease. A database that is away: what is reserved already may arrive, more is `Unavailable`. Shutdown: cancel.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn

from omnisonic.errors import OmnisonicError
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import UploadStore, UploadTooLarge

STEP_BYTES: Final = 1_048_576
"""How much more is asked for at a time than has arrived."""
RENEW_S: Final = 15.0
"""The time between two renewals of the lease: a few of them may fail."""

_log = logging.getLogger(__name__)


class Reservation:
    """What is reserved for the object at `key`: `granted` bytes at first, and never more than `max_bytes`.

    `key` is None once the object has become something, and nothing follows it.
    """

    def __init__(self, uploads: UploadStore, key: Key, granted: int, *, max_bytes: int) -> None:
        self.key: Key | None = key
        self._uploads = uploads
        self._granted = granted
        self._max_bytes = max_bytes
        self._arrived = 0
        self._asking = asyncio.Lock()

    async def counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, each once there is room for it. Errors: `UploadTooLarge`, `QuotaExceeded`, `Unavailable`."""
        async for chunk in chunks:
            self._arrived += len(chunk)
            if self._arrived > self._max_bytes:
                raise UploadTooLarge(self._max_bytes)
            if self._arrived > self._granted:
                async with self._asking:
                    await self._reserve(least=self._arrived, most=min(self._arrived + STEP_BYTES, self._max_bytes))
            yield chunk

    async def hand_on(self, following: Key | None, bind: Callable[[], Awaitable[int]]) -> None:
        """Be for the object `following` once `bind` has made something of this one, and told what that may have."""
        async with self._asking:
            self._granted = await bind()
            self.key, self._arrived = following, 0

    async def renew(self) -> NoReturn:
        """Renew the lease again and again."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                async with self._asking:
                    await self._reserve(least=self._granted, most=self._granted)
            except OmnisonicError as problem:
                _log.warning("upload.reservation_not_renewed", extra={"key": self.key, "reason": problem.message})

    async def _reserve(self, *, least: int, most: int) -> None:
        if self.key is not None:
            self._granted = await self._uploads.reserve(self.key, least=least, most=most)
