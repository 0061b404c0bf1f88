"""Leases end with the role that they stand on (SPEC 3, presence): at once, and not when their time is over.

The role is gone from the database by then, so nobody puts another. Presence store down: the leases stay until their
time is over, which is logged; who ended the role gets their answer all the same, within `END_TIMEOUT_S`.
"""

import asyncio
import logging
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.models import RoomId, UserId
from omnisonic.stores.presence import PresenceStore

END_TIMEOUT_S: Final = 1.0

log = logging.getLogger(__name__)


class Leases:
    """Ends leases in `presence`. The live room is told by whoever calls."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence

    async def end(self, room: RoomId, person: UserId | None = None) -> None:
        """End all leases of `person` in the room, or without one all that there are in it. Never raises."""
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._presence.end_leases(room, person)
        except (TimeoutError, Unavailable):
            log.warning("leases.not_ended", extra={"room": room})
