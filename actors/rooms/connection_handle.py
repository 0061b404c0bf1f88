"""A link: what a room sees of a connection (DESIGN 3). Rooms use it as a key; cells push to it."""

from typing import Protocol

from omnisonic.wire.closing import Closing


class ConnectionHandle(Protocol):
    """One way to one member. Nothing here waits, and nothing raises. Compared by identity."""

    @property
    def is_open(self) -> bool:
        """Whether what is pushed may still arrive."""
        ...

    def push(self, data: bytes) -> None:
        """Send whole frames, now or as soon as the kernel takes them. Dropped when the link is not open."""
        ...

    def close(self, closing: Closing) -> None:
        """Send a close frame after what was pushed, and nothing after it. Only the first close counts."""
        ...
