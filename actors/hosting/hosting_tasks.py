"""What hosted rooms need beside their gateway: the ticker, and the tasks that load and save (SPEC 8).

Overload and crash: see `omnisonic.actors.hosting.ticker` and `omnisonic.actors.hosting.saving`. Shutdown: the caller
saves (`save_all`) after all connections have ended, and then cancels the nursery.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from omnisonic.actors.hosting.hosted_room import HostedRoom, Hosting
from omnisonic.actors.hosting.saving import SAVE_S, RoomStates
from omnisonic.actors.hosting.ticker import Ticker
from omnisonic.actors.rooms.registry import Registry
from omnisonic.models import RoomId

# Rooms run in tasks that Ctrl-C does not interrupt. But it must interrupt a hook that does not end.
for turn in (HostedRoom.handle, HostedRoom.relay):
    trio.lowlevel.disable_ki_protection(turn)


class HostingGateway(Protocol):
    """The parts of a gateway that hosted rooms need."""

    @property
    def registry(self) -> Registry: ...

    async def start_child(self, name: str, run: Callable[[trio.TaskStatus[None]], Awaitable[None]]) -> None: ...


class HostingTasks:
    """The tasks of the hosted rooms of one gateway. Make it before the gateway accepts connections."""

    def __init__(self, hosting: Hosting, gateway: HostingGateway, nursery: trio.Nursery) -> None:
        registry = gateway.registry
        self._gateway = gateway
        self._states = RoomStates(registry, nursery)
        self._ticker = Ticker(registry)
        registry.watchers += [self._ticker, self._states]
        hosting.registry = registry
        hosting.on_tick_change = self._ticker.on_roster_change
        hosting.on_turn = self._states.on_turn

    async def start(self) -> None:
        """Start the ticker; returns when it runs."""
        await self._gateway.start_child("ticker", self._ticker.run)

    async def save_room(self, room_id: RoomId) -> None:
        """Save this room, if it has changed, because another gateway goes on with it."""
        await self._states.save_room(room_id)

    async def save_all(self, deadline_s: float = SAVE_S) -> None:
        """Save every room that has changed. Returns when that is done, or after the deadline."""
        await self._states.save_all(deadline_s)
