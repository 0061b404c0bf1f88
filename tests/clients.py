"""Clients for tests of the gateway.

`Client` is trio-websocket: a real client that judges the protocol. `Bare` is a plain stream, for bad manners, for what
exactly comes over the wire, and for crowds.
"""

import base64
import json
import os
import struct
from contextlib import suppress
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

DEADLINE_S: Final = 5.0
"""Nothing that a test waits for takes this long, unless it is broken."""

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
"""First bytes of whole frames: FIN and the opcode."""
FRAGMENT_OF_TEXT: Final = 0x01
FRAGMENT_OF_BINARY: Final = 0x02
"""A message in fragments begins, without FIN; `MORE` and `LAST` go on with it."""
MORE: Final = 0x00
LAST: Final = 0x80


class Client:
    """One member at the far end of a real WebSocket."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.welcome: dict[str, Any] = {}

    async def say(self, type_: str, payload: object = None, **fields: object) -> None:
        """Send an envelope."""
        await self.websocket.send_message(envelope(type_, payload, **fields))

    async def send(self, message: str | bytes) -> None:
        """Send anything."""
        await self.websocket.send_message(message)

    async def hear(self) -> dict[str, Any]:
        """The next message, whatever it is. A binary one is `{"bytes": …}`."""
        with trio.fail_after(DEADLINE_S):
            message = await self.websocket.get_message()
        return {"type": None, "bytes": message} if isinstance(message, bytes) else json.loads(message)

    async def next(self, type_: str | None) -> dict[str, Any]:
        """The next message of this type; others are passed over. None is a binary message."""
        while True:
            message = await self.hear()
            if message["type"] == type_:
                return message

    async def until(self, type_: str) -> list[dict[str, Any]]:
        """All messages until the next one of this type, which is passed over."""
        messages = []
        while (message := await self.hear())["type"] != type_:
            messages.append(message)
        return messages

    async def error(self) -> str:
        """The code of the next message, which must be an error in a sentence."""
        message = await self.hear()
        assert message["type"] == "error", message
        assert message["payload"]["message"].endswith("."), message
        return str(message["payload"]["code"])

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closes; with which code and reason."""
        with trio.fail_after(DEADLINE_S), suppress(ConnectionClosed):
            while True:
                await self.websocket.get_message()
        reason = self.websocket.closed
        assert reason is not None
        return reason.code, reason.reason or ""


class Bare(trio.abc.AsyncResource):
    """A client on a bare stream. Frames go out as they are told, and come in one by one, within `deadline_s` each."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.deadline_s = DEADLINE_S
        self.welcome: dict[str, Any] = {}
        self._received = bytearray()

    async def send(self, first: int, payload: bytes = b"") -> None:
        """Send a frame with this first byte."""
        await self.stream.send_all(masked_frame(first, payload))

    async def say(self, type_: str, payload: object = None, **fields: object) -> None:
        """Send an envelope."""
        await self.send(TEXT, envelope(type_, payload, **fields).encode())

    async def head(self) -> bytes:
        """The head of the server's HTTP answer."""
        while b"\r\n\r\n" not in self._received:
            assert await self._receive(), bytes(self._received)
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received = bytearray(rest)
        return head

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload. Errors: `EOFError` when the server has ended the stream."""
        while (cut := cut_frame(self._received)) is None:
            if not await self._receive():
                assert not self._received, f"the stream ended within a frame: {bytes(self._received)!r}"
                raise EOFError
        first, start, end = cut
        payload = bytes(self._received[start:end])
        del self._received[:end]
        return first, payload

    async def hear(self) -> dict[str, Any]:
        """The next text message; other frames are passed over."""
        while True:
            first, payload = await self.frame()
            if first == TEXT:
                return dict(json.loads(payload))

    async def next(self, type_: str) -> dict[str, Any]:
        """The next message of this type; others are passed over."""
        while (message := await self.hear())["type"] != type_:
            pass
        return message

    async def rest(self) -> bytes:
        """All that still comes until the server ends the stream."""
        while await self._receive():
            pass
        rest, self._received = bytes(self._received), bytearray()
        return rest

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closes; with which code and reason. Nothing may come after a close."""
        while True:
            first, payload = await self.frame()
            if first == CLOSE:
                assert await self.rest() == b""
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def aclose(self) -> None:
        await self.stream.aclose()

    async def _receive(self) -> bool:
        with trio.fail_after(self.deadline_s):
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return False  # reset, because the server did not want to read what was on its way
        self._received += data
        return bool(data)


def cut_frame(received: bytearray) -> tuple[int, int, int] | None:
    """The first byte of the first frame in `received`, and where its payload starts and ends, when it is whole."""
    if len(received) < 2:
        return None
    size, start = received[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(received[2:start], "big")
    return None if len(received) < start + size else (received[0], start, start + size)


def envelope(type_: str, payload: object = None, **fields: object) -> str:
    """A client's message as JSON."""
    return json.dumps({"type": type_, "payload": payload, **fields})


def upgrade_request(target: str, port: int, **headers: str) -> bytes:
    """The bytes of an opening handshake; `headers` replace or add, with `_` for `-`, and an empty one is left out."""
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def masked_frame(first: int, payload: bytes, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame with this first byte (FIN, RSV and opcode)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    repeated = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return head + mask + masked.to_bytes(size, "little")
