"""Which rooms have to be written to the room memory store, and the calls that write them (DESIGN 7).

Owned by the room memory writer (`omnisonic.actors.sync.room_memory`), which says when to write. One call is under way
at a time. Overload: a call has at most `BATCH_ROOMS` rooms and about `BATCH_BYTES`; when many rooms that were forgotten
still wait (`is_full`), no others are to be forgotten. Store unavailable: what was not written stays to be written; of
rooms that were forgotten, the oldest are given up. Crash: the same; a room that cannot be written costs no other room
its record. Shutdown: `is_closing` makes every write a release.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

import trio

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.memory import RoomMemory
from omnisonic.actors.sync.room_records import RoomCopy
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import Outcome, RoomMemoryStore, RoomWrite

CLAIM_ROOMS: Final = 16
"""Rooms that are claimed in one call, whose answer has their records; each may hold a megabyte."""
BATCH_ROOMS: Final = 100
BATCH_BYTES: Final = 1_048_576
FORGOTTEN_ROOMS: Final = 1_000
FORGOTTEN_BYTES: Final = 67_108_864
"""The most rooms, and bytes of their messages, that were forgotten and still wait to be written."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class SavedRoom:
    """A room as the store is to have it. `actor` is None once the room is forgotten: then it is written a last time.

    Attributes:
        copy: What the store has; None until the room is claimed.
        is_loading: Its record is being read, and nothing is written yet.
        follows_write: When it was made, the last write of a room of this name was under way.
        claimed_by: The owner under whose name it was claimed, where that may change.
        is_unwritable: Its memory could not be written as a record, and the operator knows.
        kept_at_s: From when on, or later, the store keeps its record for `RECORD_TTL_S`: the last write or touch.
    """

    room_id: RoomId
    memory: RoomMemory
    actor: RoomActor | None
    copy: RoomCopy | None = None
    is_loading: bool = False
    follows_write: bool = False
    claimed_by: str = ""
    is_unwritable: bool = False
    kept_at_s: float = field(default_factory=trio.current_time)


class RoomWrites:
    """All rooms that are written, as `owner`, and which of them have changed.

    `rooms` has every room that is there, and those that were forgotten until their last write.
    """

    def __init__(self, store: RoomMemoryStore, owner: str, now_ms: Callable[[], int]) -> None:
        self._clock = trio.lowlevel.current_clock().current_time
        """The time as trio has it, on any thread: metrics are read on another one."""
        self.rooms: dict[RoomId, SavedRoom] = {}
        self.is_closing = False
        self.may_write: Callable[[SavedRoom], bool] | None = None
        """Whether a room that has changed may be written now. None: always, and rooms without a claim are claimed."""
        self.on_released: Callable[[RoomId], None] = _ignore
        """Called when a room that was forgotten is written a last time and released."""
        self.on_lost: Callable[[SavedRoom], None] = _ignore
        """Called when another owner has claimed a room that is here."""
        self.lock = trio.Lock()
        """Held during a call, and by who wants it to have ended."""
        self._store = store
        self.owner = owner
        self._now_ms = now_ms
        self._number = 0
        self._changed_since_s: dict[SavedRoom, float] = {}
        self._in_flight_since_s: dict[SavedRoom, float] = {}
        """The rooms of the call that is under way, and since when they have changed."""
        self._forgotten: dict[SavedRoom, int] = {}
        """The rooms that wait for their last write, the first forgotten first, and the bytes of their messages."""
        self._forgotten_bytes = 0
        self._deleted: dict[RoomId, None] = {}
        self._untouched: dict[SavedRoom, None] = {}
        """Rooms whose records are to be touched."""

    def __len__(self) -> int:
        return len(self._changed_since_s) + len(self._in_flight_since_s) + len(self._deleted)

    @property
    def lag_s(self) -> float:
        """How long the oldest unwritten change has waited; 0 when there is none."""
        now_s = self._clock()
        return now_s - min([now_s, *self._in_flight_since_s.values(), *self._changed_since_s.values()])

    def is_current(self, room: SavedRoom) -> bool:
        """Whether it is to be written: neither dropped nor replaced by another room of its name."""
        return self.rooms.get(room.room_id) is room

    def is_in_flight(self, room: SavedRoom) -> bool:
        """Whether a write of it is under way."""
        return room in self._in_flight_since_s

    def mark(self, room: SavedRoom) -> None:
        """Write this room with the next call."""
        is_lost = room.copy is not None and room.copy.is_lost
        if self.is_current(room) and not room.is_loading and not is_lost:
            self._changed_since_s.setdefault(room, trio.current_time())

    @property
    def is_full(self) -> bool:
        """Whether as many rooms that were forgotten wait as may."""
        return len(self._forgotten) >= FORGOTTEN_ROOMS or self._forgotten_bytes >= FORGOTTEN_BYTES

    def add_forgotten(self, room: SavedRoom) -> None:
        """Write this room a last time."""
        room.actor = None
        self._forgotten[room] = size = room.memory.history.size
        self._forgotten_bytes += size
        self.mark(room)

    def drop_forgotten(self) -> None:
        """Drop the oldest of the rooms that were forgotten and still wait, when they are too many."""
        while len(self._forgotten) > FORGOTTEN_ROOMS or self._forgotten_bytes > FORGOTTEN_BYTES:
            self.drop(next(iter(self._forgotten)))

    def drop(self, room: SavedRoom) -> None:
        """Write this room no more."""
        if self.is_current(room):
            del self.rooms[room.room_id]
        self._forgotten_bytes -= self._forgotten.pop(room, 0)
        self._changed_since_s.pop(room, None)

    def delete(self, room_id: RoomId) -> None:
        """Remove this room's record with the next call."""
        self._deleted[room_id] = None

    def find_untouched(self, before_s: float) -> None:
        """Note which records were neither written nor touched since `before_s`, for `touch`."""
        self._untouched |= {room: None for room in self.rooms.values() if room.kept_at_s <= before_s}

    async def touch(self) -> None:
        """Touch `BATCH_ROOMS` of the records that were noted. Errors: `Unavailable`; then they stay noted."""
        if not self._untouched:
            return
        async with self.lock:
            rooms = list(self._untouched)[:BATCH_ROOMS]
            copies = {room: room.copy for room in rooms if self._is_held(room) and room.copy is not None}
            if copies:
                at_s = trio.current_time()
                outcomes = await self._store.touch({room.room_id: copy.fence for room, copy in copies.items()})
                for room, copy in copies.items():
                    if room.copy is copy and self.is_current(room):
                        self._apply_touch(room, copy, outcomes[room.room_id], at_s)
            for room in rooms:
                self._untouched.pop(room, None)

    def _is_held(self, room: SavedRoom) -> bool:
        """Whether the store holds this room's record for us."""
        is_ours = self.is_current(room) and not room.is_loading and room.copy is not None and not room.copy.is_lost
        return is_ours and (self.may_write is None or self.may_write(room))

    def _apply_touch(self, room: SavedRoom, copy: RoomCopy, outcome: Outcome, at_s: float) -> None:
        match outcome:
            case Outcome.WRITTEN:
                room.kept_at_s = at_s
            case Outcome.EMPTIED:
                copy.invalidate()
                self.mark(room)
            case Outcome.LOST:
                self._lose(room, copy)
            case _ as never:
                assert_never(never)

    async def write_all(self) -> None:
        """Write all that has changed until now. Errors: `Unavailable`; what was not written stays to be written."""
        async with self.lock:
            if deleted := list(self._deleted):
                await self._store.forget(deleted)
                for room_id in deleted:
                    self._deleted.pop(room_id, None)
            if self.may_write is None:
                rooms = list(self._changed_since_s)
                await self._claim([room for room in rooms if room.copy is None])
            else:
                rooms = [room for room in self._changed_since_s if self.may_write(room)]
            while rooms:
                rooms = rooms[await self._write(rooms[:BATCH_ROOMS]) :]

    async def _claim(self, rooms: Sequence[SavedRoom]) -> None:
        """Claim rooms that began without the store. What it holds of them is overwritten."""
        for start in range(0, len(rooms), CLAIM_ROOMS):
            chunk = rooms[start : start + CLAIM_ROOMS]
            claims = await self._store.claim([room.room_id for room in chunk], self.owner)
            for room, claimed in zip(chunk, claims, strict=True):
                room.copy = RoomCopy(claimed.fence)

    async def _write(self, rooms: Sequence[SavedRoom]) -> int:
        """Write these rooms, or as many as go into one call. Returns how many."""
        self._in_flight_since_s = in_flight_since_s = {}
        writes: dict[SavedRoom, RoomWrite] = {}
        size = taken = 0
        for room in rooms:
            if size >= BATCH_BYTES:
                break
            taken += 1
            if room not in self._changed_since_s or room.copy is None:
                continue  # dropped while it was claimed, or replaced
            since_s = self._changed_since_s.pop(room)
            try:
                write = self._make_write(room, BATCH_BYTES - size)
            except Exception as fault:  # noqa: BLE001 - whatever is in one room, the others are written
                self._note_unwritable(room, room.copy, fault)
                write = None
            if write is not None:
                writes[room], in_flight_since_s[room] = write, since_s
                size += sum(map(len, write.values.values())) + sum(len(data) for _, data in write.blocks)
            elif room.actor is None:
                self.drop(room)
                self.on_released(room.room_id)
        if not writes:
            return taken
        try:
            outcomes = await self._store.write(list(writes.values()))
        except BaseException:
            still = {room: at_s for room, at_s in in_flight_since_s.items() if self.is_current(room)}
            self._changed_since_s = still | self._changed_since_s
            raise
        finally:
            self._in_flight_since_s = {}
        for (room, write), outcome in zip(writes.items(), outcomes, strict=True):
            self._apply(room, write, outcome)
        return taken

    def _make_write(self, room: SavedRoom, limit_bytes: int) -> RoomWrite | None:
        assert room.copy is not None
        is_release = room.actor is None or self.is_closing
        if room.actor is not None:
            room.actor.is_unsaved = False
            if self.is_closing:
                room.memory.is_left = room.actor.empty_since_s is not None
        self._number += 1
        return room.copy.make_write(
            room.room_id,
            room.memory,
            self._number,
            limit_bytes=limit_bytes,
            is_release=is_release,
            now_ms=self._now_ms(),
        )

    def _note_unwritable(self, room: SavedRoom, copy: RoomCopy, fault: Exception) -> None:
        """The memory of this room cannot be written as it is. Its next change is tried again."""
        copy.invalidate()
        if not room.is_unwritable:
            room.is_unwritable = True
            _log.error("memory.unwritable", extra={"room": room.room_id}, exc_info=fault)

    def _apply(self, room: SavedRoom, write: RoomWrite, outcome: Outcome) -> None:
        assert room.copy is not None
        match outcome:
            case Outcome.WRITTEN:
                room.copy.confirm()
                room.is_unwritable = False
                room.kept_at_s = trio.current_time()
                if not room.copy.is_complete:
                    self.mark(room)
                elif write.is_release and room.actor is None:
                    self.drop(room)
                    self.on_released(room.room_id)
            case Outcome.EMPTIED:
                room.copy.invalidate()
                self.mark(room)
            case Outcome.LOST:
                self._lose(room, room.copy)
            case _ as never:
                assert_never(never)

    def _lose(self, room: SavedRoom, copy: RoomCopy) -> None:
        """Another owner has claimed this room."""
        copy.is_lost = True
        _log.warning("memory.claimed_elsewhere", extra={"room": room.room_id})
        self._changed_since_s.pop(room, None)
        if room.actor is None:
            self.drop(room)
        else:
            self.on_lost(room)


def _ignore(_room: object) -> None:
    """Nobody wants to know."""
