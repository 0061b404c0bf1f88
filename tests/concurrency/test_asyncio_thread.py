"""The asyncio loop beside a trio program (`omnisonic.concurrency.asyncio_thread`)."""

import asyncio
import gc
import math
import threading
import time
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from omnisonic.concurrency.asyncio_thread import STOP_TIMEOUT_S, AsyncioThread, open_asyncio_thread
from omnisonic.errors import Unavailable
from tests.stores.conftest import DEADLINE_S

PROMPT_S = 1.0
SHORT_S = 0.02


class Watched:
    """A coroutine function that runs until it is cancelled, and lets trio see both."""

    def __init__(self, thread: AsyncioThread) -> None:
        self.began = trio.Event()
        self.cancelled = trio.Event()
        self._thread = thread

    async def __call__(self) -> None:
        self._thread.tell_trio(self.began.set)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._thread.tell_trio(self.cancelled.set)
            raise


async def double(number: int, *, plus: int = 0) -> int:
    return 2 * number + plus


async def fail(words: str) -> None:
    raise LookupError(words)


async def test_a_call_returns_what_the_coroutine_returns(thread: AsyncioThread) -> None:
    """Arguments go over, the result comes back, and the coroutine runs in the other thread."""

    async def where() -> str:
        assert asyncio.get_running_loop().is_running()
        return threading.current_thread().name

    with trio.fail_after(DEADLINE_S):
        assert await thread.call(double, 20, plus=2, timeout_s=DEADLINE_S) == 42
        assert await thread.call(where, timeout_s=math.inf) != threading.current_thread().name


async def test_a_call_raises_what_the_coroutine_raises(thread: AsyncioThread) -> None:
    """The exception itself, with its words; one raised before there is a coroutine too."""
    with trio.fail_after(DEADLINE_S):
        with pytest.raises(LookupError, match="not here"):
            await thread.call(fail, "not here", timeout_s=DEADLINE_S)
        with pytest.raises(TypeError):
            await thread.call(double, timeout_s=DEADLINE_S)
        assert await thread.call(double, 1, timeout_s=DEADLINE_S) == 2


async def test_many_calls_run_at_once(thread: AsyncioThread) -> None:
    """Calls do not wait for one another: here, each needs the others to come to its end."""
    barrier = asyncio.Barrier(50)
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(lambda: thread.call(barrier.wait, timeout_s=DEADLINE_S))


async def test_a_call_past_its_deadline_is_unavailable_and_cancelled_over_there(thread: AsyncioThread) -> None:
    """The caller is told within the deadline, and nothing of the call goes on."""
    watched = Watched(thread)
    with trio.fail_after(DEADLINE_S):
        with pytest.raises(Unavailable, match=r"within 0\.02 s"):
            await thread.call(watched, timeout_s=SHORT_S)
        await watched.cancelled.wait()


async def test_cancelling_the_caller_cancels_the_call_over_there(thread: AsyncioThread) -> None:
    """Trio's cancellation crosses into asyncio."""
    watched = Watched(thread)
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: thread.call(watched, timeout_s=math.inf))
            await watched.began.wait()
            nursery.cancel_scope.cancel()
        await watched.cancelled.wait()


@pytest.mark.timing
async def test_a_caller_never_waits_for_a_coroutine_that_will_not_end() -> None:
    """One that ignores its cancellation holds up neither the caller nor, for long, the end of the thread."""
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                asyncio.get_running_loop().call_later(SHORT_S, let_go.set)

    with trio.fail_after(DEADLINE_S):
        began_s = time.monotonic()
        async with open_asyncio_thread() as thread:
            with pytest.raises(Unavailable):
                await thread.call(stubborn, timeout_s=SHORT_S)
        assert time.monotonic() - began_s < STOP_TIMEOUT_S


async def test_a_call_that_fails_after_it_was_given_up_complains_to_nobody(
    thread: AsyncioThread, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises while being cancelled is nobody's business: no 'Task exception was never retrieved'."""
    failed = trio.Event()

    async def fail_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            thread.tell_trio(failed.set)
            raise LookupError("too late")

    with trio.fail_after(DEADLINE_S):
        with pytest.raises(Unavailable):
            await thread.call(fail_late, timeout_s=SHORT_S)
        await failed.wait()
        await thread.call(double, 1, timeout_s=DEADLINE_S)
    gc.collect()
    assert caplog.records == []


async def test_a_spawned_task_runs_until_the_thread_ends() -> None:
    """It tells trio what it has, and is cancelled with the block."""
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_thread() as thread:
            watched = Watched(thread)
            thread.spawn(watched)
            await watched.began.wait()
            assert not watched.cancelled.is_set()
        await watched.cancelled.wait()


async def test_a_spawned_task_that_crashes_is_logged(thread: AsyncioThread, caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is in the log, and the thread goes on."""
    with trio.fail_after(DEADLINE_S):
        thread.spawn(fail, "spawned")
        assert await thread.call(double, 1, timeout_s=DEADLINE_S) == 2
        while not caplog.records:
            await trio.lowlevel.checkpoint()
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "spawned"


async def test_the_thread_is_gone_after_the_block() -> None:
    """Also when the block raises: no thread is left."""
    before = threading.active_count()
    with trio.fail_after(DEADLINE_S):
        with suppress(LookupError):
            async with open_asyncio_thread() as thread:
                thread.spawn(Watched(thread))
                assert threading.active_count() == before + 1
                raise LookupError
        assert threading.active_count() == before


async def test_a_call_after_the_block_is_refused_in_words() -> None:
    """It is not left waiting for a thread that is gone."""
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_thread() as thread:
            assert await thread.call(double, 1, timeout_s=DEADLINE_S) == 2
        with pytest.raises(Unavailable, match="has stopped"):
            await thread.call(double, 1, timeout_s=DEADLINE_S)


async def test_a_call_that_runs_when_the_thread_ends_is_told_so() -> None:
    """A caller outside the block is not left waiting."""
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery, open_asyncio_thread() as thread:
            watched = Watched(thread)

            async def call() -> None:
                with pytest.raises(Unavailable, match="cancelled"):
                    await thread.call(watched, timeout_s=math.inf)

            nursery.start_soon(call)
            await watched.began.wait()


@pytest.mark.timing
async def test_leaving_a_cancelled_block_still_ends_the_thread() -> None:
    """Cancellation around the block does not leave the thread behind."""
    before = threading.active_count()
    began_s = time.monotonic()
    with trio.move_on_after(SHORT_S):
        async with open_asyncio_thread() as thread:
            await thread.call(Watched(thread), timeout_s=math.inf)
    assert threading.active_count() == before
    assert time.monotonic() - began_s < PROMPT_S


async def test_a_blocked_loop_holds_up_the_end_only_so_long(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Something over there that never awaits: the block ends all the same, and the log says why."""
    let_go = threading.Event()

    async def block() -> None:
        let_go.wait()

    before = set(threading.enumerate())
    async with open_asyncio_thread() as thread:
        thread.spawn(block)
    (record,) = caplog.records
    assert "blocked" in record.message
    let_go.set()
    for left in set(threading.enumerate()) - before:
        left.join(DEADLINE_S)
        assert not left.is_alive()
