"""The supervisor: what is restarted, how soon, how often, and what is not (DESIGN 3). Time is a mock clock's."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from omnisonic.actors.runtime.supervisor import (
    LONGEST_BACKOFF_S,
    Backoff,
    ChildSpec,
    RestartWindow,
    TooManyRestarts,
    supervise,
)

bounded = settings(max_examples=200)
CRASH_TO_SERVICE_S = 0.1
"""SPEC 5.4."""


@dataclass
class Child:
    """A task that says `started`, works for a while, and ends as its script says: None is a normal end."""

    script: Sequence[Exception | None]
    works_s: float = 1.0
    starts_s: list[float] = field(default_factory=list)
    is_cancelled: bool = False

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        self.starts_s.append(trio.current_time())
        task_status.started()
        try:
            await trio.sleep(self.works_s)
        except trio.Cancelled:
            self.is_cancelled = True
            raise
        end = self.script[len(self.starts_s) - 1]
        if end is not None:
            raise end


@dataclass
class Reports:
    """Writes down the crashes that were reported."""

    seen: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, name: str, crash: BaseException, attempt: int) -> None:
        self.seen.append((name, repr(crash), attempt))


async def test_a_child_that_crashes_is_started_again(autojump_clock: MockClock) -> None:
    """Each crash is reported with its number; a child that returns is done."""
    child, reports = Child([ValueError("one"), ValueError("two"), None]), Reports()
    await supervise(ChildSpec("choir", child.run), reports)
    assert reports.seen == [("choir", "ValueError('one')", 1), ("choir", "ValueError('two')", 2)]
    assert len(child.starts_s) == 3


async def test_a_child_is_back_within_100_ms_of_every_crash(autojump_clock: MockClock) -> None:
    """Up to the restart limit."""
    child = Child([ValueError(str(number)) for number in range(3)] + [None])
    await supervise(ChildSpec("choir", child.run), Reports())
    pauses = [
        later - earlier - child.works_s for earlier, later in zip(child.starts_s, child.starts_s[1:], strict=False)
    ]
    assert len(pauses) == 3
    assert all(0 < pause <= CRASH_TO_SERVICE_S for pause in pauses)


async def test_one_crash_too_many_goes_up(autojump_clock: MockClock) -> None:
    """Three in five seconds are forgiven; the fourth is the cause of what the caller gets."""
    crashes = [ValueError(str(number)) for number in range(4)]
    child, reports = Child([*crashes]), Reports()
    with pytest.raises(TooManyRestarts, match=r"choir crashed more than 3 times in 5 s") as too_many:
        await supervise(ChildSpec("choir", child.run), reports)
    assert too_many.value.__cause__ is crashes[3]
    assert len(reports.seen) == 4


async def test_crashes_outside_the_window_do_not_add_up(autojump_clock: MockClock) -> None:
    """A child that crashes every two seconds is restarted for ever."""
    child = Child([ValueError()] * 10 + [None], works_s=2.0)
    await supervise(ChildSpec("choir", child.run), Reports())
    assert len(child.starts_s) == 11


async def test_a_child_that_does_not_start_is_not_restarted(autojump_clock: MockClock) -> None:
    """A crash before `started()` comes out of `nursery.start`: restarting cannot mend a port that is taken."""
    reports = Reports()
    starts = []

    async def run(_: trio.TaskStatus[None]) -> None:
        starts.append(1)
        raise OSError("in use")

    async with trio.open_nursery() as nursery:
        with pytest.raises(OSError, match="in use"):
            await nursery.start(supervise, ChildSpec("listener", run), reports)
    assert (len(starts), reports.seen) == (1, [])


async def test_a_child_that_has_started_once_may_fail_to_start_again(autojump_clock: MockClock) -> None:
    """That is a crash like any other: the port may be free in a moment."""
    starts = []

    async def run(task_status: trio.TaskStatus[None]) -> None:
        starts.append(1)
        if len(starts) == 2:
            raise OSError("in use")
        task_status.started()
        if len(starts) == 1:
            raise ValueError("first")

    reports = Reports()
    await supervise(ChildSpec("listener", run), reports)
    assert [attempt for _, _, attempt in reports.seen] == [1, 2]
    assert len(starts) == 3


async def test_cancellation_passes_through(autojump_clock: MockClock) -> None:
    """It is no crash: nothing is reported and nothing started again."""
    child, reports = Child([None], works_s=3600.0), Reports()
    with trio.move_on_after(10) as scope:
        await supervise(ChildSpec("choir", child.run), reports)
    assert scope.cancelled_caught
    assert child.is_cancelled
    assert (len(child.starts_s), reports.seen) == (1, [])


async def test_a_supervisor_that_waits_for_a_restart_can_be_cancelled(autojump_clock: MockClock) -> None:
    """A shutdown does not wait for a backoff."""
    child = Child([ValueError()], works_s=0.0)
    slow = Backoff(first_s=60.0, longest_s=60.0)
    with trio.move_on_after(1) as scope:
        await supervise(ChildSpec("choir", child.run, backoff=slow), Reports())
    assert scope.cancelled_caught
    assert len(child.starts_s) == 1


async def test_a_crash_does_not_touch_the_siblings(autojump_clock: MockClock) -> None:
    """One for one: the nursery they share goes on."""
    steady, fragile = Child([None], works_s=10.0), Child([ValueError(), ValueError(), None])
    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, ChildSpec("steady", steady.run), Reports())
        await nursery.start(supervise, ChildSpec("fragile", fragile.run), Reports())
    assert len(steady.starts_s) == 1
    assert len(fragile.starts_s) == 3


async def test_a_group_of_exceptions_is_one_crash(autojump_clock: MockClock) -> None:
    """A child with a nursery of its own raises groups."""
    starts = []

    async def run(task_status: trio.TaskStatus[None]) -> None:
        starts.append(1)
        task_status.started()
        if len(starts) == 1:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_raise)

    reports = Reports()
    await supervise(ChildSpec("choir", run), reports)
    assert len(reports.seen) == 1
    assert len(starts) == 2


async def _raise() -> None:
    raise ValueError("inside")


async def test_start_returns_once_the_child_is_in_service(autojump_clock: MockClock) -> None:
    """Not before, and whatever happens to the child later."""
    gate = trio.Event()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await gate.wait()
        task_status.started()

    async with trio.open_nursery() as nursery:
        started = trio.Event()

        async def start() -> None:
            await nursery.start(supervise, ChildSpec("choir", run), Reports())
            started.set()

        nursery.start_soon(start)
        await wait_all_tasks_blocked()
        assert not started.is_set()
        gate.set()
        await started.wait()


@bounded
@given(st.lists(st.floats(0.0, 3.0), max_size=30))
def test_the_window_forgives_three_in_any_five_seconds(gaps_s: list[float]) -> None:
    """As counted by looking at all crashes that there ever were."""
    window = RestartWindow(max_restarts=3, within_s=5.0)
    crashes_s: list[float] = []
    now_s = 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        crashes_s.append(now_s)
        recent = [crash_s for crash_s in crashes_s if crash_s > now_s - 5.0]
        assert window.record_crash(now_s) == (len(recent) <= 3)
        assert len(window) == len(recent)


@bounded
@given(st.integers(1, 10_000), st.floats(0.0, 1.0))
def test_a_backoff_grows_and_stays_under_its_bound(attempt: int, luck: float) -> None:
    """Doubling from 10 ms, never over 80 ms, at least half of it; so a room is back within 100 ms."""
    delay_s = Backoff(jitter=lambda: luck).delay_s(attempt)
    step_s = min(0.01 * 2 ** min(attempt - 1, 10), LONGEST_BACKOFF_S)
    assert step_s / 2 <= delay_s <= step_s < CRASH_TO_SERVICE_S


def test_backoffs_differ_by_jitter() -> None:
    """Children that crashed together do not come back together."""
    backoff = Backoff()
    assert len({backoff.delay_s(3) for _ in range(10)}) > 1
