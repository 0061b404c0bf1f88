"""An asyncio loop in a thread, for the asyncio libraries that a trio program needs.

The block of `open_asyncio_thread` owns the thread. When a trio task is cancelled or its deadline passes, its coroutine
is cancelled, and the task goes on at once without waiting for the coroutine to end.

Overload: all calls run at once; callers limit how many. Crash: the exception of a coroutine is raised in its caller,
that of a spawned task is logged. Shutdown: tasks are cancelled, those that do not end within `STOP_TIMEOUT_S` are
abandoned, and the thread is joined.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Generic, TypeVar

import trio

from omnisonic.errors import Unavailable

STOP_TIMEOUT_S: Final = 2.0
"""How long cancelled tasks may take to end."""
JOIN_TIMEOUT_S: Final = 3.0
"""Longer than `STOP_TIMEOUT_S`. Only a blocked loop takes longer than this."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_asyncio_thread() -> "AsyncIterator[AsyncioThread]":
    """Run an asyncio loop beside this trio program until the block ends."""
    thread = AsyncioThread(trio.lowlevel.current_trio_token())
    thread.start()
    try:
        yield thread
    finally:
        with trio.CancelScope(shield=True):
            await thread.stop()


class AsyncioThread:
    """An asyncio loop in its own thread. Created by `open_asyncio_thread`."""

    def __init__(self, trio_token: trio.lowlevel.TrioToken) -> None:
        self._trio_token = trio_token
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._stopped = trio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="asyncio")

    async def call(self, function: Callable[..., Awaitable[T]], *args: Any, timeout_s: float, **kwargs: Any) -> T:
        """Await `function(*args, **kwargs)` in the thread. Returns or raises what it does.

        `timeout_s=math.inf` means no deadline. Raises `Unavailable` after `timeout_s`, and when the call was cancelled
        in the thread, as all are when it stops.
        """
        call = _Call(lambda: function(*args, **kwargs))

        def end(task: asyncio.Task[T]) -> None:
            _exception_of(task)  # retrieves the exception, so that asyncio does not warn when nobody waits any more
            self.tell_trio(call.ended.set)

        self._start_call(call, end)
        try:
            with trio.move_on_after(timeout_s):
                await call.ended.wait()
                return call.result()
        finally:
            if not call.ended.is_set():
                self._in_loop(call.cancel)
        raise Unavailable(f"There was no answer within {timeout_s:g} s.")

    def spawn(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Run `function(*args)` in the thread until it returns or the thread stops. What it raises is logged.

        To handle a crash, use `call` with `timeout_s=math.inf` in a supervised trio task instead.
        """

        def end(task: asyncio.Task[object]) -> None:
            if crash := _exception_of(task):
                _log.error("A task in the asyncio thread crashed.", exc_info=crash)

        self._start_call(_Call(lambda: function(*args)), end)

    def tell_trio(self, function: Callable[..., object], *args: Any) -> None:
        """Called in the asyncio thread: run `function(*args)` soon in trio. It must neither block nor raise."""
        with suppress(trio.RunFinishedError):
            self._trio_token.run_sync_soon(function, *args)

    def start(self) -> None:
        """Start the thread. Once."""
        self._thread.start()

    async def stop(self) -> None:
        """Refuse further calls, cancel what runs, stop the loop, and join the thread."""
        self._closed = True
        self._in_loop(self._stopping.set)
        with trio.move_on_after(JOIN_TIMEOUT_S):
            await self._stopped.wait()
            self._thread.join()
            return
        _log.error("The asyncio thread is blocked and did not stop within %g s.", JOIN_TIMEOUT_S)

    def _start_call(self, call: "_Call[T]", end: "Callable[[asyncio.Task[T]], None]") -> None:
        def begin() -> None:
            task = self._loop.create_task(call.run())
            call.task = task
            self._tasks.add(task)  # asyncio holds only weak references
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(end)

        # Refused here, in trio: a call that the loop accepts while it stops would never end.
        if self._closed:
            raise Unavailable("The asyncio thread has stopped.")
        self._in_loop(begin)

    def _in_loop(self, function: Callable[[], object]) -> None:
        """Run `function` soon in the asyncio thread. Does nothing when its loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()
            self.tell_trio(self._stopped.set)

    async def _serve(self) -> None:
        await self._stopping.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # including those that our tasks have started
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._loop.shutdown_asyncgens()


class _Call(Generic[T]):
    """One coroutine in the thread. `ended` and `result` are for trio, the rest is for asyncio."""

    def __init__(self, begin: Callable[[], Awaitable[T]]) -> None:
        self.ended = trio.Event()
        self.task: asyncio.Task[T] | None = None
        self._begin = begin

    async def run(self) -> T:
        return await self._begin()

    def cancel(self) -> None:
        """Cancel the coroutine, because nobody waits any more."""
        if self.task is not None:
            self.task.cancel()

    def result(self) -> T:
        """The result, once `ended` is set. Raises what the coroutine raised, or `Unavailable` when it was cancelled."""
        if self.task is None or self.task.cancelled():
            raise Unavailable("The call was cancelled in the asyncio thread.")
        return self.task.result()


def _exception_of(task: asyncio.Task[T]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
