"""The scheduler: reads all sockets that are ready, then runs all rooms that have mail (DESIGN 2, point 2; DESIGN 3).

The poller is one task. It sleeps in trio until its own epoll (or what `selectors` offers, where there is no epoll)
reports a socket, reads what is ready, and repeats until nothing more is ready. Then, in the same tick, the dispatcher
gives each room that got mail one turn. Under load this makes large batches; when idle it adds no delay. The poller also
writes what the kernel did not take before, as soon as it takes it. A socket belongs to the poller from its first byte.

The dispatcher runs rooms one at a time, in the order their mail came, as Akka's dispatchers and the BEAM's schedulers
do. Mail that does not come through the poller wakes the dispatcher's own task. After a pause it calls `after_pause`
before a room runs: the process may have stood still, and rooms may not be its own any more (DESIGN 8).

Overload: a socket is read at most `SWEEPS` times a tick; a room handles a bounded part of its mail and queues again
behind the others; other tasks run after every tick. Crash: what a socket's handler raises is reported and costs that
socket only; a room's actor contains what its room raises. Shutdown: cancelled; sockets are closed by their owners.
"""

import select
import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio
from mypy_extensions import mypyc_attr

from omnisonic.actors.runtime.clock import boot_time_s

SWEEPS: Final = 4
"""How often sockets are read before rooms run: more make larger batches under load, and longer ticks."""

PAUSE_S: Final = 0.5
"""When no room has begun a turn for so long, `after_pause` is called before the next one does."""


class Actor(Protocol):
    """Has mail, and handles it in turns."""

    is_ready: bool

    def run_turn(self) -> bool:
        """Handle some mail without waiting. True when there is more."""
        ...


@mypyc_attr(allow_interpreted_subclasses=True)
class Dispatcher:
    """The queue of actors that are ready. An actor is in it at most once.

    `running` has its turn now, which is turn number `turns`; any thread may read both (the watchdog does).
    `after_pause` is called with the time of `clock`; it must neither wait nor raise.
    """

    def __init__(self, clock: Callable[[], float] = boot_time_s) -> None:
        self.running: Actor | None = None
        self.turns = 0
        self.after_pause: Callable[[float], None] | None = None
        self._clock = clock
        self._looked_at_s = clock()
        self._queue: deque[Actor] = deque()
        self._wake = trio.Event()
        self._wake_up_deferred = False

    @property
    def has_work(self) -> bool:
        return bool(self._queue)

    def schedule(self, actor: Actor) -> None:
        """Give `actor` a turn soon."""
        if actor.is_ready:
            return
        actor.is_ready = True
        self._queue.append(actor)
        if not self._wake_up_deferred:
            self._wake.set()

    def defer_wake_up(self) -> None:
        """Do not wake `run`: the caller will call `run_turns` before it waits for anything."""
        self._wake_up_deferred = True

    def run_turns(self) -> None:
        """Give every actor that is ready now one turn."""
        after_pause = self.after_pause
        try:
            for _ in range(len(self._queue)):
                if after_pause is not None:
                    now_s = self._clock()
                    if now_s - self._looked_at_s > PAUSE_S:
                        after_pause(now_s)
                    self._looked_at_s = now_s
                actor = self._queue.popleft()
                actor.is_ready = False
                self.turns += 1
                self.running = actor
                if actor.run_turn():
                    self.schedule(actor)
        finally:
            self.running = None
        self._wake_up_deferred = False
        if self._queue:
            self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run actors whose mail did not come through the poller."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            self.run_turns()
            await trio.lowlevel.checkpoint()


class Pollable(Protocol):
    """The owner of a socket. Its handlers do not wait."""

    def on_readable(self) -> None: ...

    def on_writable(self) -> None: ...

    def on_crash(self, crash: Exception) -> None: ...


class EventSource(Protocol):
    """Waits for many sockets at once; level-triggered: readiness stays until it is used."""

    def fileno(self) -> int: ...

    def register(self, fd: int) -> None: ...

    def set_writing(self, fd: int, *, writing: bool) -> None: ...

    def unregister(self, fd: int) -> None: ...

    def poll(self) -> list[tuple[int, int]]:
        """The ready descriptors and what they are ready for, without waiting. `WRITABLE` is the bit for writing."""
        ...

    def close(self) -> None: ...


READABLE: Final = 1  # EPOLLIN, where there is epoll
WRITABLE: Final = 4  # EPOLLOUT
_BITS: Final = {
    selectors.EVENT_READ: READABLE,
    selectors.EVENT_WRITE: WRITABLE,
    selectors.EVENT_READ | selectors.EVENT_WRITE: READABLE | WRITABLE,
}


class EpollSource:
    """Linux."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fileno = self._epoll.fileno
        self._poll = self._epoll.poll

    def register(self, fd: int) -> None:
        self._epoll.register(fd, select.EPOLLIN)

    def set_writing(self, fd: int, *, writing: bool) -> None:
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if writing else select.EPOLLIN)

    def unregister(self, fd: int) -> None:
        self._epoll.unregister(fd)

    def poll(self) -> list[tuple[int, int]]:
        return self._poll(0)

    def close(self) -> None:
        self._epoll.close()


class SelectorSource:
    """Everywhere else: kqueue on macOS and the BSDs."""

    def __init__(self) -> None:
        self._selector = getattr(selectors, "KqueueSelector", selectors.EpollSelector)()
        self.fileno = self._selector.fileno

    def register(self, fd: int) -> None:
        self._selector.register(fd, selectors.EVENT_READ)

    def set_writing(self, fd: int, *, writing: bool) -> None:
        self._selector.modify(fd, selectors.EVENT_READ | selectors.EVENT_WRITE if writing else selectors.EVENT_READ)

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self) -> list[tuple[int, int]]:
        return [(key.fd, _BITS[ready]) for key, ready in self._selector.select(0)]

    def close(self) -> None:
        self._selector.close()


def open_event_source() -> EventSource:
    """The fastest source that this system has."""
    return EpollSource() if hasattr(select, "epoll") else SelectorSource()


class Poller:
    """Owns every connection's readiness. `now_s` is the monotonic time of the current sweep."""

    def __init__(
        self, dispatcher: Dispatcher, source: EventSource | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.now_s = clock()
        self._clock = clock
        self._dispatcher = dispatcher
        self._source = source or open_event_source()
        self._owners: dict[int, Pollable] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def watch(self, fd: int, owner: Pollable) -> None:
        """Call `owner` whenever `fd` has something to read."""
        self._owners[fd] = owner
        self._source.register(fd)

    def forget(self, fd: int) -> None:
        """Stop watching. Must be called before the descriptor is closed."""
        if self._owners.pop(fd, None) is not None:
            self._source.unregister(fd)

    def set_writing(self, fd: int, *, writing: bool) -> None:
        """Whether to call the owner when the kernel takes more to write, too."""
        if fd in self._owners:
            self._source.set_writing(fd, writing=writing)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, let rooms run, and so on until cancelled."""
        task_status.started()
        while True:
            if self._tick():
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._source.fileno())

    def _tick(self) -> bool:
        """Read what is ready and run the rooms that got mail. False when nothing more was ready at the end."""
        dispatcher, owners, poll = self._dispatcher, self._owners, self._source.poll
        events = poll()
        if not events:
            return False
        dispatcher.defer_wake_up()
        sweeps = SWEEPS
        while events:
            self.now_s = self._clock()
            for fd, ready in events:
                owner = owners.get(fd)
                if owner is None:
                    continue
                try:
                    if ready & WRITABLE:
                        owner.on_writable()
                    if ready != WRITABLE:
                        owner.on_readable()
                except Exception as crash:  # noqa: BLE001 - a fault of one connection must not end the others
                    owner.on_crash(crash)
            sweeps -= 1
            events = poll() if sweeps else []
        dispatcher.run_turns()
        return sweeps == 0

    def close(self) -> None:
        """Close the event source."""
        self._source.close()
