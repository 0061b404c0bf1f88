"""What the client needs of an async library. Everything else in this folder knows neither trio nor asyncio.

`trio_backend` and `asyncio_backend` implement it. They hold what differs: sockets, tasks, time and cancellation.
"""

import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias

READ_BYTES: Final = 262_144
"""The most that one read of a socket returns."""
SEND_S: Final = 10.0
"""A stream that does not accept what is sent within this time is broken."""


AsyncFunction: TypeAlias = Callable[..., Coroutine[Any, Any, object]]


class ConnectionBroken(Exception):
    """The connection is gone or does not accept anything. What was being sent did not arrive whole."""


class Event(Protocol):
    """Something that happens once, and that tasks wait for."""

    def is_set(self) -> bool:
        """Whether it has happened."""
        ...

    def set(self) -> None:
        """Wake all tasks that wait."""
        ...

    def wait(self) -> Awaitable[object]:
        """Wait until it is set. Returns at once when it is."""
        ...


class Stream(Protocol):
    """An open TCP or TLS connection."""

    async def receive(self) -> bytes:
        """Read once. Returns nothing when the connection has ended, is broken, or was closed here."""
        ...

    async def send(self, data: bytes) -> None:
        """Send all of `data`, or nothing when the task is cancelled before. One task at a time.

        Lets other tasks run. Raises `ConnectionBroken`, also when it is not accepted within `SEND_S`.
        """
        ...

    async def aclose(self) -> None:
        """Close the socket at once. Wakes the task that receives."""
        ...


class Background(Protocol):
    """Tasks that run beside a block, see `Backend.open_background`."""

    def start_soon(self, function: AsyncFunction, /, *args: Any) -> object:
        """Run `function(*args)` in a task of its own."""
        ...


class Backend(Protocol):
    """An async library, as far as the client needs it."""

    def new_event(self) -> Event:
        """An event that is not set."""
        ...

    def new_lock(self) -> AbstractAsyncContextManager[object]:
        """A lock; tasks get it in the order in which they came."""
        ...

    def time(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        ...

    def move_on_after(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """A block that is cancelled after `seconds`. The program then goes on behind it."""
        ...

    async def run_shielded(self, seconds: float, function: AsyncFunction) -> None:
        """Run `function`, for `seconds` at most, to its end even when the task is cancelled."""
        ...

    def open_background(self) -> AbstractAsyncContextManager[Background]:
        """Tasks that are cancelled at the end of the block. What the block raises is not wrapped.

        Raises an exception group when a task raises; the block is cancelled then.
        """
        ...

    async def open_stream(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> Stream:
        """Connect, with TLS when there is a context. Raises `OSError`, of which `ssl.SSLError` is one."""
        ...
