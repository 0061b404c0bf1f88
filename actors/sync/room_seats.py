"""How the members of a room are written into its record, so that the next owner waits for them. Pure (SPEC 5.5).

The value `seats` has who is connected or waited for; leases are in the presence store. It has no time: how old a record
is, the store knows, whose clock is the same for all gateways.

Overload: of a room with more than `SEATS` members nobody is written: after a move they are shown as they come back.
Of what is kept for members who are waited for `PENDING_IN_ALL_BYTES` are written, first of those who have little; who
loses something is told of a gap. Crash and shutdown: see `omnisonic.actors.sync.room_memory`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from omnisonic.actors.rooms.seat import Entry, Wait
from omnisonic.models import Member, UserId

SEATS: Final = 512
PENDING_IN_ALL_BYTES: Final = 1_048_576
"""Each change of the roster writes all of it again."""
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
    has_lost: bool = False


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[_Seat]).decode


def encode_seats(entries: Sequence[Entry]) -> bytes:
    """The value `seats` for these entries."""
    entries = [entry for entry in entries if entry.connection is not None or entry.wait is not None]
    if len(entries) > SEATS:
        return _encode([])
    sizes = [sum(map(len, entry.pending)) for entry in entries]
    lost: set[int] = set()
    size = 0
    for index in sorted(range(len(entries)), key=sizes.__getitem__):
        size += sizes[index]
        if size > PENDING_IN_ALL_BYTES:
            lost.add(index)
    seats = [
        _Seat(
            entry.member,
            entry.person,
            entry.is_listener,
            [] if index in lost else list(entry.pending),
            entry.has_lost or index in lost,
        )
        for index, entry in enumerate(entries)
    ]
    return _encode(seats)


def decode_seats(value: bytes, now_s: float, grace_s: float) -> tuple[Entry, ...]:
    """The entries for a room that begins now: each member is waited for. Nobody, when the value cannot be read."""
    try:
        seats = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    wait = Wait(now_s + max(grace_s, MOVED_S), LOST, now_s + NOTICE_S)
    return tuple(
        Entry(
            replace(each.member, connected=True),
            None,
            None,
            each.person,
            wait,
            tuple(each.pending),
            each.is_listener,
            each.has_lost,
        )
        for each in seats
    )
