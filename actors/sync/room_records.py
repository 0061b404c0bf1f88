"""How a room's memory is written as a record of the room memory store, and read back. Pure (DESIGN 7).

`RoomCopy` knows what the store has of one room, and makes writes of what has changed since. Messages are written in
blocks: a list of messages, in MessagePack. The other values:
- `position`: epoch, offset and parents, and the version of the shared state;
- `state`: the shared state, without what goes with its member; `transport`;
- `seats`: who is in the room, where another gateway may go on with it (`omnisonic.actors.sync.room_seats`);
- `acknowledged:N`: messages that were accepted (`omnisonic.actors.sync.room_slots`).

Overload: a write holds about as many bytes as asked for; what is left goes into the next. Crash: what the store did not
confirm counts as not written, and is written again. Shutdown: see `omnisonic.actors.sync.room_memory`.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from omnisonic.actors.rooms.acknowledged import Accepted
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.rooms.seat import Entry
from omnisonic.actors.rooms.shared_state import StateValue
from omnisonic.actors.rooms.transport import move_to_clock, resume_transport
from omnisonic.actors.sync.room_seats import encode_seats
from omnisonic.actors.sync.room_slots import read_slots, slots_since
from omnisonic.models import MemberId, RoomId
from omnisonic.stores.room_memory import RECORD_TTL_S, Block, Claimed, RoomRecord, RoomWrite
from omnisonic.wire.recovery import Position
from omnisonic.wire.transport import Transport

FORMAT: Final = 1
"""Changes when an earlier version could not read the record; what has another format counts as absent."""
PARENTS: Final = 8
"""How many earlier epochs a room knows."""
BLANK_S: Final = 600.0
"""How long a record is kept of a room in which nothing happened: whoever enters many rooms does not fill the store."""


class _Position(msgspec.Struct, array_like=True, frozen=True):
    """The value `position`."""

    format: int
    epoch: str
    offset: int
    first: int
    parents: list[Position]
    state_version: int
    at_ms: int = 0
    """The time on the clock of the gateway that wrote it; 0 when it did not say."""
    is_left: bool = False
    """Whether everybody had left; so a room that begins with it was not told of another tempo of its session."""


class _State(msgspec.Struct, array_like=True, frozen=True):
    """One key of the value `state`."""

    key: str
    value: bytes
    version: int
    by: MemberId | None


@dataclass(frozen=True, slots=True)
class _Written:
    """What the store has: up to which `offset`, from which `first` on, and when what else was written last."""

    number: int
    offset: int
    first: int
    acknowledged: int | None
    """`Acknowledged.total`; None: the slots have to be written whole."""
    state: int
    """The hash of the value `state`."""
    state_version: int
    """`SharedState.version` when it was encoded."""
    transport: Transport | None
    is_released: bool
    seats: tuple[Entry, ...] | None = None


_encode: Final = msgspec.msgpack.Encoder().encode


class RoomCopy:
    """What the store has of one room, under the fencing number of a claim. `is_lost`: another owner has claimed it."""

    __slots__ = ("_making", "_written", "fence", "is_complete", "is_lost")

    def __init__(self, fence: int) -> None:
        self.fence = fence
        self.is_lost = False
        self.is_complete = True
        """Whether the last write that was made holds all that had changed."""
        self._written: _Written | None = None
        self._making: _Written | None = None
        """What the store has when it has done the last write. It may have, when no answer came."""

    def make_write(
        self,
        room_id: RoomId,
        memory: RoomMemory,
        number: int,
        *,
        limit_bytes: int,
        is_release: bool,
        now_ms: int = 0,
    ) -> RoomWrite | None:
        """Make a write of what has changed. None when nothing has.

        Args:
            room_id: The room.
            memory: Its memory.
            number: Higher than in every write before.
            limit_bytes: Most bytes of messages, if there is more than one.
            is_release: Whether the room is left to the next owner.
            now_ms: The server's clock.
        """
        before, history = self._written, memory.history
        contents, offset = _take(memory, 0 if before is None else before.offset, limit_bytes)
        self.is_complete = offset == history.last
        is_release = is_release and self.is_complete
        version = memory.shared_state.version
        position = _Position(
            FORMAT, memory.epoch, offset, history.first, list(memory.parents), version, now_ms, memory.is_left
        )
        values = {"position": _encode(position)}
        # When no answer came, the store may have what was sent then, or not.
        known = before if self._making is None else None
        state_hash = 0 if known is None else known.state
        if known is None or known.state_version != version:
            state = _encode_state(memory)
            if known is None or hash(state) != known.state:
                values["state"] = state
            state_hash = hash(state)
        if known is None or known.transport is not memory.transport:
            values["transport"] = msgspec.json.encode(memory.transport)
        if memory.seats is not None and (known is None or known.seats is not memory.seats):
            values["seats"] = encode_seats(memory.seats)
        written = None if before is None else before.acknowledged
        is_last = is_release and before is not None and not before.is_released
        values |= slots_since(memory, written, is_last=is_last)
        is_changed = (
            known is None
            or len(values) > 1
            or (known.offset, known.first, known.is_released) != (offset, history.first, is_release)
        )
        if not is_changed:
            return None
        self._making = _Written(
            number,
            offset,
            history.first,
            memory.acknowledged.total,
            state_hash,
            version,
            memory.transport,
            is_release,
            memory.seats,
        )
        blocks: list[Block] = [(offset, _encode(contents))] if contents else []
        after = 0 if before is None else before.number
        return RoomWrite(
            room_id,
            self.fence,
            number,
            values,
            blocks,
            forget_before=min(history.first, offset + 1),
            after=after,
            is_whole=before is None,
            is_release=is_release,
            keep_s=BLANK_S if _is_blank(memory) else RECORD_TTL_S,
        )

    def confirm(self) -> None:
        """The store has done the last write."""
        self._written, self._making = self._making, None

    def invalidate(self) -> None:
        """The store has lost something: the next write is whole."""
        self._written = self._making = None

    def adopt(self, memory: RoomMemory, record: RoomRecord, transport: Transport) -> None:
        """The memory was just restored from this record, which is clean and whole, and has this `transport`."""
        history = memory.history
        self._written = _Written(
            0,
            history.last,
            history.first,
            None,
            hash(record.values.get("state", b"")),
            memory.shared_state.version,
            transport,
            is_released=False,
        )


def restore(memory: RoomMemory, claimed: Claimed, now_ms: int) -> RoomCopy:
    """Restore a new room's memory from what was claimed.

    After an unclean end the room keeps its new epoch, and the epoch of the record becomes its parent. A record that
    cannot be read is left alone, and overwritten by the first write. The transport goes on where it is, also when the
    clock of the gateway before was another one.
    """
    copy, record = RoomCopy(claimed.fence), claimed.record
    if record is None:
        return copy
    try:
        position = msgspec.msgpack.decode(record.values.get("position", b""), type=_Position)
        contents = _join(record, position.offset)
        state = msgspec.msgpack.decode(record.values.get("state", _encode([])), type=list[_State])
        slots = read_slots(record)
        transport = msgspec.json.decode(record.values.get("transport", b"{}"), type=Transport)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return copy
    if position.format != FORMAT:
        return copy
    parents = position.parents
    if record.is_clean:
        memory.epoch = position.epoch
    else:
        parents = [Position(position.epoch, position.offset), *parents]
    # A record that was being written whole, in parts, may hold less than its parents had.
    memory.parents = tuple(Position(each.epoch, min(each.offset, position.offset)) for each in parents[:PARENTS])
    memory.history.restore(contents, position.offset)
    memory.history.forget_to(position.first - 1)
    values = {each.key: StateValue(each.value, each.version, each.by) for each in state}
    memory.shared_state.restore(values, position.state_version)
    memory.is_left = position.is_left
    ahead_ms = 0.0
    if record.age_s is not None and position.at_ms:
        ahead_ms = now_ms - (position.at_ms + 1000 * record.age_s)
    memory.transport = resume_transport(move_to_clock(transport, ahead_ms), now_ms)
    for slot in slots:
        for each in slot.entries:
            if each.offset <= position.offset:  # what is not in the record counts as not accepted
                accepted = Accepted(each.offset, each.checksum, each.version)
                memory.acknowledged.put((each.sender, each.id), accepted)
    if record.is_clean and record.has_all_blocks:
        copy.adopt(memory, record, transport)
    return copy


def _take(memory: RoomMemory, written: int, limit_bytes: int) -> tuple[list[bytes], int]:
    """The next messages to write, and the offset of the last one."""
    history = memory.history
    contents = history.after(written)
    size = 0
    for taken, content in enumerate(contents):
        size += len(content)
        if taken and size > limit_bytes:
            return contents[:taken], history.last - len(contents) + taken
    return contents, history.last


def _is_blank(memory: RoomMemory) -> bool:
    """Whether nothing was ever said, set or played."""
    return not (memory.history.last or memory.shared_state.version or memory.transport.version or memory.parents)


def _encode_state(memory: RoomMemory) -> bytes:
    """The shared state without what goes with its member."""
    items = memory.shared_state.items()
    return _encode([_State(key, each.value, each.version, each.by) for key, each in items if not each.ephemeral])


def _join(record: RoomRecord, last: int) -> list[bytes]:
    """The messages of the record's blocks up to `last`, without any before a hole. Blocks may overlap."""
    contents: list[bytes] = []
    end = 0
    for offset, data in record.blocks:
        part = msgspec.msgpack.decode(data, type=list[bytes])
        start = offset - len(part) + 1
        if start > end + 1:
            contents.clear()
        contents += part[max(0, end + 1 - start) :] if contents else part
        end = offset
    return contents if end == last else []
