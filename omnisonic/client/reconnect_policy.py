"""When to reconnect after a connection has ended (SPEC 5.3). Pure; times are seconds."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from omnisonic.client.errors import Closed
from omnisonic.wire.closing import CLOSE_TABLE, CloseCode

FIRST_S: Final = 0.5
LONGEST_S: Final = 15.0
STABLE_S: Final = 5.0
"""After a connection that lasted this long the delays start again at `FIRST_S`."""
LONGEST_ADVICE_S: Final = 60.0
"""The longest delay that a server may ask for; a longer one is cut to this."""
LOST: Final = 1006


@dataclass(frozen=True, slots=True)
class Disconnect:
    """How a connection ended: the code of its close frame, or 1006 without one, and the reason that came with it."""

    code: int
    reason: str = ""

    def final_error(self) -> Closed | None:
        """The error that ends the membership. None when the client may reconnect."""
        row = CLOSE_TABLE.get(CloseCode(self.code)) if self.code in CLOSE_TABLE else None
        if row is None or row.reconnect:
            return None
        detail = f" The server says: {self.reason}." if self.reason and self.reason != row.word else ""
        return Closed(row.word, row.meaning + detail, close_code=self.code, reason=self.reason)


class _Advice(msgspec.Struct):
    reconnectMs: float  # noqa: N815 - as the server writes it


class ReconnectPolicy:
    """The delays before the reconnections of one member. `jitter` returns numbers from 0 to 1."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._next_s = FIRST_S

    def reset(self) -> None:
        """Start again at the shortest delay, after a connection that lasted."""
        self._next_s = FIRST_S

    def delay_after(self, disconnect: Disconnect) -> float:
        """How long to wait after this disconnect. With 1001 the server may name the delay itself."""
        if disconnect.code == CloseCode.GOING_AWAY:
            try:
                advice = msgspec.json.decode(disconnect.reason, type=_Advice)
            except ValueError:
                return self.next_delay()
            return min(max(advice.reconnectMs / 1000, 0.0), LONGEST_ADVICE_S)
        return self.next_delay()

    def next_delay(self, at_least_s: float = 0.0) -> float:
        """How long to wait now: twice as long each time, less a random part of up to half of it."""
        step_s = self._next_s
        self._next_s = min(2 * step_s, LONGEST_S)
        return max(step_s * (1 - self._jitter() / 2), min(at_least_s, LONGEST_ADVICE_S))
