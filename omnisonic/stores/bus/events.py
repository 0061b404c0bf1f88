"""The events on `ROOM_EVENTS`, which the web publishes and the gateways receive (SPEC 3, 5.1).

`person` in a lease is the user who owns it, where users are known; only they can change it. `trace` is the trace in
which an event happened (`omnisonic.observability.trace_context`); `encode` sets it.
"""

from typing import TypeAlias

import msgspec

from omnisonic.models import LoginId, Member, MemberId, Role, RoomId, UserId
from omnisonic.observability.trace_context import Trace, current_trace


class LeasePut(msgspec.Struct, frozen=True, tag_field="event", tag="lease.put", rename="camel"):
    """A member is present without a socket, for `ttl_s` seconds from now."""

    room: RoomId
    member: Member
    ttl_s: float
    person: UserId | None = None
    trace: Trace | None = None


class RoomSaid(msgspec.Struct, frozen=True, tag_field="event", tag="room.said", rename="camel"):
    """A message into a room from outside of it, as JSON. `to` is one member, or None for everybody.

    With `reply_to`, the name of a channel, the gateway that has the room publishes a `Reply` there. Other gateways do
    not answer.
    """

    room: RoomId
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: MemberId | None = None
    reply_to: str | None = None
    trace: Trace | None = None


class RoomClosed(msgspec.Struct, frozen=True, tag_field="event", tag="room.closed", rename="camel"):
    """The room's session was deleted: all its connections are closed (4004)."""

    room: RoomId
    trace: Trace | None = None


class RoleLost(msgspec.Struct, frozen=True, tag_field="event", tag="role.lost", rename="camel"):
    """A user has lost the role in the room's session: their connections are closed (4003)."""

    room: RoomId
    person: UserId
    trace: Trace | None = None


class RoleChanged(msgspec.Struct, frozen=True, tag_field="event", tag="role.changed", rename="camel"):
    """A user has another role in the room's session: what their connections may do follows it."""

    room: RoomId
    person: UserId
    role: Role
    trace: Trace | None = None


class LoginEnded(msgspec.Struct, frozen=True, tag_field="event", tag="login.ended", rename="camel"):
    """A sign-in has ended: the connections that were opened with it are closed (4003)."""

    login: LoginId
    trace: Trace | None = None


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of a `RoomSaid`: its offset in the room's order, or why it was refused."""

    offset: int = 0
    code: str = ""
    message: str = ""


class LeaseDropped(msgspec.Struct, frozen=True, tag_field="event", tag="lease.dropped", rename="camel"):
    """A lease was removed."""

    room: RoomId
    member_id: MemberId
    person: UserId | None = None
    trace: Trace | None = None


RoomEvent: TypeAlias = LeasePut | LeaseDropped | RoomSaid | RoomClosed | RoleLost | RoleChanged | LoginEnded

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[RoomEvent] = msgspec.json.Decoder(RoomEvent)


def encode(event: RoomEvent) -> bytes:
    """Encode `event` for the bus, with the current trace."""
    trace = current_trace()
    return _encoder.encode(event if trace is None else msgspec.structs.replace(event, trace=trace))


def decode(data: bytes) -> RoomEvent:
    """Decode an event. Errors: `msgspec.DecodeError` when it is not one, or of a newer version."""
    return _decoder.decode(data)
