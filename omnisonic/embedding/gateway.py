"""`open_gateway`: rooms inside anybody's trio program, without Redis, Postgres or HTTP (SPEC 8).

The parts are the studio's own gateway (`omnisonic.actors`), without what binds it to the studio's other processes: no
presence store, no bus. Its rooms are known in this process only, and `RunningGateway` is how the program reaches them.
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
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Dismiss, DropLease, ExternalMessage
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.concurrency.background import open_background
from omnisonic.embedding.admission import Admit, HookAdmission
from omnisonic.embedding.hook_contract import require_plain_function
from omnisonic.embedding.hosting import Hosting, OnMessage, outgoing
from omnisonic.embedding.rooms import Room
from omnisonic.embedding.ticker import Ticker
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId
from omnisonic.settings.origins import WILDCARDS, OriginPolicy
from omnisonic.settings.settings import Settings
from omnisonic.wire.closing import CloseCode, Closing

BACKLOG: Final = 1024


class Limits(TypedDict, total=False):
    """What a member, a room, or the gateway may have. 0 is no limit; what is left out is as in the settings."""

    member_rate_per_s: float
    member_burst: int
    member_queue_bytes: int
    max_connections: int
    max_connections_per_address: int
    max_members_per_room: int
    empty_room_s: float
    """How long an empty room is remembered."""


class RunningGateway:
    """A gateway that runs. Its methods are for the trio thread, do not wait, and may be called in hooks, too."""

    def __init__(self, gateway: Gateway, hosting: Hosting, host: str, port: int) -> None:
        self._gateway = gateway
        self._hosting = hosting
        self._host = host
        self.port = port

    @property
    def url(self) -> str:
        """Where clients on this machine reach it: `ws://127.0.0.1:8080`."""
        name = "127.0.0.1" if self._host in WILDCARDS else self._host
        return f"ws://[{name}]:{self.port}" if ":" in name else f"ws://{name}:{self.port}"

    @property
    def rooms(self) -> list[RoomId]:
        """The rooms that somebody is in."""
        return [actor.room_id for actor in self._gateway.registry if actor.entries]

    def members(self, room: RoomId) -> list[Member]:
        """Who is in this room, in the order they came; nobody, if there is no such room."""
        actor = self._gateway.room(room)
        return [] if actor is None else [entry.member for entry in actor.entries]

    def room(self, room: RoomId) -> Room[Any] | None:
        """The object of your room class that is this room now, if there is one. After a crash it is another one."""
        return self._hosting.room(room)

    def dead_letters(self, room: RoomId) -> list[DeadLetter]:
        """What has crashed this room, oldest first: of the last 128 of the whole gateway."""
        return self._gateway.registry.dead_letters.of(room)

    def say(self, room: RoomId, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Say something into a room, in the room's order, to everybody or to one. Its `from` is null.

        `payload` is anything that msgspec writes as JSON. Errors: `InvalidInput`: `room_empty` when nobody is
        connected there, `unknown_member` when `to` is not; `invalid_message`, `reserved_type`, `too_large`.
        """
        envelope = outgoing(type, payload, to)
        actor = self._gateway.room(room)
        connected = _connected(actor)
        if actor is None or not connected:
            raise InvalidInput(f"Nobody is in the room {room!r}.", code="room_empty")
        if to is not None and to not in connected:
            raise InvalidInput("The member it is for is not connected there.", code="unknown_member")
        actor.tell(ExternalMessage(envelope, _ignore))

    def kick(self, room: RoomId, member_id: MemberId, reason: str = "") -> bool:
        """Send a member out (4003). False when they were not there. They may come back if admission lets them."""
        actor = self._gateway.room(room)
        entry = next((each for each in actor.entries if each.member.member_id == member_id), None) if actor else None
        if actor is None or entry is None:
            return False
        if entry.connection is not None:
            entry.connection.close(Closing(CloseCode.KICKED, reason))
        actor.tell(DropLease(member_id, entry.person))
        return True

    def close_room(self, room: RoomId, reason: str = "") -> bool:
        """Send everybody out of a room (4004). False when nobody was there."""
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
    """Run rooms for as long as the block lasts; then everybody is told to come back later (1001).

    `port` 0 takes a free one: see `gateway.url`. Members come by any WebSocket client (docs/realtime.md).

    `admit` is asked about everybody who wants to enter (`omnisonic.Request`); without it anybody may. `on_message`
    sees what members say in all rooms, as `Room.on_message` does, which comes after it. It must be a plain function.
    `room_class` makes the rooms.
    `allowed_origins` are those whose pages may connect, such as `https://band.example`; without any, no page may, and
    programs, which send no `Origin`, do. `allowed_hosts` are the names that are answered, by default those of `host`.

    `limits` have the defaults of the settings of the same names (docs/operating.md): `member_rate_per_s` (500) and
    `member_burst` (1000 messages), `member_queue_bytes` (262144), `max_connections` (20000),
    `max_connections_per_address` (5000), `max_members_per_room` (2000); 0 is no limit. `empty_room_s` is 60.

    Errors: `OSError` when it cannot listen there; `ValueError` for a limit or an origin that cannot be; `TypeError` for
    a hook that is no plain function. What the block raises comes out as it is, after everybody had their goodbye (5 s
    at most).
    """
    if on_message is not None:
        require_plain_function(on_message, "on_message")
    hosting = Hosting(room_class, on_message)
    options = _options(host, admit, allowed_origins, allowed_hosts, limits)
    listener = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    with listener:
        async with open_background() as background:
            gateway = Gateway(options, background, hosting.make)
            try:
                hosting.registry = gateway.registry
                ticker = Ticker(gateway.registry)
                gateway.registry.watchers.append(ticker)
                hosting.ticks = ticker.on_roster_change
                await gateway.start_child("ticker", ticker.run)
                await gateway.start([listener])
                yield RunningGateway(gateway, hosting, host, listener.getsockname()[1])
            finally:
                has_crashed = background.cancel_scope.cancel_called
                with trio.CancelScope(shield=True):
                    await gateway.shutdown(0.0 if has_crashed else SHUTDOWN_S)  # then nobody is left to say goodbye
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
    )
    return options if empty_room_s is None else replace(options, empty_room_s=empty_room_s)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _connected(actor: RoomActor | None) -> set[MemberId]:
    return set() if actor is None else {each.member.member_id for each in actor.entries if each.connection is not None}


def _ignore(_reply: object) -> None:
    """What became of it is seen in the room."""
