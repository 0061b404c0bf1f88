"""The bus: events that cross between processes, at most once (DESIGN 1).

Whoever listens is told of a gap (`Gap`) whenever events may have been missed, and then reads the truth from the
store again. Adapters: `omnisonic.stores.bus.memory` and `omnisonic.stores.bus.valkey` (Redis pub/sub).
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from omnisonic.errors import Unavailable

ROOM_EVENTS: Final = "omnisonic:room-events"
"""The channel on which the web side tells rooms what happened outside of them. Carries `omnisonic.stores.bus.events`.
"""
PROBE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Delivery:
    """One published message."""

    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages may have been missed before this point: the connection was lost and is back."""


Heard: TypeAlias = Delivery | Gap


class Bus(Protocol):
    """Publish and subscribe to named channels."""

    async def publish(self, channel: str, data: bytes) -> int:
        """Hand `data` to everyone who listens now; how many that were. Errors: `Unavailable`."""
        ...

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        """Listen until the block ends. Entered means subscribed: nothing published after that is missed silently.

        A lost connection is mended without end, with jittered backoff, and shows as `Gap` once it is back.
        Errors on entering: `Unavailable`.
        """
        ...

    async def aclose(self) -> None:
        """Let go of the connections. Safe to call twice."""
        ...


async def round_trip(bus: Bus) -> None:
    """Publish a message on a channel of its own, and return once it was received. Errors: `Unavailable`."""
    channel = f"omnisonic:probe:{secrets.token_hex(PROBE_BYTES)}"
    async with bus.subscribe(channel) as heard:
        await bus.publish(channel, b"ready?")
        async for event in heard:
            if isinstance(event, Delivery):
                return
    raise Unavailable("The bus ended before it delivered.")
