"""The message writer: has kept messages written down, and tells their rooms when they are committed (SPEC 5.2).

A room offers a message when it relays it, and never waits. The writer takes all that wait, as one batch and one commit;
what is offered meanwhile is the next batch. So a single message is written at once, and many cost few commits. What
became of them goes into their rooms' mailboxes, and from there to the senders.

Overload: the queue is bounded in messages and bytes, for each room and in all; a room refuses what does not fit before
it relays it. Store unavailable: the batch stays, and is tried again with a growing pause; nothing is acknowledged
meanwhile. A call that ended without an answer may have committed: the same messages are given again, which writes none
twice. A batch that the store cannot take is halved, until the message is found that it cannot take, which is refused.
Crash: the queue survives, and the supervisor restarts `run`. Shutdown: `drain` waits for what is in the queue; what is
left was never acknowledged, and its senders send it again.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

import trio

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import KeepResult, KeepResults
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.models import RoomId
from omnisonic.studio.messages import KeptMessages, MessageToKeep, Outcome

QUEUE_MESSAGES: Final = 16_384
"""Messages that may wait in all."""
QUEUE_BYTES: Final = 33_554_432
"""Bytes of them."""
ROOM_MESSAGES: Final = 4_096
"""Messages of one room that may wait, so that one room alone does not fill the queue."""
BATCH_MESSAGES: Final = 1_024
"""Most messages in one commit."""
BATCH_BYTES: Final = 4_194_304
OVERHEAD_BYTES: Final = 512
"""About what a message takes besides its payload."""
FIRST_RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 1.0

NO_SESSION: Final = InvalidInput("Messages are kept only in the room of a session.", code="keep_unavailable")
UNWRITABLE: Final = InvalidInput("This message was sent, but it cannot be kept.", code="keep_failed")

_log = logging.getLogger(__name__)


class MessageWriter:
    """Writes kept messages into `store`. `find_room` finds the room that is told what became of them.

    Owned by the gateway; its methods run on the trio thread. `written` counts the messages that are committed.
    """

    def __init__(self, store: KeptMessages, find_room: Callable[[RoomId], RoomActor | None]) -> None:
        self._store = store
        self._find_room = find_room
        self._waiting: deque[tuple[MessageToKeep, float]] = deque()
        self._clock = trio.lowlevel.current_clock().current_time
        """The time as trio has it, on any thread: metrics are read on another one."""
        self._bytes = 0
        self._of_room: Counter[RoomId] = Counter()
        self._largest = BATCH_MESSAGES
        self._wake = trio.Event()
        self._empty = trio.Event()
        self._is_up = True
        self.written = 0

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def lag_s(self) -> float:
        """How long the oldest message has waited; 0 when there is none."""
        try:
            return self._clock() - self._waiting[0][1]
        except IndexError:
            return 0.0

    def offer(self, message: MessageToKeep) -> bool:
        """Take a message to be written down. False when there is no place for it."""
        size = self._bytes + _size(message)
        if len(self._waiting) >= QUEUE_MESSAGES or size > QUEUE_BYTES or self._of_room[message.room] >= ROOM_MESSAGES:
            return False
        self._bytes = size
        self._of_room[message.room] += 1
        self._waiting.append((message, trio.current_time()))
        self._wake.set()
        return True

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled."""
        task_status.started()
        retry_s = FIRST_RETRY_S
        while True:
            while self._waiting:
                if await self._write_batch():
                    retry_s = FIRST_RETRY_S
                else:
                    await trio.sleep(retry_s)
                    retry_s = min(2 * retry_s, LONGEST_RETRY_S)
            self._wake = trio.Event()
            await self._wake.wait()

    async def drain(self, deadline_s: float) -> None:
        """Wait until nothing waits, at most `deadline_s`."""
        with trio.move_on_after(deadline_s):
            while self._waiting:
                self._empty = trio.Event()
                await self._empty.wait()

    async def _write_batch(self) -> bool:
        """Write the messages that have waited longest. False when the store is unavailable."""
        batch = self._next_batch()
        try:
            outcomes = await self._store.keep(batch)
        except Unavailable as problem:
            # Perhaps it was too much at once.
            self._largest = max(self._largest // 2, 1)
            self._note_down(problem)
            return False
        except Exception:  # noqa: BLE001 - whatever one message does to the store, the others must be written
            if len(batch) > 1:
                self._largest = max(len(batch) // 2, 1)
                return True
            _log.exception("messages.not_kept", extra={"room": batch[0].room})
            self._finish(batch, [UNWRITABLE])
            return True
        self._largest = min(2 * self._largest, BATCH_MESSAGES)
        self._note_up()
        self.written += len(batch)
        self._finish(batch, outcomes)
        return True

    def _next_batch(self) -> list[MessageToKeep]:
        """The messages that have waited longest. They stay in the queue until they are written."""
        batch: list[MessageToKeep] = []
        size = 0
        for message, _ in islice(self._waiting, self._largest):
            size += _size(message)
            if batch and size > BATCH_BYTES:
                break
            batch.append(message)
        return batch

    def _finish(self, batch: Sequence[MessageToKeep], outcomes: Sequence[Outcome | InvalidInput]) -> None:
        """Take a batch out of the queue, and tell the rooms what became of it."""
        results: dict[RoomId, list[KeepResult]] = {}
        for message, outcome in zip(batch, outcomes, strict=True):
            self._waiting.popleft()
            self._bytes -= _size(message)
            self._of_room[message.room] -= 1
            if not self._of_room[message.room]:
                del self._of_room[message.room]
            result = KeepResult(message.member_id, message.client_id, outcome or NO_SESSION)
            results.setdefault(message.room, []).append(result)
        for room_id, of_room in results.items():
            actor = self._find_room(room_id)
            if actor is not None:
                actor.tell(KeepResults(tuple(of_room)))
        if not self._waiting:
            self._empty.set()

    def _note_down(self, problem: Unavailable) -> None:
        if self._is_up:
            self._is_up = False
            _log.warning("messages.down", extra={"problem": problem.message, "waiting": len(self._waiting)})

    def _note_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            _log.info("messages.up", extra={"waiting": len(self._waiting)})


def _size(message: MessageToKeep) -> int:
    return len(message.payload) + OVERHEAD_BYTES
