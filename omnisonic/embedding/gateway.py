"""`open_gateway`: rooms inside a trio program, without Redis, Postgres or a web framework (SPEC 8).

It runs the same gateway as the studio (`omnisonic.actors`), without the presence store and the bus. The rooms exist in
this process only; the program reaches them by `RunningGateway`.

Overload: the limits of `Limits`. Crash: a room that crashes is restarted; a crash of the gateway itself cancels the
block and is raised. Shutdown: all connections are closed with 1001, within `SHUTDOWN_S`.
"""

import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack

import trio

from omnisonic.actors.admission.admission import OpenAdmission
from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.actors.gateway import SHUTDOWN_S, Gateway
from omnisonic.actors.gateway_options import GatewayOptions
from omnisonic.actors.hosting.hook_contract import require_plain_function
from omnisonic.actors.hosting.hosted_room import Hosting, OnMessage, make_envelope
from omnisonic.actors.hosting.hosting_tasks import HostingTasks
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.history import HistoryLimits
from omnisonic.actors.rooms.mailbox import Dismiss, DropLease, ExternalMessage, Remove
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.sync.room_memory import RoomMemoryWriter
from omnisonic.concurrency.async_library import require_async_library
from omnisonic.concurrency.background import open_background
from omnisonic.embedding.admission import Admit, HookAdmission
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.settings.origins import WILDCARDS, OriginPolicy
from omnisonic.settings.settings import Settings
from omnisonic.stores.room_memory.memory import InProcessRoomMemory
from omnisonic.wire.closing import CloseCode, Closing

BACKLOG: Final = 1024


class Limits(TypedDict, total=False):
    """The limits that `open_gateway` takes as keyword arguments. 0: no limit. What is left out has its default.

    Args:
        member_rate_per_s: Messages per second that one member may send (500).
        member_burst: Messages that one member may send at once (1000).
        member_queue_bytes: Bytes that may wait for a member who does not read (262144).
        max_connections: Connections of the whole gateway (20000).
        max_connections_per_address: Connections from one IP address (5000).
        max_members_per_room: Members in one room (2000).
        reconnect_grace_s: Seconds that a room waits for a member whose connection broke (15).
        history_messages: Messages that a room remembers for members who come back (512); 0: none.
        history_bytes: Bytes of messages that a room remembers (1048576).
        history_s: Seconds that a room remembers a message (300).
        empty_room_s: Seconds after which an empty room is forgotten (60).

    Example:
        limits: omnisonic.Limits = {"max_members_per_room": 8, "empty_room_s": 600}
        async with omnisonic.open_gateway(**limits) as gateway: ...
    """

    member_rate_per_s: float
    member_burst: int
    member_queue_bytes: int
    max_connections: int
    max_connections_per_address: int
    max_members_per_room: int
    reconnect_grace_s: float
    history_messages: int
    history_bytes: int
    history_s: float
    empty_room_s: float


class RunningGateway:
    """A running gateway. Created by `open_gateway`.

    Call its methods on trio's thread. None of them waits, so hooks may call them, too.

    Attributes:
        port: The port that it listens on.

    Example:
        async with omnisonic.open_gateway() as gateway:
            print(gateway.url)
            for room in gateway.rooms:
                gateway.say(room, "cue", {"bar": 17})
    """

    def __init__(self, gateway: Gateway, hosting: Hosting, host: str, port: int) -> None:
        self._gateway = gateway
        self._hosting = hosting
        self._host = host
        self.port = port

    @property
    def url(self) -> str:
        """The URL for clients on this machine, such as `ws://127.0.0.1:8080`."""
        name = "127.0.0.1" if self._host in WILDCARDS else self._host
        return f"ws://[{name}]:{self.port}" if ":" in name else f"ws://{name}:{self.port}"

    @property
    def rooms(self) -> list[RoomId]:
        """The ids of all rooms with members."""
        return [actor.room_id for actor in self._gateway.registry if actor.entries]

    def members(self, room: RoomId) -> list[Member]:
        """The members of a room, in the order they came. Empty when there is no such room."""
        actor = self._gateway.room(room)
        return [] if actor is None else [entry.member for entry in actor.entries]

    def room(self, room: RoomId) -> Room[Any] | None:
        """The current object of your room class for this room, or None. After a crash it is another object."""
        return self._hosting.room(room)

    def dead_letters(self, room: RoomId) -> list[DeadLetter]:
        """The messages that crashed this room, oldest first. The gateway keeps the last 128 of all rooms."""
        return self._gateway.registry.dead_letters.of(room)

    def say(self, room: RoomId, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Send a message into a room. It gets a place in the room's order, and its `from` is null.

        Args:
            room: The room's id.
            type: The type of the message, 1 to 128 characters.
            payload: Anything that msgspec can encode as JSON, up to 64 KiB.
            to: The only member who receives it. None: all members.

        Raises:
            InvalidInput: `room_empty` when nobody is there, `unknown_member` when `to` is not there,
                `invalid_message`, `reserved_type` or `too_large`.

        Example:
            gateway.say("jam", "cue", {"bar": 17})
        """
        envelope = make_envelope(type, payload, to)
        actor = self._gateway.room(room)
        reachable = _reachable(actor)
        if actor is None or not reachable:
            raise InvalidInput(f"Nobody is in the room {room!r}.", code="room_empty")
        if to is not None and to not in reachable:
            raise InvalidInput("The member it is for is not connected there.", code="unknown_member")
        actor.tell(ExternalMessage(envelope, _ignore))

    def kick(self, room: RoomId, member_id: MemberId, reason: str = "") -> bool:
        """Remove a member from a room (close code 4003). They may come back if `admit` lets them.

        Args:
            room: The room's id.
            member_id: The member's id.
            reason: Sent with the close code.

        Returns:
            False when the member was not in the room.
        """
        actor = self._gateway.room(room)
        entry = next((each for each in actor.entries if each.member.member_id == member_id), None) if actor else None
        if actor is None or entry is None:
            return False
        if entry.connection is not None:
            entry.connection.close(Closing(CloseCode.KICKED, reason))
        if entry.wait is not None:
            actor.tell(Remove(member_id, Closing(CloseCode.KICKED).word))
        actor.tell(DropLease(member_id, entry.person))
        return True

    def close_room(self, room: RoomId, reason: str = "") -> bool:
        """Remove all members from a room (close code 4004).

        Args:
            room: The room's id.
            reason: Sent with the close code.

        Returns:
            False when nobody was in the room.
        """
        actor = self._gateway.room(room)
        if actor is None or not actor.entries:
            return False
        actor.tell(Dismiss(Closing(CloseCode.ROOM_CLOSED, reason)))
        return True


@asynccontextmanager
async def open_gateway(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    admit: Admit | None = None,
    on_message: OnMessage | None = None,
    room_class: Callable[[Any], Room[Any]] = Room,
    allowed_origins: Collection[str] = (),
    allowed_hosts: Collection[str] = (),
    **limits: Unpack[Limits],
) -> AsyncIterator[RunningGateway]:
    """Run rooms until the block ends.

    Args:
        host: Address to listen on.
        port: Port to listen on. 0 picks a free one; see `gateway.url`.
        admit: Decides who may enter: a function that takes a `Request`. Plain, or async with 2 s. Without it, anybody
            may enter.
        on_message: `on_message(room, member, message)` receives the messages of all rooms, before `Room.on_message`,
            and returns the same values. A plain function.
        room_class: Your subclass of `Room`, or a function that takes a `RoomHost` and returns a room.
        allowed_origins: The origins whose pages may connect, such as `https://band.example`. Without any, no page may
            connect. Programs, which send no `Origin`, may always connect.
        allowed_hosts: The values of the `Host` header that are answered. Defaults to the names of `host`.
        **limits: See `Limits`.

    Yields:
        A `RunningGateway` that accepts connections.

    Raises:
        OSError: It cannot listen there.
        ValueError: A limit or an origin has an impossible value.
        TypeError: A hook is not a plain function, or a limit has an unknown name.
        WrongAsyncLibrary: The program runs on asyncio. Run the gateway in a trio program.

    At the end of the block all connections are closed with 1001, which tells clients to reconnect later, within 5 s.
    Then rooms are saved, within 10 s. What the block raises is not wrapped in a group.

    Example:
        async with omnisonic.open_gateway(port=8080) as gateway:
            print(gateway.url)
            await trio.sleep_forever()
    """
    require_async_library("trio", "run the gateway in a trio program, and join its rooms with omnisonic.aio.connect")
    if on_message is not None:
        require_plain_function(on_message, "on_message")
    hosting = Hosting(room_class, on_message)
    options = _options(host, admit, allowed_origins, allowed_hosts, limits)
    listener = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    with listener:
        async with open_background() as background:
            gateway = Gateway(options, background, hosting.create_room)
            hosted = HostingTasks(hosting, gateway, background)
            try:
                # What a room that was empty remembers, for when somebody comes back to it.
                memory = InProcessRoomMemory(blocks_ttl_s=options.history.age_s)
                writer = RoomMemoryWriter(memory, owner=gateway.name, now_ms=options.now_ms)
                gateway.registry.memory_watcher = writer
                await gateway.start_child("memory", writer.run)
                await hosted.start()
                await gateway.start([listener])
                yield RunningGateway(gateway, hosting, host, listener.getsockname()[1])
            finally:
                has_crashed = background.cancel_scope.cancel_called
                with trio.CancelScope(shield=True):
                    await gateway.shutdown(
                        0.0 if has_crashed else SHUTDOWN_S
                    )  # after a crash nobody can send close frames
                    await hosted.save_all()
                    background.cancel_scope.cancel()
                    gateway.close()


def _options(
    host: str, admit: Admit | None, origins: Collection[str], hosts: Collection[str], limits: Limits
) -> GatewayOptions:
    known = Limits.__annotations__
    if unknown := limits.keys() - known.keys():
        raise TypeError(f"open_gateway() knows no {', '.join(sorted(unknown))}; there is {', '.join(known)}.")
    given: dict[str, Any] = {**limits, "allowed_origins": frozenset(origins), "allowed_hosts": frozenset(hosts)}
    empty_room_s = given.pop("empty_room_s", None)
    settings = Settings(gateway_host=host, **given)
    options = GatewayOptions(
        hosts=settings.host_policy(host),
        origins=OriginPolicy(settings.allowed_origins),
        admission=OpenAdmission() if admit is None else HookAdmission(admit),
        rate=RateLimit.of(settings.member_rate_per_s, settings.member_burst),
        queue_bytes=settings.member_queue_bytes,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        max_members_per_room=settings.max_members_per_room,
        grace_s=settings.reconnect_grace_s,
        history=HistoryLimits(settings.history_messages, settings.history_bytes, settings.history_s),
    )
    return options if empty_room_s is None else replace(options, empty_room_s=empty_room_s)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _reachable(actor: RoomActor | None) -> set[MemberId]:
    """The members who get what is sent to them: those with a connection, and those who are waited for."""
    entries = () if actor is None else actor.entries
    return {each.member.member_id for each in entries if each.connection is not None or each.wait is not None}


def _ignore(_reply: object) -> None:
    """The result is visible in the room."""
