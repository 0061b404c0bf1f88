"""The events on `ROOM_EVENTS`: what the web side tells a room (SPEC 3, presence rows)."""

from typing import TypeAlias

import msgspec

from omnisonic.models import Member, MemberId, RoomId


class LeasePut(msgspec.Struct, frozen=True, tag="lease.put", rename="camel"):
    """Someone is present without a socket, for `ttl_s` seconds from now."""

    room: RoomId
    member: Member
    ttl_s: float


class LeaseDropped(msgspec.Struct, frozen=True, tag="lease.dropped", rename="camel"):
    """Their lease was taken back."""

    room: RoomId
    member_id: MemberId


RoomEvent: TypeAlias = LeasePut | LeaseDropped

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[RoomEvent] = msgspec.json.Decoder(RoomEvent)


def encode(event: RoomEvent) -> bytes:
    """The bytes of `event` on the bus."""
    return _encoder.encode(event)


def decode(data: bytes) -> RoomEvent:
    """The event in `data`. Errors: `msgspec.DecodeError` when it is none (a newer version's, or not ours)."""
    return _decoder.decode(data)
