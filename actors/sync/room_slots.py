"""How the messages that a room has accepted are written into its record. Pure (DESIGN 7).

They are in `SLOTS` values, `acknowledged:N`, that are overwritten in turn, so that a write has only the newest. The
room may know older ones, of members who have said nothing for a while: the last write of an owner has these, too.

Overload: bounded by the room's memory. Crash and shutdown: see `omnisonic.actors.sync.room_memory`.
"""

from typing import Final

import msgspec

from omnisonic.actors.rooms.acknowledged import Accepted, MessageKey
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.models import MemberId
from omnisonic.stores.room_memory import RoomRecord
from omnisonic.wire.messages import ReplyId

SLOT_ENTRIES: Final = 64
SLOTS: Final = 18
"""More than `ACKNOWLEDGED` entries together, also when one is used again."""


class _Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that was accepted.

    `written_id`: its `id`. MessagePack has no number over 64 bits: such a one is a list with its digits.
    """

    sender: MemberId
    written_id: str | int | tuple[str]
    offset: int
    checksum: int
    version: int | None = None

    @property
    def id(self) -> ReplyId:
        """The `id` of the message."""
        return int(self.written_id[0]) if isinstance(self.written_id, tuple) else self.written_id


class _Slot(msgspec.Struct, array_like=True, frozen=True):
    """A value `acknowledged:N`. `turn` is higher in a slot that was written later."""

    turn: int
    entries: list[_Entry]


_encode: Final = msgspec.msgpack.Encoder().encode


def slots_since(memory: RoomMemory, written: int | None, *, is_last: bool) -> dict[str, bytes]:
    """The slots with messages that were accepted since `total` had the value `written`; None: all of them.

    `is_last`: the room is left to the next owner. What is known and was overwritten is written again.
    """
    acknowledged = memory.acknowledged
    if is_last and acknowledged.total >= SLOTS * SLOT_ENTRIES:
        written = None
    if written == acknowledged.total:
        return {}
    values = {} if written is not None else {f"acknowledged:{slot}": b"" for slot in range(SLOTS)}
    oldest = acknowledged.total - len(acknowledged)
    turn = (oldest if written is None else max(oldest, written)) // SLOT_ENTRIES
    added = acknowledged.added_since(turn * SLOT_ENTRIES)
    for start in range(0, len(added), SLOT_ENTRIES):
        entries = [_entry(*each) for each in added[start : start + SLOT_ENTRIES]]
        values[f"acknowledged:{turn % SLOTS}"] = _encode(_Slot(turn, entries))
        turn += 1
    return values


def _entry(key: MessageKey, accepted: Accepted) -> _Entry:
    sender, id_ = key
    is_long = isinstance(id_, int) and not -(1 << 63) <= id_ < 1 << 63
    written_id = (str(id_),) if is_long else id_
    return _Entry(sender, written_id, accepted.offset, accepted.checksum, accepted.version)


def read_slots(record: RoomRecord) -> list[_Slot]:
    """The slots in the order in which they were written."""
    values = [value for name, value in record.values.items() if name.startswith("acknowledged:") and value]
    return sorted((msgspec.msgpack.decode(value, type=_Slot) for value in values), key=lambda slot: slot.turn)
