"""The post office of one worker: sends letters to the other workers, and receives those for this one.

Sending never waits. What the kernel does not take at once waits here, in order, one queue for each worker, so that a
worker that stands still delays nobody else's letters. The post itself belongs to the supervisor of the workers: letters
to a worker that has crashed wait in the kernel, and the next process of that index reads them.

Overload: a queue is bounded by those who send: hand-overs by `omnisonic.actors.workers.hand_over`, their answers by the
hand-overs of the other side; everything else is not sent while something waits (`try_send`). Crash of a handler: it is
logged, and the next letter is read. Shutdown: cancelled; letters that were not read wait for the next process.
"""

import errno
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

import msgspec
import trio

from omnisonic.actors.workers.letters import LARGEST_BYTES, Letter, decode, encode
from omnisonic.actors.workers.place import WorkerPlace

AT_ONCE: Final = 64
"""Letters that are read before other tasks run."""
PAUSE_S: Final = 0.05
"""After the kernel has refused a letter for another reason than a full queue."""
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})
"""ETOOMANYREFS: too many descriptors are on their way (unix(7))."""

Handler: TypeAlias = Callable[[Letter, socket.socket | None], None]
"""Handles a letter, and the socket that came with it."""
_Waiting: TypeAlias = tuple[bytes, socket.socket | None]

_log = logging.getLogger(__name__)


class PostOffice:
    """The post of one worker. Belongs to the gateway's loop."""

    def __init__(self, place: WorkerPlace) -> None:
        self._place = place
        self._queues: dict[int, deque[_Waiting]] = {index: deque() for index in place.others}
        self._more: dict[int, trio.Event] = {index: trio.Event() for index in place.others}

    def __len__(self) -> int:
        """How many letters wait to be sent."""
        return sum(map(len, self._queues.values()))

    def send(self, to: int, letter: Letter, sock: socket.socket | None = None) -> None:
        """Send a letter, now or later. `sock` must stay open until it is answered; a letter whose `sock` was closed
        meanwhile is dropped.
        """
        if not self.try_send(to, letter, sock):
            self._queues[to].append((encode(letter), sock))
            self._more[to].set()

    def try_send(self, to: int, letter: Letter, sock: socket.socket | None = None) -> bool:
        """Send a letter if it can be sent now. Returns whether it was."""
        return not self._queues[to] and self._try(to, encode(letter), sock)

    def _try(self, to: int, data: bytes, sock: socket.socket | None) -> bool:
        sending = self._place.posts[to].sending
        try:
            if sock is None:
                sending.send(data)
            elif sock.fileno() >= 0:
                socket.send_fds(sending, [data], [sock.fileno()])
        except OSError as problem:
            if problem.errno in _FULL:
                return False
            raise
        return True

    async def write(self, to: int, task_status: trio.TaskStatus[None]) -> None:
        """Send what waits for one worker, until cancelled."""
        task_status.started()
        queue, sending = self._queues[to], self._place.posts[to].sending
        while True:
            if not queue:
                self._more[to] = trio.Event()
                await self._more[to].wait()
            await trio.lowlevel.wait_writable(sending)
            while queue and self._try(to, *queue[0]):
                queue.popleft()
            if queue:
                await trio.sleep(PAUSE_S)

    async def read(self, handle: Handler, task_status: trio.TaskStatus[None]) -> None:
        """Give each letter for this worker to `handle`, until cancelled."""
        task_status.started()
        receiving = self._place.posts[self._place.index].receiving
        while True:
            await trio.lowlevel.wait_readable(receiving)
            for _ in range(AT_ONCE):
                try:
                    data, sock = receive_letter(receiving)
                except BlockingIOError:
                    break
                except OSError as problem:
                    _log.warning("worker.post_failed", extra={"problem": problem.strerror})
                    await trio.sleep(PAUSE_S)
                    break
                _open_letter(data, sock, handle)
            await trio.lowlevel.checkpoint()

    def writers(self) -> dict[str, Callable[[trio.TaskStatus[None]], Awaitable[None]]]:
        """The tasks that send what waits, by their names."""
        return {f"post to worker {index + 1}": partial(self.write, index) for index in self._queues}


def receive_letter(receiving: socket.socket) -> tuple[bytes, socket.socket | None]:
    """Receive one packet without waiting, and the socket that came with it. Errors: `OSError`."""
    data, fds, _, _ = socket.recv_fds(receiving, LARGEST_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    sock = socket.socket(fileno=fds[0]) if fds else None
    if sock is not None:
        sock.setblocking(False)
    return data, sock


def _open_letter(data: bytes, sock: socket.socket | None, handle: Handler) -> None:
    try:
        handle(decode(data), sock)
    except msgspec.DecodeError as problem:
        _log.error("worker.bad_letter", extra={"problem": str(problem)})
        if sock is not None:
            sock.close()
    except Exception as crash:  # noqa: BLE001 - one letter must not end the worker
        _log.error("worker.letter_crashed", exc_info=crash)
        if sock is not None:
            sock.close()
