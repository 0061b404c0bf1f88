"""The guard: what must not happen twice, and what must not happen too often, however many processes there are.

Tickets and OAuth states are good once; bad passwords and requests are counted. Adapters:
`omnisonic.stores.guard.memory` (this process) and `omnisonic.stores.guard.valkey` (shared by all). The one in memory
never suspends and so works anywhere; the other is asyncio code, and `omnisonic.stores.guard.threaded` brings it to a
trio program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

UNDER_WAY: Final = -1.0
"""What `reserve` answers when only tries that are still under way stand in the way: some of them may be given back."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many of a `kind` a second for one `name`, `burst` at once after a rest."""

    kind: str
    name: str
    rate_per_s: float
    burst: int


class Guard(Protocol):
    """Errors: every method may raise `Unavailable`; who asks then lets nobody pass."""

    async def first_use(self, kind: str, name: str, *, ttl_s: float) -> bool:
        """Whether this `name` of this `kind` is used for the first time within `ttl_s`. Asking is using."""
        ...

    async def take(self, kind: str, name: str, *, limit: int, window_s: float) -> float:
        """Count one more try. 0 when it is within `limit` tries in any `window_s` seconds (and is counted), else the
        seconds until the next one would be (and nothing is counted).
        """
        ...

    async def give_back(self, kind: str, name: str) -> None:
        """Uncount the latest counted try: it was no bad one."""
        ...

    async def reserve(self, kind: str, name: str, slot: str, *, limit: int, window_s: float, longest_s: float) -> float:
        """Count one more try that begins now and is under way until it is settled, `longest_s` at most. 0 when it is
        within `limit` tries in any `window_s` seconds; `UNDER_WAY`, or else the seconds until the next one would be,
        when it is not, and nothing is counted. `slot` is a name of the caller's for this try, never used before.
        """
        ...

    async def settle(self, kind: str, name: str, slot: str, *, counts: bool) -> None:
        """The try is over. It goes on counting, or it is as if it had never been."""
        ...

    async def spend(self, allowances: Sequence[Allowance]) -> float:
        """Take one from each. 0 when each had one left, else the seconds until each has, and nothing is taken."""
        ...

    async def aclose(self) -> None:
        """Let go of the connections. Safe to call twice."""
        ...
