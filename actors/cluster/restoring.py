"""What a room begins with when it moves here: its record, and what members here have heard of it. Pure (SPEC 5.5)."""

from omnisonic.actors.cluster.shared_view import SharedView
from omnisonic.actors.cluster.tail import Tail
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.sync.room_records import RoomCopy, restore
from omnisonic.actors.sync.room_seats import MOVED_S, decode_seats
from omnisonic.stores.room_memory import Claimed
from omnisonic.wire.recovery import Position


def restore_moved(
    actor: RoomActor,
    claimed: Claimed,
    tail: Tail | None,
    view: SharedView | None,
    *,
    now_s: float,
    now_ms: int,
    grace_s: float,
) -> RoomCopy:
    """Restore a room that was claimed: its memory, and who is in it. `tail` and `view`: this gateway was an edge of it.

    Without a record, the owner died before it wrote one: the room begins with what members here know of it.
    """
    memory, record = actor.memory, claimed.record
    copy = restore(memory, claimed, now_ms)
    memory.seats = ()
    if record is None:
        begin_after(memory, tail, view)
        if tail is not None and tail.position is not None:
            everything = tail.messages_after(Position(tail.position.epoch, 0))
            memory.history.restore(everything or [], tail.position.offset)
        return copy
    if tail is not None and not record.is_clean:
        _add_tail(memory, tail)
    # An edge knows that the room was alive a moment ago; otherwise the record must be new.
    is_new = record.age_s is not None and record.age_s <= max(grace_s, MOVED_S)
    seats = decode_seats(record.values.get("seats", b""), now_s, grace_s) if is_new or tail is not None else ()
    if actor.keeps_seats and seats:
        actor.begin_with(seats)
        memory.seats = actor.entries
    return copy


def begin_after(memory: RoomMemory, tail: Tail | None, view: SharedView | None) -> None:
    """Begin a provisional room after what members here have heard at its owner."""
    memory.seats = ()
    if tail is not None and tail.position is not None:
        memory.history.restore([], tail.position.offset)
        memory.parents = (tail.position,)
        memory.presumed = tail.position
    if view is not None:
        view.copy_to(memory)


def _add_tail(memory: RoomMemory, tail: Tail) -> None:
    """Add what members here have heard and the record lacks, when nothing is missing between them."""
    if not memory.parents or tail.position is None:
        return
    recorded = memory.parents[0]
    contents = tail.messages_after(recorded)
    if contents is not None:
        memory.history.add(contents)
        memory.presumed = Position(recorded.epoch, recorded.offset + len(contents))
        memory.parents = (memory.presumed, *memory.parents[1:])
