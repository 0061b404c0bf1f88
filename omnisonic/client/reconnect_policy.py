"""When to come back after a connection has ended (SPEC 5.3). Pure; times are seconds."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from omnisonic.client.errors import Closed
from omnisonic.wire.closing import CLOSE_TABLE, CloseCode

FIRST_S: Final = 0.5
LONGEST_S: Final = 15.0
SETTLED_S: Final = 5.0
"""A connection that lasted this long was a good one: the next failure is the first again."""
LONGEST_ADVICE_S: Final = 60.0
"""A server may ask for more patience than this, and does not get it."""
LOST: Final = 1006


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended: the code of its close frame, or 1006, and the reason that came with it."""

    code: int
    reason: str = ""

    def final(self) -> Closed | None:
        """The error to end with, when one must not come back by oneself."""
        row = CLOSE_TABLE.get(CloseCode(self.code)) if self.code in CLOSE_TABLE else None
        if row is None or row.reconnect:
            return None
        told = f" The server says: {self.reason}." if self.reason and self.reason != row.word else ""
        return Closed(row.word, row.meaning + told, close_code=self.code, reason=self.reason)


class _Advice(msgspec.Struct):
    reconnectMs: float  # noqa: N815 - as the server writes it


class ReconnectPolicy:
    """The waits of one member. `jitter` gives numbers from 0 to 1."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._next_s = FIRST_S

    def settled(self) -> None:
        """The last connection was a good one."""
        self._next_s = FIRST_S

    def after(self, ending: Ending) -> float:
        """How long to wait after this ending. A server that stops says it itself."""
        if ending.code == CloseCode.GOING_AWAY:
            try:
                advice = msgspec.json.decode(ending.reason, type=_Advice)
            except ValueError:
                return self.after_failure()
            return min(max(advice.reconnectMs / 1000, 0.0), LONGEST_ADVICE_S)
        return self.after_failure()

    def after_failure(self, at_least_s: float = 0.0) -> float:
        """How long to wait now: twice as long each time, less a random part of up to half of it."""
        step_s = self._next_s
        self._next_s = min(2 * step_s, LONGEST_S)
        return max(step_s * (1 - self._jitter() / 2), min(at_least_s, LONGEST_ADVICE_S))
