"""A client worked by hand, step by step, for tests that move the gateway's clock themselves.

Real sockets know no mock clock: so the client never waits. A test moves time in small steps, lets the gateway do what
it does then, and looks at what has come. It must be gone before the gateway stops, which waits for it on that clock.
"""

import socket
from collections.abc import Callable
from typing import Final, Self

import trio.testing

from tests.clients import cut_frame, upgrade_request
from tests.rooms import Stage

STEP_S: Final = 0.25
QUIET_S: Final = 0.002


class ByHand:
    """A member. `frames` are those that came, with the time of the clock; `ended_s` is when the server ended it all."""

    def __init__(self, stage: Stage, member: str = "ada", *, handshake: bytes = b"") -> None:
        self.frames: list[tuple[float, int, bytes]] = []
        self.ended_s: float | None = None
        self._received = bytearray()
        self._sock = socket.create_connection(("127.0.0.1", stage.port))
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what waits in a kernel waits in real time
        self._is_in = False
        self.send(handshake or upgrade_request(stage.target(member), stage.port))

    def send(self, data: bytes) -> None:
        """Send all of it, or what the server still takes."""
        try:
            self._sock.send(data)
        except OSError:
            return

    def look(self) -> None:
        """Take what has come."""
        now_s = trio.current_time()
        try:
            while data := self._sock.recv(65_536):
                self._received += data
            self.ended_s = self.ended_s or now_s
        except BlockingIOError:
            pass
        except OSError:
            self.ended_s = self.ended_s or now_s
        if not self._is_in and self._received.startswith(b"HTTP/1.1 101 ") and b"\r\n\r\n" in self._received:
            del self._received[: self._received.index(b"\r\n\r\n") + 4]
            self._is_in = True
        while self._is_in and (cut := cut_frame(self._received)) is not None:
            first, start, end = cut
            self.frames.append((now_s, first, bytes(self._received[start:end])))
            del self._received[:end]

    @property
    def received(self) -> bytes:
        """What came that is no frame."""
        return bytes(self._received)

    def of(self, first: int) -> list[tuple[float, bytes]]:
        """When which frames with this first byte came."""
        return [(at_s, payload) for at_s, byte, payload in self.frames if byte == first]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


async def pass_time(
    clock: trio.testing.MockClock, for_s: float, *clients: ByHand, each: Callable[[], None] = lambda: None
) -> None:
    """Let time pass in steps; `each` is called after every one, when all that can happen has happened."""
    until_s = trio.current_time() + for_s
    await trio.testing.wait_all_tasks_blocked(QUIET_S)
    while True:
        for client in clients:
            client.look()
        each()
        await trio.testing.wait_all_tasks_blocked(QUIET_S)
        left_s = until_s - trio.current_time()
        if left_s <= 0:
            return
        clock.jump(min(STEP_S, left_s))
        await trio.testing.wait_all_tasks_blocked(QUIET_S)
