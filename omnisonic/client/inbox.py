"""The inbox: messages that were received and wait to be read. Owned by the keeper's task; read by the program's.

It is filled and emptied by the read: one list of messages for each read of the socket, so that a thousand messages cost
one wake-up. Overload: when it is half full, reading pauses for a moment (`pause`), which is enough for a program that
is only busy. It does not stop, because the program may be waiting for an ack: over `limit_bytes` the oldest reads are
dropped, and a `history.gap` stands in their place that says how many messages there were.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

import trio

from omnisonic.wire.decoded_message import Message

INBOX_BYTES: Final = 4_194_304
PAUSE_S: Final = 0.05
"""The longest pause between two reads: an ack comes this late at most, and a ping is answered long before its time."""
GAP: Final = "history.gap"


class Inbox:
    """What waits to be read. `limit_bytes` counts the bytes that were received, not what Python makes of them."""

    def __init__(self, limit_bytes: int = INBOX_BYTES) -> None:
        self.dropped = 0
        self.is_shut = False
        self._limit_bytes = limit_bytes
        self._reads: deque[tuple[list[Message], int]] = deque()
        self._size = 0
        self._missing = 0
        self._current: Iterator[Message] = iter(())
        self._wake = trio.Event()
        self._half_empty = trio.Event()

    def put(self, messages: list[Message], size: int) -> None:
        """Keep what one read brought: `size` bytes of it."""
        self._reads.append((messages, size))
        self._size += size
        while self._size > self._limit_bytes and len(self._reads) > 1:
            lost, lost_bytes = self._reads.popleft()
            self._size -= lost_bytes
            self._missing += len(lost)
            self.dropped += len(lost)
        self._wake.set()

    async def pause(self) -> None:
        """Wait a moment for the program to read, if much waits for it."""
        if self._size > self._limit_bytes // 2:
            self._half_empty = trio.Event()
            with trio.move_on_after(PAUSE_S):
                await self._half_empty.wait()

    def shut(self) -> None:
        """Nothing more comes."""
        self.is_shut = True
        self._wake.set()

    async def next(self) -> Message | None:
        """The next message; None when there is none left and none will come. Waits only when there is none."""
        while True:
            for message in self._current:
                return message
            if self._missing:
                missing, self._missing = self._missing, 0
                return Message(GAP, {"dropped": missing})
            if self._reads:
                messages, size = self._reads.popleft()
                self._size -= size
                if self._size <= self._limit_bytes // 2:
                    self._half_empty.set()
                self._current = iter(messages)
                await trio.lowlevel.checkpoint()
            elif self.is_shut:
                return None
            else:
                self._wake = trio.Event()
                await self._wake.wait()
