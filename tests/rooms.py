"""A real gateway on a real socket for tests, and the clients that talk to it: trio-websocket, or bare bytes."""

import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from omnisonic.actors.gateway import Gateway, GatewayOptions
from omnisonic.actors.room import Room, RoomContext
from omnisonic.bus import Bus
from omnisonic.bus.memory import MemoryBus
from omnisonic.origins import HostPolicy, OriginPolicy
from omnisonic.presence import PresenceStore
from omnisonic.presence.memory import MemoryPresence
from omnisonic.server import open_gateway
from omnisonic.wire.messages import Envelope
from omnisonic.models import Member

DEADLINE_S: Final = 5.0
"""Nothing that a test waits for takes this long, unless it is broken."""
OPTIONS: Final = GatewayOptions(
    hosts=HostPolicy(frozenset({"127.0.0.1", "localhost"})),
    origins=OriginPolicy(frozenset({"http://127.0.0.1:3000"})),
)


class PoisonedRoom(Room):
    """A room that cannot bear the message type `poison`."""

    def heard(self, member: Member, envelope: Envelope) -> bool:
        if envelope.type == "poison":
            raise ValueError("poison")
        return True


@dataclass(frozen=True)
class Stage:
    """A running gateway and where to reach it."""

    gateway: Gateway
    presence: PresenceStore
    bus: Bus
    port: int

    def url(self, room: str = "jam", member: str = "ada", name: str | None = None, **query: str) -> str:
        """Where `member` enters `room`."""
        fields = {"roomId": room, "memberId": member, "displayName": name or member.title(), **query}
        return f"ws://127.0.0.1:{self.port}/?{urlencode(fields)}"

    @asynccontextmanager
    async def member(self, room: str = "jam", member: str = "ada", **query: str) -> AsyncIterator["Client"]:
        """A member who has been welcomed; leaves in order with the block."""
        async with open_websocket_url(self.url(room, member, **query)) as websocket:
            client = Client(websocket)
            client.welcome = await client.next("welcome")
            yield client

    async def raw(self) -> trio.SocketStream:
        """A connection that has said nothing yet."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def raw_member(self, room: str = "jam", member: str = "ada", *, receive_buffer: int = 0) -> trio.SocketStream:
        """A member as a bare stream, welcomed but not read further than the handshake. For bad manners."""
        sock = trio.socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", self.port))
        stream = trio.SocketStream(sock)
        target = self.url(room, member).partition(str(self.port))[2]
        await stream.send_all(upgrade_request(target, self.port))
        head = b""
        with trio.fail_after(DEADLINE_S):
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        return stream


class Client:
    """One member at the far end of a real WebSocket."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.welcome: dict[str, Any] = {}

    async def say(self, type_: str, payload: object = None, **fields: object) -> None:
        """Send an envelope."""
        await self.websocket.send_message(json.dumps({"type": type_, "payload": payload, **fields}))

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

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closes; with which code and reason."""
        try:
            with trio.fail_after(DEADLINE_S):
                while True:
                    await self.websocket.get_message()
        except ConnectionClosed as end:
            assert end.reason is not None
            return end.reason.code, end.reason.reason or ""


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
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


@asynccontextmanager
async def open_stage(
    *,
    presence: PresenceStore | None = None,
    bus: Bus | None = None,
    room_class: Callable[[RoomContext], Room] = PoisonedRoom,
    **options: Any,
) -> AsyncIterator[Stage]:
    """Run a gateway on a free port. `options` are fields of `GatewayOptions`."""
    presence, bus = presence or MemoryPresence(), bus or MemoryBus()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    async with open_gateway(
        replace(OPTIONS, **options), [listener], presence=presence, bus=bus, owner="test", room_class=room_class
    ) as gateway:
        yield Stage(gateway, presence, bus, port)


async def eventually(holds: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait until `holds()`; fail when it does not in time."""
    with trio.fail_after(deadline_s):
        while not holds():
            await trio.lowlevel.checkpoint()
