"""Webhooks: addresses outside the studio that are told what happens in rooms (docs/webhooks.md).

The gateway queues events (`RoomEvents`), in Postgres; a kept message is queued in the transaction that keeps it. The
worker delivers what is queued (`omnisonic.studio.webhooks.delivery_worker`). Operators make and remove webhooks
(`omnisonic.studio.webhooks.webhook_store`).
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, get_args
from uuid import UUID

from omnisonic.models import RoomId

RosterEventType: TypeAlias = Literal["room.opened", "room.emptied", "member.joined", "member.left"]
EventType: TypeAlias = RosterEventType | Literal["message.kept"]
ROSTER_EVENTS: Final[tuple[RosterEventType, ...]] = get_args(RosterEventType)
MESSAGE_KEPT: Final[EventType] = "message.kept"
EVENT_TYPES: Final[tuple[EventType, ...]] = (*ROSTER_EVENTS, MESSAGE_KEPT)

MOST_WEBHOOKS: Final = 32
"""Webhooks of one installation."""
MOST_WAITING: Final = 5_000
"""About so many events wait for one webhook; what comes then is dropped for it."""
PAYLOAD_BYTES: Final = 16_384
"""Bytes of a kept message's payload that an event has; a larger payload is left out."""


class Topic(NamedTuple):
    """What some webhook is for: a type of events, and a room or with None every room."""

    type: str
    room: RoomId | None


class RoomEvent(NamedTuple):
    """Something that happened in a room. `body` is the JSON that is delivered, the same to all its webhooks."""

    id: UUID
    type: EventType
    room: RoomId
    body: str


class RoomEvents(Protocol):
    """Queues events for the webhooks that are for them. Every method raises `Unavailable`."""

    async def topics(self) -> frozenset[Topic]:
        """What the webhooks are for that there are now."""
        ...

    async def queue(self, events: Sequence[RoomEvent]) -> int:
        """Queue these events, in their order, all or none. Idempotent: an event of the same id is queued once.

        Returns:
            How many deliveries were dropped, because too many wait for their webhook.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...
