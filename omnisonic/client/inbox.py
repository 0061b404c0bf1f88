"""The inbox: received messages that the program has not read yet. The reconnector's task fills it.

It holds one list of messages for each read of the socket, so that a thousand messages wake the program once.

Overload: when it is half full, the reconnector pauses between two reads (`pause`, `PAUSE_S` at most), which is enough
for a program that is busy for a moment. It never stops reading, because the program may be waiting for an ack. Above
`limit_bytes` the oldest reads are dropped, and one `inbox.overflow` in their place says how many messages they held.
Shutdown: `close`; what is already in it can still be read.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from omnisonic.client.backend import Backend
from omnisonic.wire.decoded_message import Message

INBOX_BYTES: Final = 4_194_304
PAUSE_S: Final = 0.05
"""The longest pause between two reads. It delays an ack by this much at most, and a pong far less than its timeout."""
OVERFLOW: Final = "inbox.overflow"


class Inbox:
    """The messages that wait to be read. `limit_bytes` counts the received bytes, not the size of Python's objects."""

    def __init__(self, backend: Backend, limit_bytes: int = INBOX_BYTES) -> None:
        self.dropped = 0
        self.is_closed = False
        self._backend = backend
        self._limit_bytes = limit_bytes
        self._reads: deque[tuple[list[Message], int]] = deque()
        self._size = 0
        self._missing = 0
        self._current: Iterator[Message] = iter(())
        self._wake = backend.new_event()
        self._half_empty = backend.new_event()

    def put(self, messages: list[Message], size: int) -> None:
        """Add the messages of one read, which was `size` bytes long. Drops the oldest reads above the limit."""
        self._reads.append((messages, size))
        self._size += size
        while self._size > self._limit_bytes and len(self._reads) > 1:
            lost, lost_bytes = self._reads.popleft()
            self._size -= lost_bytes
            self._missing += len(lost)
            self.dropped += len(lost)
        self._wake.set()

    async def pause(self) -> None:
        """Give the program a moment to read, when the inbox is more than half full."""
        if self._size > self._limit_bytes // 2:
            self._half_empty = self._backend.new_event()
            async with self._backend.move_on_after(PAUSE_S):
                await self._half_empty.wait()

    def close(self) -> None:
        """Accept nothing more."""
        self.is_closed = True
        self._wake.set()

    async def next(self) -> Message | None:
        """The next message; None when the inbox is closed and empty. Waits only while it is empty."""
        while True:
            for message in self._current:
                return message
            if self._missing:
                missing, self._missing = self._missing, 0
                return Message(OVERFLOW, {"dropped": missing})
            if self._reads:
                messages, size = self._reads.popleft()
                self._size -= size
                if self._size <= self._limit_bytes // 2:
                    self._half_empty.set()
                self._current = iter(messages)
                await self._backend.checkpoint()
            elif self.is_closed:
                return None
            else:
                if self._wake.is_set():  # otherwise another task waits for it already
                    self._wake = self._backend.new_event()
                await self._wake.wait()
