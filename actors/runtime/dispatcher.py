"""The dispatcher: runs the rooms that have mail, one turn each, in the order the mail came (DESIGN 3).

Rooms are many, what runs them is one: as in Akka, or on the BEAM's schedulers. The poller calls `turn` itself after
it has read, so that a message is on its way out in the tick it came in; mail from anywhere else wakes `run`.

Overload: a room handles a bounded part of its mail and queues again behind the others. Crash: a cell contains what its
room raises; an exception here is a bug and ends the gateway. Shutdown: cancelled.
"""

from collections import deque
from typing import Protocol

import trio


class Actor(Protocol):
    """Something that has mail and handles it in turns."""

    is_ready: bool

    def run_turn(self) -> bool:
        """Handle some mail without waiting. True when there is more."""
        ...


class Dispatcher:
    """The queue of actors that are ready. An actor is in it at most once.

    `running` has its turn at this moment, which is turn number `turns`; any thread may look (the watchdog does).
    """

    def __init__(self) -> None:
        self.running: Actor | None = None
        self.turns = 0
        self._queue: deque[Actor] = deque()
        self._wake = trio.Event()
        self._wake_up_deferred = False

    @property
    def has_work(self) -> bool:
        return bool(self._queue)

    def schedule(self, actor: Actor) -> None:
        """Let `actor` have a turn soon."""
        if actor.is_ready:
            return
        actor.is_ready = True
        self._queue.append(actor)
        if not self._wake_up_deferred:
            self._wake.set()

    def defer_wake_up(self) -> None:
        """The caller will call `turn` before it waits for anything: nobody needs to be woken until then."""
        self._wake_up_deferred = True

    def run_turns(self) -> None:
        """Give every actor that is ready now one turn."""
        try:
            for _ in range(len(self._queue)):
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
