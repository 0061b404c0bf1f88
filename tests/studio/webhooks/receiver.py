"""A receiver of webhooks on a real socket, which answers as the test wants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

OK: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
HANG: Final = b""
"""Never answers."""
ENDLESS: Final = b"HTTP/1.1 200 OK\r\n\r\n"
"""Begins a body that does not end."""
CHUNK: Final = b"x" * 65_536


def status(line: str, *headers: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {line}", "Content-Length: 0", *headers, "", ""]).encode()


@dataclass
class Request:
    """What the receiver got."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it got, and what it answers to each request, in turn; the last answer stays."""

    url: str = ""
    answers: list[bytes] = field(default_factory=lambda: [OK])
    requests: list[Request] = field(default_factory=list)
    sent_bytes: int = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection."""
        data = b""
        with trio.CancelScope():
            try:
                while True:
                    while b"\r\n\r\n" not in data:
                        if not (more := await stream.receive_some()):
                            return
                        data += more
                    head, _, data = data.partition(b"\r\n\r\n")
                    lines = head.decode().split("\r\n")[1:]
                    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                    while len(data) < int(headers["content-length"]):
                        data += await stream.receive_some()
                    size = int(headers["content-length"])
                    self.requests.append(Request(headers, data[:size]))
                    data = data[size:]
                    await self._answer(stream)
            except trio.BrokenResourceError:
                return

    async def _answer(self, stream: trio.SocketStream) -> None:
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if answer == HANG:
            await trio.sleep_forever()
        await stream.send_all(answer)
        while answer == ENDLESS:
            await stream.send_all(CHUNK)
            self.sent_bytes += len(CHUNK)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port, until the block ends."""
    receiver = Receiver()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, receiver.serve, 0)
        port = listeners[0].socket.getsockname()[1]
        receiver.url = f"http://localhost:{port}/hooks"
        yield receiver
        nursery.cancel_scope.cancel()
