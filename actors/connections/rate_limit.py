"""The rate at which one connection may send: a generic cell rate algorithm (ITU-T I.371, leaky bucket as a meter).

One number a connection: when its bucket will be empty. No timer, no refill, exact.
"""

from dataclasses import dataclass
from typing import Final

COST_BYTES: Final = 4096
"""A message costs one, and one more for each of these: a long message is more work for everyone."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`interval_s` is what one message costs, in seconds; `burst_s` how far ahead a sender may run. 0 is no limit."""

    interval_s: float
    burst_s: float

    @classmethod
    def of(cls, per_s: float, burst: int) -> "RateLimit":
        """`per_s` messages a second, `burst` of them at once; no limit when `per_s` is 0."""
        return cls(0.0, 0.0) if per_s == 0 else cls(1 / per_s, burst / per_s)
