"""The guard in this process, for a gateway alone, for embedding and for tests.

No method ever suspends, so it works under trio, asyncio or neither; one thread at a time may use it. Overload: it is as
large as what was used and tried within the times given; a later call removes the rest. Crash and shutdown: all is
forgotten, so after a restart a ticket that has not expired works a second time; where that matters, use Valkey.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from omnisonic.stores.guard import UNDER_WAY, Allowance, Guard

SWEEP_EVERY_S: Final = 60.0
"""How long expired entries may stay in memory while new ones come."""
MOST_ALLOWANCES: Final = 20_000
"""Most names with an allowance of their own."""
EVERYBODY_ELSE: Final = "\0"
_ROUNDING_S: Final = 1e-6

_Name: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class _Slots:
    """When each counted try began, by its slot, oldest first; until when some are under way; when all expire."""

    begun_s: dict[str, float] = field(default_factory=dict)
    under_way_until_s: dict[str, float] = field(default_factory=dict)
    end_s: float = 0.0


class MemoryGuard:
    """A `Guard` of dictionaries. `clock` returns monotonic seconds. Never raises `Unavailable`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used_until_s: dict[_Name, float] = {}
        self._slots: dict[_Name, _Slots] = {}
        self._full_at_s: dict[_Name, float] = {}
        self._swept_at_s = clock()

    async def first_use(self, kind: str, name: str, *, ttl_s: float) -> bool:
        now_s = self._sweep()
        if self._used_until_s.get((kind, name), now_s) > now_s:
            return False
        self._used_until_s[kind, name] = now_s + ttl_s
        return True

    async def reserve(self, kind: str, name: str, slot: str, *, limit: int, window_s: float, longest_s: float) -> float:
        now_s = self._sweep()
        slots = self._slots.setdefault((kind, name), _Slots())
        slots.begun_s = {each: at_s for each, at_s in slots.begun_s.items() if at_s > now_s - window_s}
        slots.under_way_until_s = {each: end_s for each, end_s in slots.under_way_until_s.items() if end_s > now_s}
        if len(slots.begun_s) < limit:
            slots.begun_s[slot], slots.under_way_until_s[slot] = now_s, now_s + longest_s
            slots.end_s = now_s + window_s
            return 0.0
        if slots.under_way_until_s:
            return UNDER_WAY
        return list(slots.begun_s.values())[-limit] + window_s - now_s if limit > 0 else window_s

    async def resolve(self, kind: str, name: str, slot: str, *, counts: bool) -> None:
        slots = self._slots.get((kind, name))
        if slots is not None:
            slots.under_way_until_s.pop(slot, None)
            if not counts:
                slots.begun_s.pop(slot, None)

    async def spend(self, allowances: Sequence[Allowance]) -> float:
        # GCRA (ITU-T I.371): the only state is when an allowance would be full again.
        now_s = self._sweep()
        after: dict[_Name, float] = {}
        wait_s = 0.0
        for each in allowances:
            name, interval_s = self._name_of(each), 1 / each.rate_per_s
            after[name] = max(self._full_at_s.get(name, now_s), now_s) + interval_s
            wait_s = max(wait_s, after[name] - each.burst * interval_s - now_s)
        if wait_s > _ROUNDING_S:
            return wait_s
        self._full_at_s |= after
        return 0.0

    def _name_of(self, allowance: Allowance) -> _Name:
        """The key of an allowance. When there are too many names, new ones of a kind share one."""
        name = allowance.kind, allowance.name
        if name in self._full_at_s or len(self._full_at_s) < MOST_ALLOWANCES:
            return name
        return allowance.kind, EVERYBODY_ELSE

    async def aclose(self) -> None:
        pass

    def _sweep(self) -> float:
        """Remove expired entries, if the last sweep was long ago. Returns the time."""
        now_s = self._clock()
        if now_s - self._swept_at_s >= SWEEP_EVERY_S:
            self._swept_at_s = now_s
            self._used_until_s = {name: until_s for name, until_s in self._used_until_s.items() if until_s > now_s}
            self._full_at_s = {name: at_s for name, at_s in self._full_at_s.items() if at_s > now_s}
            self._slots = {name: slots for name, slots in self._slots.items() if slots.end_s > now_s}
        return now_s


_fits: type[Guard] = MemoryGuard
