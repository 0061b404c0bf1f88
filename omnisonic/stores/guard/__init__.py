"""The guard: nonces and rate limits, shared by all processes.

Tickets and OAuth states are nonces: each works once. Bad passwords and requests are counted. Adapters:
`omnisonic.stores.guard.memory` (this process) and `omnisonic.stores.guard.valkey` (shared). The one in memory never
suspends and works under trio and asyncio; the other is asyncio code, and `omnisonic.stores.guard.threaded` brings it to
a trio program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

UNDER_WAY: Final = -1.0
"""What `reserve` returns when tries that are under way use up the limit: some of them may not count in the end."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rate limit: `rate_per_s` of a `kind` for one `name`, and `burst` at once after a pause."""

    kind: str
    name: str
    rate_per_s: float
    burst: int


class Guard(Protocol):
    """Nonces and rate limits, by `kind` and `name`.

    Raises:
        Unavailable: Every method, when the store does not answer. Callers then let nobody pass.
    """

    async def first_use(self, kind: str, name: str, *, ttl_s: float) -> bool:
        """Use this `name` of this `kind`. False when it was used within `ttl_s` before."""
        ...

    async def reserve(self, kind: str, name: str, slot: str, *, limit: int, window_s: float, longest_s: float) -> float:
        """Count one more try, which is under way until `resolve`, at most `longest_s`.

        `slot` is the caller's name for this try, never used before.

        Returns:
            0 when it is within `limit` tries in any `window_s` seconds. Otherwise it is not counted: `UNDER_WAY`, or
            the seconds until the next try would be within the limit.
        """
        ...

    async def resolve(self, kind: str, name: str, slot: str, *, counts: bool) -> None:
        """End the try. It stays counted, or is uncounted."""
        ...

    async def spend(self, allowances: Sequence[Allowance]) -> float:
        """Take one from each allowance.

        Returns:
            0 when each had one left. Otherwise the seconds until each has, and nothing is taken.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...
