"""The send buffer: bytes that the kernel did not take yet, in whole frames (DESIGN 2, points 3 and 4).

It exists only while something waits. All members that wait for a batch share its bytes: a send buffer keeps references,
not copies. Overload: its owner decides, by `size`. It ends with its connection.
"""

from collections import deque
from collections.abc import Callable

Send = Callable[[memoryview], int]


class SendBuffer:
    """A queue of chunks, each made of whole frames; the first may be partly sent."""

    __slots__ = ("_chunks", "_sent", "_since_s", "exempt_bytes", "size")

    def __init__(self) -> None:
        self._chunks: deque[bytes | tuple[bytes, ...]] = deque()
        self._since_s: deque[float] = deque()
        self._sent = 0
        self.size = 0
        self.exempt_bytes = 0
        """Those in front that do not count against a limit."""

    @property
    def since_s(self) -> float | None:
        """Since when the oldest byte waits; None when the buffer is empty."""
        return self._since_s[0] if self._since_s else None

    def add(self, data: bytes, sent: int = 0, now_s: float = 0.0) -> None:
        """Keep `data`, of which `sent` bytes are already sent; only the first chunk may be partly sent."""
        self._chunks.append(data)
        self._since_s.append(now_s)
        self._sent = sent or self._sent
        self.size += len(data) - sent

    def add_block(self, block: tuple[bytes, ...], size: int, now_s: float) -> None:
        """Keep a block of `size` bytes, in parts; it is put together when it is to be sent."""
        self._chunks.append(block)
        self._since_s.append(now_s)
        self.size += size

    def exempt(self) -> None:
        """What is in the buffer now does not count against a limit."""
        self.exempt_bytes = self.size

    def drop_unsent(self) -> None:
        """Drop what has not been begun. A chunk that is partly sent stays, because a frame must be sent whole."""
        keep = self._chunks[0] if self._chunks and self._sent else None
        assert not isinstance(keep, tuple)  # what is partly sent has been put together
        since_s = self.since_s
        self._chunks.clear()
        self._since_s.clear()
        if keep is not None and since_s is not None:
            self._chunks.append(keep)
            self._since_s.append(since_s)
        self.size = len(keep) - self._sent if keep is not None else 0
        self.exempt_bytes = 0

    def flush(self, send: Send) -> bool:
        """Send what the kernel takes. True when nothing is left. Errors: what `send` raises, but `BlockingIOError`."""
        while self._chunks:
            chunk = self._chunks[0]
            if isinstance(chunk, tuple):
                chunk = self._chunks[0] = b"".join(chunk)
            try:
                sent = send(memoryview(chunk)[self._sent :])
            except BlockingIOError:
                return False
            self._sent += sent
            self.size -= sent
            self.exempt_bytes = max(0, self.exempt_bytes - sent)
            if self._sent < len(chunk):
                return False
            self._chunks.popleft()
            self._since_s.popleft()
            self._sent = 0
        return True
