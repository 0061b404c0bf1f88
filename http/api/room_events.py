"""Publishing room events on the bus: what has changed in a session, for the people in its room (SPEC 5.2).

Activity (`omnisonic.studio.activity`) follows the event of the change that it tells of: the role that was lost, the
stem that was moved. Where no event goes with the change, it is published at once. When a role was changed the gateways
are told first. Delivered at most once. Bus overloaded or down: the room misses the event, which is logged, and the
request succeeds. Gateways check by themselves who may stay, and as what (`omnisonic.stores.bus.events`).
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import chain
from typing import Final

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.models import Role, RoomId
from omnisonic.models.activity import ROLE, ActivityEvent, ActivityKind
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import RoleChanged, RoleLost, RoomEvent, RoomSaid, encode

PUBLISH_TIMEOUT_S: Final = 1.0
ACTIVITY: Final = "activity.added"
WITH_CHANGE: Final = frozenset[ActivityKind](
    {
        "upload.added",
        "upload.changed",
        "upload.removed",
        "upload.restored",
        "export.requested",
        "export.removed",
        "member.left",
        "member.removed",
        "session.changed",
        "marker.added",
        "marker.changed",
        "marker.removed",
        "marker.restored",
        "comment.removed",
    }
)
"""Activity that another event of the same request goes with, and that waits for it. Any other would wait for ever."""

log = logging.getLogger(__name__)


class RoomEvents:
    """Publishes events to the rooms through `bus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._deferred: dict[RoomId, list[RoomEvent]] = {}

    async def tell(self, activity: Sequence[ActivityEvent]) -> None:
        """Publish activity that was committed, with the change that its request publishes next. Never raises."""
        alone: list[RoomEvent] = []
        for event in activity:
            said = RoomSaid(event.session_id, ACTIVITY, msgspec.Raw(msgspec.json.encode(event)))
            if event.kind == "member.changed" and event.field == ROLE:
                role = msgspec.convert(event.after, Role)
                alone.append(RoleChanged(event.session_id, event.subject_id, role))
            if event.kind in WITH_CHANGE:
                self._deferred.setdefault(event.session_id, []).append(said)
            else:
                alone.append(said)
        if alone:
            await self.publish(*alone)

    async def publish(self, *events: RoomEvent) -> None:
        """Publish `events` in this order, all within `PUBLISH_TIMEOUT_S`. Failures are logged. Never raises.

        The activity in their rooms that was not published yet follows them.
        """
        rooms = {event.room for event in events if isinstance(event, RoomSaid | RoleLost)}
        events += tuple(chain.from_iterable(self._deferred.pop(room, ()) for room in sorted(rooms)))
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                for event in events:
                    await self._bus.publish(ROOM_EVENTS, encode(event))
        except (TimeoutError, Unavailable):
            log.warning("room.not_notified", extra={"events": [type(event).__name__ for event in events]})
