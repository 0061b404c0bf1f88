"""The bus: events that cross between processes, at most once (DESIGN 1).

A subscriber gets a `Gap` whenever events may have been missed, and then reads the stores again. Adapters:
`omnisonic.stores.bus.memory` and `omnisonic.stores.bus.valkey` (Redis pub/sub).
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from omnisonic.errors import Unavailable

ROOM_EVENTS: Final = "omnisonic:room-events"
"""The channel on which the web publishes what happened outside of the rooms (`omnisonic.stores.bus.events`)."""
PROBE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Delivery:
    """One published message."""

    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages before this point may have been missed: the connection was lost and is back, or the queue was full."""


BusEvent: TypeAlias = Delivery | Gap


class Bus(Protocol):
    """Publish and subscribe to named channels."""

    async def publish(self, channel: str, data: bytes) -> int:
        """Send `data` to all current subscribers. Returns how many. Errors: `Unavailable`."""
        ...

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[BusEvent]]:
        """Subscribe until the block ends. Once the block is entered, nothing is missed without a `Gap`.

        A lost connection is reopened, with jittered backoff and without end, and shows as a `Gap`.

        Raises:
            Unavailable: On entering.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...


async def round_trip(bus: Bus) -> None:
    """Publish a message on a channel of its own, and wait until it is received. Errors: `Unavailable`."""
    channel = f"omnisonic:probe:{secrets.token_hex(PROBE_BYTES)}"
    async with bus.subscribe(channel) as events:
        await bus.publish(channel, b"ready?")
        async for event in events:
            if isinstance(event, Delivery):
                return
    raise Unavailable("The bus ended before it delivered.")
