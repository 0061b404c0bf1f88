"""The detour: trio-websocket as the authority on every frame that is not plain (DESIGN 2, point 3).

Made for a connection the first time its client sends a fragment, a long frame or a broken one. It is a
`trio.abc.Stream` under trio-websocket's public `wrap_server_stream`: what the client sent goes in, what trio-websocket
answers goes out through the connection. The opening handshake was done before, so a plain one is played to it first,
and its answer is dropped.

Overload: the poller stops at the room's rate limit; messages are handed over one by one. Crash: closes this connection
with 1011. Shutdown: cancelled with the gateway's nursery, or by the connection's end (`feed(b"")`).
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
    b"GET / HTTP/1.1\r\nHost: detour\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_CLOSE_BYTE: Final = 0x88
PENDING_MESSAGES: Final = 2
"""This many of the largest messages may wait for trio-websocket; more comes only from a client that floods."""


class SlowPath(trio.abc.Stream):
    """One connection's odd bytes on their way through trio-websocket."""

    def __init__(self, connection: "SocketConnection", largest_bytes: int = LARGEST_MESSAGE_BYTES) -> None:
        self._connection = connection
        self._largest_bytes = largest_bytes
        self._received = bytearray()
        self._more = trio.Event()
        self._ended = False
        self._is_request_sent = False
        self._is_open = False

    def feed(self, odd: bytes) -> None:
        """Take what the client sent; nothing at all means that it is gone."""
        if odd:
            self._received += odd
        else:
            self._ended = True
        if len(self._received) > PENDING_MESSAGES * self._largest_bytes:
            self._connection.close(Closing(CloseCode.TOO_BIG, "too much at once"))
            self._ended = True
        self._more.set()

    def give_up(self) -> None:
        """Nothing more is to come through: drop what has not."""
        self._received.clear()
        self.feed(b"")

    async def run(self) -> None:
        """Hand over every message that comes through, until the connection ends."""
        if self._ended:
            return
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, self, max_message_size=self._largest_bytes)
                await self._receive_messages(await request.accept())
                nursery.cancel_scope.cancel()
        except Exception as crash:  # noqa: BLE001 - one connection's fault must not end the others
            self._connection.on_crash(crash)

    async def _receive_messages(self, websocket: WebSocketConnection) -> None:
        while True:
            try:
                message = await websocket.get_message()
            except ConnectionClosed as closed:
                if closed.reason is not None:  # a breach of the protocol, which trio-websocket tells only to us
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
            self._is_open = True  # the answer to the opening that was played
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
    """The row of the table that a close by trio-websocket is; a code of the client's own is a normal leave."""
    try:
        return Closing(CloseCode(code), reason)
    except ValueError:
        return Closing(CloseCode.NORMAL)
