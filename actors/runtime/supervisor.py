"""Supervisors: children that crash are restarted, until they crash too often (Erlang/OTP's one-for-one).

A trio nursery is all-for-one: one child's exception ends its siblings. So every child runs in a wrapper of its own.
Only a child that crashed too often raises out of it, into the nursery of the next supervisor above.

Overload: does not apply; a supervisor carries no traffic. Crash: the purpose of this module. Shutdown: cancellation
passes through and ends every child.
"""

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

MAX_RESTARTS: Final = 3
WITHIN_S: Final = 5.0
FIRST_BACKOFF_S: Final = 0.01
LONGEST_BACKOFF_S: Final = 0.08
"""A crashed room is back within 100 ms (SPEC 5.4), so the longest pause stays under that."""


ENDED_RUNS: Final = 8
"""How many ended runs are remembered."""


@dataclass(frozen=True, slots=True)
class EndedRun:
    """Why and when (milliseconds since 1970) a run of an actor ended."""

    at_ms: int
    reason: str


class TooManyRestarts(Exception):
    """A child crashed more often than its intensity allows. The last crash is the cause."""


class RestartWindow:
    """Counts crashes in a sliding window: `max_restarts` within `within_s` seconds are allowed, one more is not."""

    def __init__(self, max_restarts: int = MAX_RESTARTS, within_s: float = WITHIN_S) -> None:
        self._max_restarts = max_restarts
        self._within_s = within_s
        self._crashes: deque[float] = deque()

    def record_crash(self, now_s: float) -> bool:
        """Record a crash at `now_s` (monotonic seconds). False when it was one too many."""
        self._crashes.append(now_s)
        while self._crashes[0] <= now_s - self._within_s:
            self._crashes.popleft()
        return len(self._crashes) <= self._max_restarts

    def __len__(self) -> int:
        """How many crashes the window holds: the attempt number for a backoff."""
        return len(self._crashes)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before restart number `n`: doubling, bounded, with full jitter over its upper half."""

    first_s: float = FIRST_BACKOFF_S
    longest_s: float = LONGEST_BACKOFF_S
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def delay_s(self, attempt: int) -> float:
        """Seconds before attempt `attempt` (1 is the first restart)."""
        step = min(self.first_s * 2.0 ** min(attempt - 1, 32), self.longest_s)
        return step * (0.5 + self.jitter() / 2)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, and how many crashes to allow.

    `run` takes trio's `task_status` and calls `started()` once it is in service. Returning is a normal end: a child
    that returns is not restarted.
    """

    name: str
    run: Callable[[trio.TaskStatus[None]], Awaitable[None]]
    max_restarts: int = MAX_RESTARTS
    within_s: float = WITHIN_S
    backoff: Backoff = Backoff()


class ChildRecord:
    """The state of one child, kept by `supervise`: `starting`, `running`, `restarting`, `ended` or `failed`."""

    def __init__(self, name: str, now_ms: Callable[[], int]) -> None:
        self.name = name
        self.state = "starting"
        self.since_s = trio.current_time()
        self.restarts = 0
        self.ended_runs: deque[EndedRun] = deque(maxlen=ENDED_RUNS)
        self._now_ms = now_ms

    def record_start(self) -> None:
        """A run begins."""
        self.state = "running"
        self.since_s = trio.current_time()

    def record_crash(self, crash: BaseException, *, allowed: bool) -> None:
        """A run has crashed; another one begins when `allowed`."""
        self.state = "restarting" if allowed else "failed"
        self.restarts += allowed
        self.ended_runs.append(EndedRun(self._now_ms(), repr(crash)))


class CrashReport(Protocol):
    """Called for each crash before the restart: the child's name, what it raised, and the number of the restart."""

    def __call__(self, name: str, crash: BaseException, attempt: int) -> None: ...


@trio.lowlevel.enable_ki_protection
async def supervise(
    child: ChildSpec,
    report: CrashReport,
    record: ChildRecord | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run `child` until it returns, restarting it when it raises. Start it with `nursery.start`.

    Args:
        child: What to run.
        report: Called for each crash.
        record: Gets the state of the child.
        task_status: Trio's; started once the child is in service.

    Raises:
        TooManyRestarts: It raised more than `max_restarts` times within `within_s`.
        Exception: Whatever it raised before `started()`: a failed start is not repeated.
    """
    window = RestartWindow(child.max_restarts, child.within_s)
    in_service = _FirstStart(task_status)
    record = record or ChildRecord(child.name, lambda: time.time_ns() // 1_000_000)
    while True:
        try:
            record.record_start()
            await child.run(in_service)
        except Exception as crash:
            if not in_service.seen:
                raise
            allowed = window.record_crash(trio.current_time())
            record.record_crash(crash, allowed=allowed)
            report(child.name, crash, len(window))
            if not allowed:
                raise TooManyRestarts(
                    f"{child.name} crashed more than {child.max_restarts} times in {child.within_s:g} s"
                ) from crash
            await trio.sleep(child.backoff.delay_s(len(window)))
        else:
            record.state = "ended"
            return


class _FirstStart(trio.TaskStatus[None]):
    """Passes on the first `started()` only: a restarted child calls it again, and trio accepts it once."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self.seen = False
        self._task_status = task_status

    def started(self, value: None = None) -> None:
        if not self.seen:
            self.seen = True
            self._task_status.started(value)
