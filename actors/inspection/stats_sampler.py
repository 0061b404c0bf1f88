"""The pulse: once a second it takes the marks that rates are made of, and adds the gateway's totals up (SPEC 1).

So nobody has to go through all rooms to say how a gateway is. Owned by the gateway, a task of its own. Overload: it
goes through the rooms in slices, and others have their turn in between. Crash: restarted; marks are a second late.
"""

from dataclasses import dataclass
from typing import Final

import trio

from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.stats import Meter

BEAT_S: Final = 1.0
SLICE: Final = 200
"""Rooms at once: a tenth of a millisecond."""


@dataclass(frozen=True, slots=True)
class GatewayStats:
    """A gateway at a glance."""

    rooms: int = 0
    members: int = 0
    messages: int = 0
    deliveries: int = 0
    messages_per_s: float = 0.0
    deliveries_per_s: float = 0.0


class StatsSampler:
    """Of one gateway. `figures` are those of the last beat."""

    def __init__(self, registry: Registry) -> None:
        self.figures = GatewayStats()
        self._registry = registry
        self._meter = Meter(trio.current_time())

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Beat until cancelled."""
        task_status.started()
        while True:
            await self.sample()
            await trio.sleep(BEAT_S)

    async def sample(self) -> None:
        """Go through all rooms once."""
        messages, deliveries = self._registry.past.messages, self._registry.past.deliveries
        actors, members = list(self._registry), 0
        for start in range(0, len(actors), SLICE):
            now_s = trio.current_time()
            for actor in actors[start : start + SLICE]:
                actor.stats.meter.mark(now_s, actor.messages, actor.deliveries)
                members += len(actor.entries)
                messages += actor.messages
                deliveries += actor.deliveries
            await trio.lowlevel.checkpoint()
        now_s = trio.current_time()
        self._meter.mark(now_s, messages, deliveries)
        rates = self._meter.per_s(now_s, messages, deliveries)
        self.figures = GatewayStats(len(actors), members, messages, deliveries, *rates)
