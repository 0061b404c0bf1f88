"""Rosters, read for all who wait at once (SPEC 3: `GET /api/presence`).

Batched by load, never by timer: while a room's roster is being read, whoever else asks for it waits for the next read,
which is for all of them. Every read begins after the requests that it answers, so nobody sees a roster that is older
than their question. Crash of the store: `Unavailable` to all who wait. Shutdown: a read under way is lost.
"""

import asyncio
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.http.core.responses import Members, encoded
from omnisonic.models import RoomId
from omnisonic.stores.presence import PresenceStore

TIMEOUT_S: Final = 0.5
"""Longest that one read may take; an answer waits for two at most."""


class RosterReads:
    """Reads the rosters in `presence`."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence
        self._next: dict[RoomId, asyncio.Future[bytes]] = {}
        self._reading: dict[RoomId, asyncio.Task[None]] = {}

    async def members(self, room: RoomId) -> bytes:
        """Everyone in the room: a `Members` as JSON. Errors: `Unavailable`."""
        found = self._next.get(room)
        if found is None:
            found = self._next[room] = asyncio.get_running_loop().create_future()
            if room not in self._reading:
                self._reading[room] = asyncio.create_task(self._read(room))
        # Shielded: one impatient caller must not take the roster from the others.
        return await asyncio.shield(found)

    async def _read(self, room: RoomId) -> None:
        """Read for whoever waits, until nobody does."""
        try:
            while (found := self._next.pop(room, None)) is not None:
                try:
                    found.set_result(await self._roster(room))
                except Exception as crash:  # noqa: BLE001 - whoever waits for the read is to have it
                    found.set_exception(crash)
        finally:
            del self._reading[room]

    async def _roster(self, room: RoomId) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return encoded(Members(await self._presence.members(room)))
        except TimeoutError:
            raise Unavailable("The roster does not answer now. Try again in a moment.") from None
