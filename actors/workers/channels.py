"""The channels of one worker: sends packets to the other workers, and receives those for this one.

Sending never waits. What the kernel does not take at once waits here, in order, one queue for each worker, so that a
worker that stands still delays nobody else's packets. The sockets belong to the supervisor of the workers: packets to a
worker that has crashed wait in the kernel, and the next process of that index reads them.

Overload: a queue is bounded by those who send: hand-overs by `omnisonic.actors.workers.hand_over`, their answers by the
hand-overs of the other side; everything else is not sent while something waits (`try_send`). A packet that the kernel
refuses for good is dropped. Crash of a handler: it is logged, and the next packet is read. Shutdown: cancelled; packets
that were not read wait for the next process.
"""

import errno
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NoReturn, TypeAlias

import msgspec
import trio

from omnisonic.actors.workers.packets import LARGEST_BYTES, Packet, decode, encode
from omnisonic.actors.workers.place import WorkerPlace

AT_ONCE: Final = 64
"""Packets that are read before other tasks run."""
PAUSE_S: Final = 0.05
"""After the kernel has refused a packet for another reason than a full queue."""
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})
"""ETOOMANYREFS: too many descriptors are on their way (unix(7))."""

Handler: TypeAlias = Callable[[Packet, socket.socket | None], None]
"""Handles a packet, and the socket that came with it."""
_Waiting: TypeAlias = tuple[bytes, socket.socket | None]

_log = logging.getLogger(__name__)


class Channels:
    """The channels of one worker. Belongs to the gateway's loop."""

    def __init__(self, place: WorkerPlace) -> None:
        self._place = place
        self._queues: dict[int, deque[_Waiting]] = {index: deque() for index in place.others}
        self._more: dict[int, trio.Event] = {index: trio.Event() for index in place.others}

    def __len__(self) -> int:
        """How many packets wait to be sent."""
        return sum(map(len, self._queues.values()))

    def send(self, to: int, packet: Packet, sock: socket.socket | None = None) -> None:
        """Send a packet, now or later. `sock` must stay open until it is answered; a packet whose `sock` was closed
        meanwhile is dropped.
        """
        if not self.try_send(to, packet, sock):
            self._queues[to].append((encode(packet), sock))
            self._more[to].set()

    def is_unsent(self, sock: socket.socket) -> bool:
        """Whether a packet with this socket still waits here."""
        return any(sock is waiting for queue in self._queues.values() for _, waiting in queue)

    @property
    def has_unread(self) -> bool:
        """Whether there is a packet for this worker that was not read yet."""
        try:
            self._place.channels[self._place.index].receiving.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True

    def try_send(self, to: int, packet: Packet, sock: socket.socket | None = None) -> bool:
        """Send a packet if it can be sent now. Returns whether it was."""
        return not self._queues[to] and self._try(to, encode(packet), sock)

    def _try(self, to: int, data: bytes, sock: socket.socket | None) -> bool:
        sending = self._place.channels[to].sending
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
        queue, sending = self._queues[to], self._place.channels[to].sending
        while True:
            if not queue:
                self._more[to] = trio.Event()
                await self._more[to].wait()
            await trio.lowlevel.wait_writable(sending)
            before = len(queue)
            try:
                while queue and self._try(to, *queue[0]):
                    queue.popleft()
            except OSError as problem:
                _log.warning("worker.channel_failed", extra={"problem": problem.strerror})
                queue.popleft()
            if len(queue) == before:
                await trio.sleep(PAUSE_S)

    async def read(self, handle: Handler, task_status: trio.TaskStatus[None]) -> None:
        """Give each packet for this worker to `handle`, until cancelled."""
        task_status.started()
        receiving = self._place.channels[self._place.index].receiving
        await read_packets(receiving, partial(_handle_packet, handle=handle))

    def writers(self) -> dict[str, Callable[[trio.TaskStatus[None]], Awaitable[None]]]:
        """The tasks that send what waits, by their names."""
        return {f"channel to worker {index + 1}": partial(self.write, index) for index in self._queues}


async def read_packets(receiving: socket.socket, take: Callable[[bytes, socket.socket | None], None]) -> NoReturn:
    """Give each packet, and the socket that came with it, to `take`, until cancelled. `take` must not raise."""
    while True:
        await trio.lowlevel.wait_readable(receiving)
        for _ in range(AT_ONCE):
            try:
                data, sock = _receive_packet(receiving)
            except BlockingIOError:
                break
            except OSError as problem:
                _log.warning("worker.channel_failed", extra={"problem": problem.strerror})
                await trio.sleep(PAUSE_S)
                break
            take(data, sock)
        await trio.lowlevel.checkpoint()


def _receive_packet(receiving: socket.socket) -> tuple[bytes, socket.socket | None]:
    """Receive one packet without waiting. Errors: `OSError`."""
    data, fds, _, _ = socket.recv_fds(receiving, LARGEST_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    sock = socket.socket(fileno=fds[0]) if fds else None
    if sock is not None:
        sock.setblocking(False)
    return data, sock


def _handle_packet(data: bytes, sock: socket.socket | None, handle: Handler) -> None:
    try:
        handle(decode(data), sock)
    except msgspec.DecodeError as problem:
        _log.error("worker.bad_packet", extra={"problem": str(problem)})
        if sock is not None:
            sock.close()
    except Exception as crash:  # noqa: BLE001 - one packet must not end the worker
        _log.error("worker.packet_crashed", exc_info=crash)
        if sock is not None:
            sock.close()
