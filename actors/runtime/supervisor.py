"""Supervisors: children that crash are started again, until they crash too often (Erlang/OTP's one-for-one).

A trio nursery is all-for-one: one child's exception ends its siblings. So every child runs in a wrapper of its own,
and only a child that is past saving raises out of it, into the nursery of its supervisor's supervisor.

Overload: not applicable, a supervisor carries no traffic. Crash: that is what it is for. Shutdown: cancellation passes
through untouched and ends every child.
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
"""Earlier lives whose ends are remembered."""


@dataclass(frozen=True, slots=True)
class EndedRun:
    """Why and when (milliseconds since 1970) an actor's life ended."""

    at_ms: int
    reason: str


class TooManyRestarts(Exception):
    """A child crashed more often than its intensity allows. The last crash is the cause."""


class RestartWindow:
    """Counts crashes in a sliding window: `max_restarts` within `within_s` seconds are forgiven, one more is not."""

    def __init__(self, max_restarts: int = MAX_RESTARTS, within_s: float = WITHIN_S) -> None:
        self._max_restarts = max_restarts
        self._within_s = within_s
        self._crashes: deque[float] = deque()

    def record_crash(self, now_s: float) -> bool:
        """Note a crash at `now_s` (monotonic seconds). False when it was one too many."""
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
    """What to run and how much crashing to forgive it.

    `run` takes trio's `task_status` and calls `started()` once it is in service. Returning is a normal end: a child
    that returns is not started again.
    """

    name: str
    run: Callable[[trio.TaskStatus[None]], Awaitable[None]]
    max_restarts: int = MAX_RESTARTS
    within_s: float = WITHIN_S
    backoff: Backoff = Backoff()


class ChildRecord:
    """What became of one child, kept by `supervise`: `starting`, `running`, `restarting`, `ended` or `failed`."""

    def __init__(self, name: str, now_ms: Callable[[], int]) -> None:
        self.name = name
        self.state = "starting"
        self.since_s = trio.current_time()
        self.restarts = 0
        self.ended_runs: deque[EndedRun] = deque(maxlen=ENDED_RUNS)
        self._now_ms = now_ms

    def record_start(self) -> None:
        """A life begins."""
        self.state = "running"
        self.since_s = trio.current_time()

    def record_crash(self, crash: BaseException, *, allowed: bool) -> None:
        """A life has ended by a crash; another one begins if it is allowed to."""
        self.state = "restarting" if allowed else "failed"
        self.restarts += allowed
        self.ended_runs.append(EndedRun(self._now_ms(), repr(crash)))


class CrashReport(Protocol):
    """Is told of each crash before the restart: the child's name, what it raised, and the attempt that follows."""

    def __call__(self, name: str, crash: BaseException, attempt: int) -> None: ...


async def supervise(
    child: ChildSpec,
    report: CrashReport,
    record: ChildRecord | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run `child` until it returns, restarting it when it raises. Start it with `nursery.start`.

    What becomes of it is written into `record`, for whoever wants to know.

    Errors: a crash before `started()` is a failed start and is raised at once, for restarting cannot mend it. Once it
    has raised more than `max_restarts` times within `within_s`, `TooManyRestarts` is raised to the caller, whose own
    supervisor decides. Cancellation passes through.
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
    """Passes on the first `started()` only: a restarted child calls it again, and trio takes it once."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self.seen = False
        self._task_status = task_status

    def started(self, value: None = None) -> None:
        if not self.seen:
            self.seen = True
            self._task_status.started(value)
