"""A clock that passes while a test waits for something, but stands while work is under way that takes real time."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

TURNS: Final = 5
"""Of the loop, in which something may happen of what has just come."""


class Busy:
    """Whether something is under way that takes real time."""

    def __init__(self) -> None:
        self._work = set[object]()

    def __bool__(self) -> bool:
        return bool(self._work)

    @contextmanager
    def working(self) -> Iterator[None]:
        work = object()
        self._work.add(work)
        try:
            yield
        finally:
            self._work.discard(work)

    def until_done(self, work: "Future[Any]") -> None:
        self._work.add(work)
        work.add_done_callback(self._work.discard)


class Threads(ThreadPoolExecutor):
    """Threads that are seen to work."""

    def __init__(self, busy: Busy) -> None:
        super().__init__(4)
        self._busy = busy

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future = super().submit(fn, *args, **kwargs)
        self._busy.until_done(future)
        return future


class Clock:
    """Time that passes while a test waits for something, and only when nothing else is under way."""

    def __init__(self, busy: Busy) -> None:
        self.now_s = 0.0
        self.naps_s: list[float] = []
        self._busy = busy
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    async def sleep(self, for_s: float) -> None:
        self.naps_s.append(for_s)
        awake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + for_s, next(self._count), awake))
        await awake

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass, from one sleeper's end to the next, until that holds."""
        idle = 0
        while not condition():
            await asyncio.sleep(0)
            idle = 0 if self._busy else idle + 1
            if idle > TURNS and self._sleepers:
                idle = 0
                self.now_s, _, awake = heapq.heappop(self._sleepers)
                if not awake.done():
                    awake.set_result(None)
