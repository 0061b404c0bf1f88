"""The slow path: trio-websocket decides about every frame that is not plain (DESIGN 2, point 3).

Created the first time a client sends a fragment, a long frame or a broken one. It is a `trio.abc.Stream` for
trio-websocket's public `wrap_server_stream`: it reads what the client sent, and what it writes goes out through the
connection. The opening handshake is already done, so the slow path starts with a handshake of its own and drops the
answer.

Overload: the room's rate limit applies; messages are handed over one by one. Crash: closes this connection with 1011.
Shutdown: cancelled with the gateway's nursery, or ended by the connection (`feed(b"")`).
"""

from typing import TYPE_CHECKING, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import BINARY, TEXT
from omnisonic.wire.messages import LARGEST_MESSAGE_BYTES

if TYPE_CHECKING:
    from omnisonic.actors.connections.socket_connection import SocketConnection

_UPGRADE_REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: slow-path\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_CLOSE_BYTE: Final = 0x88
PENDING_MESSAGES: Final = 2
"""This many of the largest messages may wait for trio-websocket."""


class SlowPath(trio.abc.Stream):
    """The stream between one connection and trio-websocket."""

    def __init__(self, connection: "SocketConnection", largest_bytes: int = LARGEST_MESSAGE_BYTES) -> None:
        self._connection = connection
        self._largest_bytes = largest_bytes
        self._received = bytearray()
        self._more = trio.Event()
        self._ended = False
        self._is_request_sent = False
        self._is_open = False

    def feed(self, unparsed: bytes) -> None:
        """Take what the client sent; empty bytes mean that the connection has ended."""
        if unparsed:
            self._received += unparsed
        else:
            self._ended = True
        if len(self._received) > PENDING_MESSAGES * self._largest_bytes:
            self._connection.close(Closing(CloseCode.TOO_BIG, "too much at once"))
            self._ended = True
        self._more.set()

    def give_up(self) -> None:
        """Drop what trio-websocket has not read yet, and end."""
        self._received.clear()
        self.feed(b"")

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Give every message to the connection, until it ends."""
        if self._ended:
            return
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, self, max_message_size=self._largest_bytes)
                await self._receive_messages(await request.accept())
                nursery.cancel_scope.cancel()
        except Exception as crash:  # noqa: BLE001 - a fault of one connection must not end the others
            self._connection.on_crash(crash)

    async def _receive_messages(self, websocket: WebSocketConnection) -> None:
        while True:
            try:
                message = await websocket.get_message()
            except ConnectionClosed as closed:
                if closed.reason is not None:  # a protocol error, which trio-websocket reports only here
                    self._connection.close(_make_closing(closed.reason.code, closed.reason.reason or ""))
                return
            if isinstance(message, str):
                self._connection.receive_message(TEXT, message.encode())
            else:
                self._connection.receive_message(BINARY, message)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._is_request_sent:
            self._is_request_sent = True
            return _UPGRADE_REQUEST
        while not self._received or not self._is_open:
            if self._ended:
                return b""
            self._more = trio.Event()
            await self._more.wait()
        size = len(self._received) if max_bytes is None else max_bytes
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if not self._is_open:
            self._is_open = True  # the answer to our own handshake
            self._more.set()
        elif data[0] == _CLOSE_BYTE:
            self._connection.close_on_slow_path(bytes(data), _make_closing(int.from_bytes(data[2:4], "big")))
        else:
            self._connection.push(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._ended = True
        self._more.set()
        await trio.lowlevel.checkpoint()


def _make_closing(code: int, reason: str = "") -> Closing:
    """The close for a code of trio-websocket; a code that is not in the table is a normal leave."""
    try:
        return Closing(CloseCode(code), reason)
    except ValueError:
        return Closing(CloseCode.NORMAL)
