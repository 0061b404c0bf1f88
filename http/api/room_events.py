"""Publishing room events on the bus: what has changed in a session, for the people in its room (SPEC 5.2).

Delivered at most once. Bus overloaded or down: the room misses the event, which is logged, and the request succeeds.
Gateways check by themselves who may stay (`omnisonic.stores.bus.events`).
"""

import asyncio
import logging
from typing import Final

from omnisonic.errors import Unavailable
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import RoomEvent, encode

PUBLISH_TIMEOUT_S: Final = 1.0

log = logging.getLogger(__name__)


class RoomEvents:
    """Publishes events to the rooms through `bus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, *events: RoomEvent) -> None:
        """Publish `events` in this order, all within `PUBLISH_TIMEOUT_S`. Failures are logged. Never raises."""
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                for event in events:
                    await self._bus.publish(ROOM_EVENTS, encode(event))
        except (TimeoutError, Unavailable):
            log.warning("room.not_notified", extra={"events": [type(event).__name__ for event in events]})
