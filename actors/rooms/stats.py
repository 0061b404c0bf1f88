"""Statistics of a room: what it has done lately, and how its earlier incarnations ended (SPEC 1).

The actor adds to them in its turn, at the cost of reading a clock. Rates come from marks that the stats sampler sets
once a second (`omnisonic.actors.inspection.stats_sampler`). They survive crashes and end with the actor. Their size is
bounded.
"""

from array import array
from collections import deque
from typing import Final, TypeAlias

from omnisonic.actors.runtime.supervisor import ENDED_RUNS, EndedRun

TURNS: Final = 128
"""Turns whose duration is kept, four bytes each. Every turn is timed until there are so many, then one in eight."""
UNTIMED: Final = 7
"""The bits of a turn's number that are all zero when it is timed."""
MARKS: Final = 11
"""One a second, so that they span 10 s."""
STALL_S: Final = 0.25
"""A turn that takes this long is a stall."""
OPERATOR_RESTART: Final = "an operator asked for it"
"""The reason of a restart that an operator asked for."""
_STALL_NS: Final = int(STALL_S * 1e9)

_Mark: TypeAlias = tuple[float, int, int]


class Meter:
    """Computes the rates of two totals that only rise. Keeps no marks while they do not change."""

    __slots__ = ("_deliveries", "_marks", "_messages", "_seen_s")

    def __init__(self, now_s: float) -> None:
        self._marks: deque[_Mark] | None = None
        self._seen_s = now_s
        self._messages = 0
        self._deliveries = 0

    def mark(self, now_s: float, messages: int, deliveries: int) -> None:
        """Note both totals; about once a second."""
        if messages != self._messages:
            if self._marks is None:
                self._marks = deque([(self._seen_s, self._messages, self._deliveries)], MARKS)
            self._messages, self._deliveries = messages, deliveries
        if self._marks is not None:
            self._marks.append((now_s, messages, deliveries))
            if self._marks[0][1] == messages:
                self._marks = None
        self._seen_s = now_s

    def per_s(self, now_s: float, messages: int, deliveries: int) -> tuple[float, float]:
        """How much the totals rise in a second, over about the last 10 s."""
        then_s, then_messages, then_deliveries = (
            self._marks[0] if self._marks else (self._seen_s, self._messages, self._deliveries)
        )
        passed_s = max(now_s - then_s, 1.0)
        return (messages - then_messages) / passed_s, (deliveries - then_deliveries) / passed_s


class RoomStats:
    """Statistics of one room. Its actor counts `turns`; `born_s` is on the loop's clock.

    `last_stall` is when the last stall ended (milliseconds since 1970) and how long it took (seconds).
    """

    __slots__ = ("_timed", "_took_ns", "born_s", "dead_letters", "ended_runs", "last_stall", "meter", "turns")

    def __init__(self, born_s: float) -> None:
        self.born_s = born_s
        self.turns = 0
        self.dead_letters = 0
        self.last_stall: tuple[int, float] | None = None
        self.ended_runs: deque[EndedRun] = deque(maxlen=ENDED_RUNS)
        self.meter = Meter(born_s)
        self._timed = 0
        self._took_ns = array("f", bytes(4 * TURNS))

    def record_turn(self, took_ns: int, now_ms: int) -> None:
        """Record the duration of a turn."""
        self._took_ns[self._timed % TURNS] = took_ns
        self._timed += 1
        if took_ns > _STALL_NS:
            self.record_stall(took_ns / 1e9, now_ms)

    def record_stall(self, lasted_s: float, now_ms: int) -> None:
        """Record a stall that ended now. Of two reports of the same stall the first one counts."""
        if self.last_stall is None or self.last_stall[0] < now_ms - lasted_s * 1000:
            self.last_stall = now_ms, lasted_s

    def record_end(self, reason: str, now_ms: int) -> None:
        """Record why an incarnation ended."""
        self.ended_runs.append(EndedRun(now_ms, reason))

    def handler_ms(self) -> tuple[float, float]:
        """The median and the 99th percentile of how long the last turns took, in milliseconds."""
        count = min(self._timed, TURNS)
        if not count:
            return 0.0, 0.0
        took_ns = sorted(self._took_ns[:count])
        return took_ns[(count - 1) // 2] / 1e6, took_ns[(count - 1) * 99 // 100] / 1e6
