"""The room memory writer: keeps the memory of rooms in the room memory store, and loads it (SPEC 5.2, DESIGN 7).

A room that is made holds its mail until its record is loaded, `LOAD_S` at most; nobody else waits. When the store does
not answer by then, the room starts empty, with a new epoch, and its record is overwritten later. Rooms only report that
their memory has changed; the writer reads it later, so any number of changes in a short time is one write. A room that
is forgotten is written a last time and released, and so are all rooms at the end.

The store forgets records that nobody writes. A room may be silent for longer than that while members are in it, so its
record is touched every `TOUCH_S`.

Overload: writes coalesce (`omnisonic.actors.sync.room_writes`); when many rooms that were forgotten still wait to be
written, the others stay for a while (`is_full`), and none is given up while the store takes them. Store slow or
unavailable: each call ends at its deadline, and what was not written stays to be written; rooms that are made meanwhile
start at once. Store emptied: the next beat, or the next write, finds out, and rooms are written whole. Another gateway
claimed a room: it is not written any more. Crash: restarted by its supervisor, the same. Shutdown: `release_all`. A
gateway that is killed leaves records that are not released; its rooms then get a new epoch.

With a store that does not outlive this process, rooms are only written when they are forgotten.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

import trio

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.sync.room_records import restore
from omnisonic.actors.sync.room_writes import CLAIM_ROOMS, RoomWrites, SavedRoom
from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import RoomMemoryStore

LOAD_S: Final = 0.5
"""How long a room waits for its record."""
COALESCE_S: Final = 0.05
"""After a write, changes gather for this long before the next."""
BEAT_S: Final = 0.5
"""How often the store is asked whether it still knows this gateway; if not, it has been emptied."""
TOUCH_S: Final = 3_600.0
"""A record that was not written for this long is touched, so that the store keeps it while the room is here."""
RETRY_S: Final = 0.25
LAST_WRITE_S: Final = 3.0

_log = logging.getLogger(__name__)


class RoomMemoryWriter:
    """Keeps the records of one run of one gateway (`owner`) equal to its rooms. `now_ms` is the server's clock.

    Attributes:
        touch_s: How often the records of rooms that do not change are touched.
    """

    def __init__(self, store: RoomMemoryStore, *, owner: str, now_ms: Callable[[], int]) -> None:
        self.touch_s = TOUCH_S
        self._store = store
        self._now_ms = now_ms
        self._writes = RoomWrites(store, owner, now_ms)
        self._to_load: list[SavedRoom] = []
        self._deleted: set[RoomId] = set()
        """Rooms whose record may not be removed yet: nobody is to get it."""
        self._is_up = True
        self._is_known = False
        self._beat_at_s = -math.inf if store.outlives_process else math.inf
        self._touched_at_s = trio.current_time()
        self._load_wake = trio.Event()
        self._wake = trio.Event()

    @property
    def lag_s(self) -> float:
        """How long the oldest unwritten change has waited; 0 when there is none."""
        return self._writes.lag_s

    @property
    def is_up(self) -> bool:
        """Whether the store took the last call."""
        return self._is_up

    @property
    def announces(self) -> bool:
        """False: every room lives here."""
        return False

    # Called by the registry and the event relay

    def on_room_made(self, actor: RoomActor) -> None:
        """Load this room's record; until then its mail waits."""
        room = SavedRoom(actor.room_id, actor.memory, actor)
        earlier = self._writes.rooms.get(actor.room_id)
        if earlier is not None:
            self._writes.drop(earlier)
        self._writes.rooms[actor.room_id] = room
        if earlier is not None and not self._writes.is_in_flight(
            earlier
        ):  # forgotten, and its last write has not begun
            actor.hold()
            actor.memory.take_over(earlier.memory)
            actor.resume()
            room.copy, room.claimed_by = earlier.copy, earlier.claimed_by
            self._mark(room)
            self._on_taken_again(room)
        elif self._is_up:
            actor.hold()
            room.is_loading, room.follows_write = True, earlier is not None
            self._to_load.append(room)
            self._load_wake.set()
        else:
            self._on_made_without_store(room)

    def _on_taken_again(self, room: SavedRoom) -> None:
        """A room was made whose last write had not begun."""

    def _on_made_without_store(self, room: SavedRoom) -> None:
        """A room was made while the store is away."""

    def on_memory_change(self, actor: RoomActor) -> None:
        """Write this room soon."""
        room = self._writes.rooms.get(actor.room_id)
        if room is not None and room.actor is actor and self._store.outlives_process:
            self._mark(room)

    @property
    def is_full(self) -> bool:
        """Whether so many rooms wait for their last write that no other is to be forgotten before they are written."""
        return self._is_up and self._writes.is_full

    def on_room_forgotten(self, actor: RoomActor) -> None:
        """Write this room a last time, and release it. While the store is away, the oldest of too many are given up."""
        self._write_last(actor)
        if not self._is_up:
            self._writes.drop_forgotten()

    def _write_last(self, actor: RoomActor) -> None:
        room = self._writes.rooms.get(actor.room_id)
        if room is None or room.actor is not actor:
            return
        if room.is_loading or self._is_not_ours(room):
            self._writes.drop(room)
        else:
            self._writes.add_forgotten(room)
            self._wake.set()

    def _is_not_ours(self, room: SavedRoom) -> bool:
        """Whether another gateway has claimed the room."""
        return room.copy is not None and room.copy.is_lost

    def on_room_deleted(self, room_id: RoomId) -> None:
        """Remove the record of this room, whose session was deleted, and write it no more."""
        if (room := self._writes.rooms.get(room_id)) is not None:
            self._writes.drop(room)
        self._writes.delete(room_id)
        self._deleted.add(room_id)
        self._wake.set()

    # Running

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load and write until cancelled. In service when the store has answered, or has not within `LOAD_S`."""
        async with trio.open_nursery() as nursery:
            answered = trio.Event()
            nursery.start_soon(self._run_writes, answered)
            with trio.move_on_after(LOAD_S):  # the first rooms find connections that are open
                await answered.wait()
            task_status.started()
            while True:
                await self._load_wake.wait()
                self._load_wake = trio.Event()
                rooms, self._to_load = self._to_load, []
                for start in range(0, len(rooms), CLAIM_ROOMS):
                    nursery.start_soon(self._load, rooms[start : start + CLAIM_ROOMS])

    async def release_all(self) -> None:
        """Write all rooms a last time, and release them, so that the next gateway goes on. `LAST_WRITE_S` at most.

        What changes afterwards is written and released, too, as long as `run` runs.
        """
        if not self._store.outlives_process:
            return
        self._writes.is_closing = True
        for room in self._writes.rooms.values():
            self._mark(room)
        with trio.move_on_after(LAST_WRITE_S):
            while len(self._writes):
                try:
                    await self._writes.write_all()
                except Unavailable as problem:
                    self._note_down(problem.message)
                    await trio.sleep(RETRY_S)
        if len(self._writes):
            _log.warning("memory.not_released", extra={"rooms": len(self._writes)})

    @trio.lowlevel.enable_ki_protection
    async def _load(self, rooms: Sequence[SavedRoom]) -> None:
        """Claim these rooms, restore them, and let them begin."""
        problem: str | None = "There was no answer in time."
        try:
            with trio.move_on_after(LOAD_S):
                if any(room.follows_write for room in rooms):
                    async with self._writes.lock:
                        pass  # the write has ended
                await self._remove_deleted(rooms)
                claims = await self._store.claim([room.room_id for room in rooms], self._writes.owner)
                problem = None
                for room, claimed in zip(rooms, claims, strict=True):
                    if self._writes.is_current(room):
                        room.copy = restore(room.memory, claimed, self._now_ms())
                        room.is_loading = False
                        is_new_epoch = claimed.record is not None and not claimed.record.is_clean
                        if is_new_epoch or self._writes.is_closing:
                            self._mark(room)
        except Unavailable as unavailable:
            problem = unavailable.message
        finally:
            for room in rooms:
                room.is_loading = False
                if room.actor is not None:
                    room.actor.resume()
        if problem is not None:
            self._note_down(problem)

    @trio.lowlevel.enable_ki_protection
    async def _run_writes(self, answered: trio.Event) -> None:
        while True:
            try:
                await self._beat()
                await self._write_all()
                await self._touch()
            except Unavailable as problem:
                self._note_down(problem.message)
                answered.set()
                await trio.sleep(RETRY_S)
                continue
            self._note_up()
            answered.set()
            await trio.sleep(COALESCE_S)
            if not len(self._writes):
                self._wake = trio.Event()
                with trio.move_on_at(self._beat_at_s):
                    await self._wake.wait()

    async def _write_all(self) -> None:
        deleted = set(self._deleted)
        await self._writes.write_all()
        self._deleted -= deleted

    async def _remove_deleted(self, rooms: Sequence[SavedRoom]) -> None:
        """Have the records removed of those of these rooms that were deleted. Errors: `Unavailable`."""
        if any(room.room_id in self._deleted for room in rooms):
            await self._write_all()

    async def _beat(self) -> None:
        """Ask the store whether it still knows us, when it is time. Errors: `Unavailable`."""
        now_s = trio.current_time()
        if now_s < self._beat_at_s:
            return
        is_known = await self._store.beat(self._writes.owner)
        if self._is_known and not is_known:
            for room in self._writes.rooms.values():
                if room.copy is not None:
                    room.copy.invalidate()
                    self._mark(room)
        self._is_known = True
        self._beat_at_s = now_s + BEAT_S

    async def _touch(self) -> None:
        """Have the store keep records of rooms that do not change, some at a time. Errors: `Unavailable`."""
        if not self._store.outlives_process:
            return
        now_s = trio.current_time()
        if now_s >= self._touched_at_s + self.touch_s:
            self._touched_at_s = now_s
            self._writes.find_untouched(now_s - self.touch_s)
        await self._writes.touch()

    def _mark(self, room: SavedRoom) -> None:
        self._writes.mark(room)
        self._wake.set()

    def _note_down(self, problem: str) -> None:
        if self._is_up:
            self._is_up = False
            if self._store.outlives_process:
                self._beat_at_s = -math.inf
            self._wake.set()
            _log.warning("memory.down", extra={"problem": problem})

    def _note_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            _log.info("memory.up", extra={"rooms": len(self._writes.rooms)})
