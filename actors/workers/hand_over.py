"""Hand-overs: connections that one worker has accepted, and whose room is another worker's (DESIGN 8).

The accepting worker has read the request's head. It sends the socket, the head and what came after it to the room's
worker, and keeps its own copy of the socket until that one answers `Taken`. From then on the connection is as one that
was accepted there. The answer is sent before the connection is looked at, so a room that crashes has nothing to do with
it.

Worker starting, crashed or frozen: hand-overs to it wait in the channel, up to `WAITING` for each worker, for `WAIT_S`.
The process that starts in its place takes them. What is not taken in time gets 503 from here, and is dropped by a
worker that finds it later. Overload: beyond `WAITING` the next connection gets 503 at once. Out of descriptors: a
hand-over whose socket did not arrive is answered as refused, and the client gets 503. Crash of the accepting worker:
what it has sent is taken all the same. Shutdown: nothing more is taken or sent; what was not sent gets 503, and what
was sent is taken all the same, by the next process if need be.
"""

import logging
import math
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import takewhile
from typing import Final

import trio

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.packets import HandOver, Taken
from omnisonic.actors.workers.place import WorkerPlace
from omnisonic.wire.handshake import Refused, Request, refusal_response

WAITING: Final = 1024
"""Hand-overs to one worker that may wait for its answer."""
WAIT_S: Final = 8.0
"""A hand-over may wait for so long: as long as a handshake."""
CHECK_S: Final = 0.25
RUN_BYTES: Final = 9
LOG_EVERY_S: Final = 10.0
RETRY_AFTER_S: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A hand-over that was not answered yet."""

    sock: socket.socket
    to: int
    until_s: float


class HandOvers:
    """The hand-overs of one worker. `take` gets those that are for it: socket, address, received bytes.

    Times are on the machine's monotonic clock, which all processes share. Belongs to the gateway's loop.
    """

    def __init__(
        self,
        place: WorkerPlace,
        channels: Channels,
        take: Callable[[socket.socket, str, bytes], None],
        wait_s: float = WAIT_S,
    ) -> None:
        self.given = 0
        self.taken = 0
        self._place = place
        self._channels = channels
        self._take = take
        self._wait_s = wait_s
        self.run_id = secrets.token_bytes(RUN_BYTES)
        self._next = 0
        self._waiting: dict[int, _Waiting] = {}
        self._to: Counter[int] = Counter()
        self._more = trio.Event()
        self._logged_s = -math.inf
        self._is_stopping = False

    def __len__(self) -> int:
        """How many wait for an answer."""
        return len(self._waiting)

    def give(self, connection: Connection, request: Request, to: int) -> None:
        """Hand a connection whose head is read over to worker `to`. Errors: `Refused` when too many wait for it."""
        if self._is_stopping or self._to[to] >= WAITING:
            raise _make_refused()
        sock, early = connection.detach_socket()
        number, until_s = self._next, time.monotonic() + self._wait_s
        self._next += 1
        self._waiting[number] = _Waiting(sock, to, until_s)
        self._to[to] += 1
        self._more.set()
        packet = HandOver(self._place.index, self.run_id, number, until_s, connection.address, request.head + early)
        try:
            self._channels.send(to, packet, sock)
        except OSError as problem:
            _log.error("worker.hand_over_failed", extra={"problem": problem.strerror})
            self._answer(number)
        self.given += 1

    def on_taken(self, packet: Taken) -> None:
        """The other worker has the connection, or could not take it."""
        if packet.run != self.run_id:
            return
        if packet.is_refused:
            self._answer(packet.number)
        elif (waiting := self._pop(packet.number)) is not None:
            waiting.sock.close()

    def on_hand_over(self, packet: HandOver, sock: socket.socket | None) -> None:
        """Take a connection, unless its time is over."""
        if sock is not None and time.monotonic() >= packet.until_s:
            sock.close()
            return
        self._channels.send(packet.sender, Taken(self._place.index, packet.run, packet.number, is_refused=sock is None))
        if sock is not None:
            self.taken += 1
            self._take(sock, packet.address, packet.received)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Answer those that were not taken in time, until cancelled."""
        task_status.started()
        while True:
            if not self._waiting:
                self._more = trio.Event()
                await self._more.wait()
            await trio.sleep(CHECK_S)
            self.answer_overdue()

    def answer_overdue(self) -> None:
        """Answer those that were not taken in time with 503.

        Not while packets wait to be read: this worker may have stood still, and one of them may say that it was taken.
        """
        if self._channels.has_unread:
            return
        now_s = time.monotonic()
        late = list(takewhile(lambda each: each[1].until_s <= now_s, self._waiting.items()))
        for number, _ in late:
            self._answer(number)
        if late and now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            _log.warning("worker.not_taking", extra={"worker": late[0][1].to + 1, "connections": len(late)})

    def stop(self) -> None:
        """Hand nothing over any more: this worker stops.

        What was not sent is answered with 503. What was sent may have been taken, or will be, so it is left alone.
        """
        self._is_stopping = True
        for number, waiting in list(self._waiting.items()):
            if self._channels.is_unsent(waiting.sock):
                self._answer(number)
            elif self._pop(number) is not None:
                waiting.sock.close()

    def _answer(self, number: int) -> None:
        """Send 503, and end the connection also for a worker that has a copy of it and looks at it too late."""
        waiting = self._pop(number)
        if waiting is None:
            return
        with suppress(OSError):
            waiting.sock.send(refusal_response(_make_refused()))
            waiting.sock.shutdown(socket.SHUT_RDWR)
        waiting.sock.close()

    def _pop(self, number: int) -> _Waiting | None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            self._to[waiting.to] -= 1
        return waiting


def _make_refused() -> Refused:
    return Refused(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "worker_starting",
        "The process of that room is being started; try again in a moment.",
        Retry_After=str(RETRY_AFTER_S),
    )
