"""How the members of a room are written into its record, so that the next owner waits for them. Pure (SPEC 5.5).

The value `seats` has who is connected or waited for; leases are in the presence store. It has no time: how old a record
is, the store knows, whose clock is the same for all gateways.

Overload: of a room with more than `SEATS` members nobody is written: after a move they are shown as they come back.
Crash and shutdown: see `omnisonic.actors.sync.room_memory`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from omnisonic.actors.rooms.seat import Entry, Wait
from omnisonic.models import Member, UserId

SEATS: Final = 512
MOVED_S: Final = 5.0
"""How long members are waited for whose room has moved, at least."""
NOTICE_S: Final = 2.0
"""The others are told that a member is not connected when they have not come back after a move within this time."""
LOST: Final = "lost"


class _Seat(msgspec.Struct, array_like=True, frozen=True):
    member: Member
    person: UserId | None
    is_listener: bool
    pending: list[bytes]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[_Seat]).decode


def encode_seats(entries: Sequence[Entry]) -> bytes:
    """The value `seats` for these entries."""
    seats = [
        _Seat(entry.member, entry.person, entry.is_listener, list(entry.pending))
        for entry in entries
        if entry.connection is not None or entry.wait is not None
    ]
    return _encode(seats if len(seats) <= SEATS else [])


def decode_seats(value: bytes, now_s: float, grace_s: float) -> tuple[Entry, ...]:
    """The entries for a room that begins now: each member is waited for. Nobody, when the value cannot be read."""
    try:
        seats = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    wait = Wait(now_s + max(grace_s, MOVED_S), LOST, now_s + NOTICE_S)
    return tuple(
        Entry(
            replace(each.member, connected=True), None, None, each.person, wait, tuple(each.pending), each.is_listener
        )
        for each in seats
    )
