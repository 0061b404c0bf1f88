"""The poller: one task that waits for all sockets at once (DESIGN 2, point 2).

It sleeps in trio until its own epoll (or whatever `selectors` has, where there is no epoll) says that a socket has
something, reads what is ready, looks again until nothing more is ready, and only then lets the rooms that got mail run,
in the same tick. Under load that makes large batches; when idle it makes no difference and no delay. The same poller
writes what the kernel refused, as soon as it takes it again. A socket belongs to the poller from its first byte.

Overload: a socket is read at most `SWEEPS` times a tick, and other tasks run after every tick. Crash: what one socket's
handler raises is reported and costs that socket only. Shutdown: cancelled; sockets are closed by their owners.
"""

import select
import selectors
import time
from collections.abc import Callable
from typing import Final, Protocol

import trio

from omnisonic.actors.runtime.dispatcher import Dispatcher

SWEEPS: Final = 4
"""Looks at the sockets before rooms run: more make larger batches under load, and longer ticks."""


class Pollable(Protocol):
    """The owner of a socket. Its handlers do not wait."""

    def on_readable(self) -> None: ...

    def on_writable(self) -> None: ...

    def on_crash(self, crash: Exception) -> None: ...


class EventSource(Protocol):
    """What the operating system offers to wait for many sockets at once; readiness stays until it is used."""

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
        """Read what is ready and run the rooms that got mail. False when nothing was ready."""
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
                except Exception as crash:  # noqa: BLE001 - one connection's fault must not end the others
                    owner.on_crash(crash)
            sweeps -= 1
            events = poll() if sweeps else []
        dispatcher.run_turns()
        return True

    def close(self) -> None:
        """Let go of the event source."""
        self._source.close()
