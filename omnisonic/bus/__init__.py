"""The bus: events that cross between processes, at most once (DESIGN 1).

Whoever listens is told of a gap (`Gap`) whenever events may have been missed, and then reads the truth from the
store again. Adapters: `omnisonic.bus.memory` and `omnisonic.bus.valkey` (Redis pub/sub).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

ROOM_EVENTS: Final = "omnisonic:room-events"
"""The channel on which the web side tells rooms what happened outside of them. Carries `omnisonic.bus.events`."""


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
