"""The stats sampler: once a second it sets the marks that rates are computed from, and adds up totals (SPEC 1).

So a report about the gateway does not visit all rooms. A task of the gateway. Overload: it visits the rooms in slices,
and other tasks run in between. Crash: restarted; the marks are a second late. Shutdown: cancelled.
"""

from dataclasses import dataclass
from typing import Final

import trio

from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.stats import Meter

INTERVAL_S: Final = 1.0
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
    """The sampler of one gateway. `totals` are those of the last sample."""

    def __init__(self, registry: Registry) -> None:
        self.totals = GatewayStats()
        self._registry = registry
        self._meter = Meter(trio.current_time())

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take samples until cancelled."""
        task_status.started()
        while True:
            await self.sample()
            await trio.sleep(INTERVAL_S)

    async def sample(self) -> None:
        """Take one sample of all rooms."""
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
        self.totals = GatewayStats(len(actors), members, messages, deliveries, *rates)
