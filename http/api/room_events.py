"""What the web tells the rooms, at most once (SPEC 5.2): news of what has happened already and cannot be taken back.

Overload and crash of the bus: whoever is in a room misses the news, which is logged, and the request goes on; gateways
check by themselves who may stay (`omnisonic.stores.bus.events`).
"""

import asyncio
import logging
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import RoomEvent, encode

TELL_TIMEOUT_S: Final = 1.0

log = logging.getLogger(__name__)


class RoomEvents:
    """Tells the rooms through `bus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, *events: RoomEvent) -> None:
        """Tell all rooms of these events, in this order, within `TELL_TIMEOUT_S` or not at all. Never raises."""
        try:
            async with asyncio.timeout(TELL_TIMEOUT_S):
                for event in events:
                    await self._bus.publish(ROOM_EVENTS, encode(event))
        except (TimeoutError, Unavailable):
            log.warning("room.not_notified", extra={"events": [type(event).__name__ for event in events]})
