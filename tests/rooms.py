"""A real gateway on a real socket for tests."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

import trio
from trio_websocket import wrap_client_stream

from omnisonic.actors.gateway import Gateway
from omnisonic.actors.gateway_options import GatewayOptions
from omnisonic.actors.hosting.hosted_room import Hosting
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.hooks import RoomContext
from omnisonic.actors.rooms.state import RoomState
from omnisonic.errors import Unavailable
from omnisonic.models import Member
from omnisonic.operations.gateway_process import open_gateway
from omnisonic.settings.origins import HostPolicy, OriginPolicy
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.stores.room_memory import RoomMemoryStore
from omnisonic.wire.messages import Envelope
from tests.clients import DEADLINE_S, Bare, Client, masked_frame, upgrade_request

__all__ = [
    "DEADLINE_S",
    "PoisonedRoom",
    "Stage",
    "becomes",
    "eventually",
    "listening",
    "masked_frame",
    "open_stage",
    "upgrade_request",
]

POLL_S: Final = 0.005
"""How often a test looks whether what it waits for is so."""
OPTIONS: Final = GatewayOptions(
    hosts=HostPolicy(frozenset({"127.0.0.1", "localhost"})),
    origins=OriginPolicy(frozenset({"http://127.0.0.1:3000"})),
)


class PoisonedRoom(RoomState):
    """A room that cannot bear the message type `poison`."""

    def on_message(self, member: Member, envelope: Envelope) -> bool:
        if envelope.type == "poison":
            raise ValueError("poison")
        return True

    def on_external(self, envelope: Envelope) -> bool:
        return self.on_message(Member("nobody", "Nobody"), envelope)


@dataclass(frozen=True)
class Stage:
    """A running gateway and where to reach it."""

    gateway: Gateway
    presence: PresenceStore
    bus: Bus
    port: int

    def target(self, member: str = "ada", room: str = "jam", **query: str) -> str:
        """The path and query by which `member` enters `room`."""
        return "/?" + urlencode({"roomId": room, "memberId": member, "displayName": member.title(), **query})

    def url(self, member: str = "ada", room: str = "jam", **query: str) -> str:
        """Where `member` enters `room`."""
        return f"ws://127.0.0.1:{self.port}{self.target(member, room, **query)}"

    def room(self, room: str = "jam") -> RoomActor:
        """The room, which must be there."""
        actor = self.gateway.room(room)
        assert actor is not None
        return actor

    def roster(self, room: str = "jam") -> list[str]:
        """Who is in the room, by their ids, as the room sees it."""
        return sorted(entry.member.member_id for entry in self.room(room).entries)

    async def mirrored(self, room: str = "jam") -> list[str]:
        """Who is in the room, as the presence store tells it."""
        return [line.member_id for line in await self.presence.members(room)]

    @asynccontextmanager
    async def member(self, member: str = "ada", room: str = "jam", **query: str) -> AsyncIterator[Client]:
        """A member who has been welcomed; leaves in order with the block."""
        # Its own stream, because trio-websocket leaves the stream open when the server has closed.
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream, trio.open_nursery() as nursery:
            target = self.target(member, room, **query)
            websocket = await wrap_client_stream(nursery, stream, f"127.0.0.1:{self.port}", target)
            client = Client(websocket)
            client.welcome = await client.next("welcome")
            try:
                yield client
            finally:
                await websocket.aclose()

    @asynccontextmanager
    async def band(self, *members: str, room: str = "jam") -> AsyncIterator[list[Client]]:
        """Several members, each of whom has seen the others come."""
        async with AsyncExitStack() as stack:
            clients: list[Client] = []
            for member in members:
                newcomer = await stack.enter_async_context(self.member(member, room))
                for client in clients:
                    await client.next("presence.join")
                clients.append(newcomer)
            yield clients

    async def bare(self, *, receive_buffer_bytes: int = 0) -> Bare:
        """A connection that has said nothing yet."""
        sock = trio.socket.socket()
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        await sock.connect(("127.0.0.1", self.port))
        return Bare(trio.SocketStream(sock))

    async def bare_member(
        self, member: str = "ada", room: str = "jam", *, receive_buffer_bytes: int = 0, **query: str
    ) -> Bare:
        """A member as a bare stream, who has been welcomed. Leaves without a word when it is closed."""
        bare = await self.bare(receive_buffer_bytes=receive_buffer_bytes)
        await bare.stream.send_all(upgrade_request(self.target(member, room, **query), self.port))
        head = await bare.head()
        assert head.startswith(b"HTTP/1.1 101"), head
        bare.welcome = await bare.next("welcome")
        return bare

    @asynccontextmanager
    async def crowd(self, count: int, *, rooms: int = 1, room: str = "jam") -> AsyncIterator[list[Bare]]:
        """`count` bare members, `m0` and so on, in turn in `rooms` rooms: `jam0` and so on, or `jam` when it is one."""
        async with AsyncExitStack() as stack:
            members = []
            for number in range(count):
                where = room if rooms == 1 else f"{room}{number % rooms}"
                members.append(await stack.enter_async_context(await self.bare_member(f"m{number}", where)))
            yield members


@asynccontextmanager
async def open_stage(
    *,
    presence: PresenceStore | None = None,
    bus: Bus | None = None,
    memory: RoomMemoryStore | None = None,
    room_class: Callable[[RoomContext], RoomState] = RoomState,
    hosting: Hosting | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    """Run a gateway on a free port. `options` are fields of `GatewayOptions`."""
    presence, bus = presence or MemoryPresence(), bus or MemoryBus()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    async with open_gateway(
        replace(OPTIONS, **options),
        [listener],
        presence=presence,
        bus=bus,
        memory=memory,
        owner="test",
        room_class=room_class,
        hosting=hosting,
    ) as gateway:
        yield Stage(gateway, presence, bus, port)


async def listening(stage: Stage, gateways: int = 1) -> None:
    """Wait until the gateways hear the bus: what is published then reaches them."""

    async def received() -> bool:
        try:
            return await stage.bus.publish(ROOM_EVENTS, b"{}") >= gateways
        except Unavailable:  # a busy machine: it is asked again, for what is promised of a publish is not tried here
            return False

    await becomes(received, wanted=True)


async def eventually(holds: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait until `holds()`; fail when it does not in time."""

    async def look() -> bool:
        return holds()

    await becomes(look, wanted=True, deadline_s=deadline_s)


async def becomes(look: Callable[[], Awaitable[object]], wanted: object, deadline_s: float = DEADLINE_S) -> None:
    """Wait until `look()` sees what is `wanted`; fail with what it saw last when it does not in time."""
    seen: object = None
    with trio.move_on_after(deadline_s):
        while True:
            seen = await look()
            if seen == wanted:
                return
            await trio.sleep(POLL_S)
    assert seen == wanted, f"still not so after {deadline_s:g} s"
