"""The events on `ROOM_EVENTS`: what the web side tells the rooms and who watches over them (SPEC 3, 5.1).

`person` in a lease is whose it is, where people are known; only they may change it. `trace` is the trace in which an
event happened (`omnisonic.observability.trace_context`); `encode` puts it there.
"""

from typing import TypeAlias

import msgspec

from omnisonic.models import LoginId, Member, MemberId, RoomId, UserId
from omnisonic.observability.trace_context import Trace, current_trace


class LeasePut(msgspec.Struct, frozen=True, tag_field="event", tag="lease.put", rename="camel"):
    """Someone is present without a socket, for `ttl_s` seconds from now."""

    room: RoomId
    member: Member
    ttl_s: float
    person: UserId | None = None
    trace: Trace | None = None


class RoomSaid(msgspec.Struct, frozen=True, tag_field="event", tag="room.said", rename="camel"):
    """Something said into a room from outside of it, as JSON; `to` is one member, or None for everybody.

    Who wants to hear what became of it names a channel in `reply_to`, and gets a `Reply` from the gateway that has the
    room; a gateway that has not does not answer.
    """

    room: RoomId
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: MemberId | None = None
    reply_to: str | None = None
    trace: Trace | None = None


class RoomClosed(msgspec.Struct, frozen=True, tag_field="event", tag="room.closed", rename="camel"):
    """The room's session is gone: everybody goes (4004)."""

    room: RoomId
    trace: Trace | None = None


class RoleLost(msgspec.Struct, frozen=True, tag_field="event", tag="role.lost", rename="camel"):
    """Somebody has no role in the room's session any more: they go (4003)."""

    room: RoomId
    person: UserId
    trace: Trace | None = None


class LoginEnded(msgspec.Struct, frozen=True, tag_field="event", tag="login.ended", rename="camel"):
    """A sign-in has ended: whoever is in a room by it goes (4003)."""

    login: LoginId
    trace: Trace | None = None


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of something said: its place in the room's order, or why it was refused."""

    offset: int = 0
    code: str = ""
    message: str = ""


class LeaseDropped(msgspec.Struct, frozen=True, tag_field="event", tag="lease.dropped", rename="camel"):
    """Their lease was taken back."""

    room: RoomId
    member_id: MemberId
    person: UserId | None = None
    trace: Trace | None = None


RoomEvent: TypeAlias = LeasePut | LeaseDropped | RoomSaid | RoomClosed | RoleLost | LoginEnded

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[RoomEvent] = msgspec.json.Decoder(RoomEvent)


def encode(event: RoomEvent) -> bytes:
    """The bytes of `event` on the bus, with the trace in which that is asked for."""
    trace = current_trace()
    return _encoder.encode(event if trace is None else msgspec.structs.replace(event, trace=trace))


def decode(data: bytes) -> RoomEvent:
    """The event in `data`. Errors: `msgspec.DecodeError` when it is none (a newer version's, or not ours)."""
    return _decoder.decode(data)
