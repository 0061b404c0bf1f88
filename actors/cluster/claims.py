"""The memory of rooms in a cluster: a room is claimed before it begins, and written only while it is owned (SPEC 5.5).

A room that is made holds its mail until its claim is answered: it is ours and is restored; or another gateway holds it;
or nobody can say, and it begins **provisional**. Then it is claimed again, several times a second, until somebody can.

Overload: claims are answered in groups of `CLAIM_ROOMS`. Store unavailable, or the lease of this gateway stale: rooms
are provisional, and nothing of them is written. Crash: restarted by its supervisor, the same. Shutdown: rooms are
released one after another (`release`), and then the rest (`release_all`).
"""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from omnisonic.actors.cluster.claim_events import ClaimEvents
from omnisonic.actors.cluster.owner_log import note_not_owned, note_owned
from omnisonic.actors.cluster.restoring import begin_after, restore_moved
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import ChangeStanding
from omnisonic.actors.sync.room_memory import LOAD_S, RoomMemoryWriter
from omnisonic.actors.sync.room_records import RoomCopy
from omnisonic.actors.sync.room_writes import CLAIM_ROOMS, SavedRoom
from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import LEASE_S, Claim, Claimed, Held, RoomMemoryStore, Unsettled

AGAIN_S: Final = 0.25
"""How often provisional rooms are claimed."""
SETTLES_S: Final = LEASE_S + 1.0
"""How long a new room waits for a store that does not know yet who holds it."""


class ClaimedRooms(RoomMemoryWriter):
    """Keeps the records of the rooms that one gateway owns. `announce` tells that a room lives here."""

    def __init__(
        self,
        store: RoomMemoryStore,
        *,
        owner: str,
        now_ms: Callable[[], int],
        grace_s: float,
        events: ClaimEvents,
        announce: Callable[[RoomActor], None],
        on_released: Callable[[RoomId], None],
    ) -> None:
        super().__init__(store, owner=owner, now_ms=now_ms)
        self._grace_s = grace_s
        self._events = events
        self._announce = announce
        self._provisional: dict[SavedRoom, None] = {}
        self._answers: dict[RoomId, Claimed] = {}
        """What a claim brought for rooms that are made anew for it."""
        self._writes.may_write = self._may_write
        self._writes.on_released = on_released
        self._writes.on_lost = self._on_lost

    @property
    def announces(self) -> bool:
        """True: a room may live elsewhere."""
        return True

    @property
    def owner(self) -> str:
        """The run that claims."""
        return self._writes.owner

    @owner.setter
    def owner(self, run: str) -> None:
        self._writes.owner = run

    def owns(self, room_id: RoomId) -> bool:
        """Whether the room is here and ours."""
        room = self._writes.rooms.get(room_id)
        return room is not None and room.copy is not None and room.actor is not None and room.actor.standing.is_owned

    # The lease

    def on_stale(self) -> None:
        """The lease is not valid now: what is said in our rooms may not count."""
        for room in list(self._writes.rooms.values()):
            if room.actor is not None and not room.is_loading and room.actor.standing.is_owned:
                self._make_provisional(room, room.actor)

    def on_valid(self) -> None:
        """The lease is valid again, and has been all the time: what was ours is ours."""
        for room in list(self._provisional):
            is_ours = room.copy is not None and not room.copy.is_lost and room.claimed_by == self._writes.owner
            if room.actor is not None and is_ours:
                self._make_owned(room, room.actor)

    def release(self, actor: RoomActor) -> None:
        """Write this room, which was withdrawn, a last time, and release it; `on_released` is called then.

        None is given up for the others, however many they are: they were all here, and no more come.
        """
        self._write_last(actor)

    def _write_last(self, actor: RoomActor) -> None:
        if actor.standing.is_owned:
            note_not_owned(actor.room_id, self.owner)
        super()._write_last(actor)

    def drop(self, actor: RoomActor) -> None:
        """Write this room no more: it is not ours."""
        room = self._writes.rooms.get(actor.room_id)
        if room is not None and room.actor is actor:
            self._provisional.pop(room, None)
            self._writes.drop(room)

    async def release_all(self) -> None:
        """Write all rooms that are ours a last time, and release them. `LAST_WRITE_S` at most."""
        for room in list(self._provisional):
            self._is_not_ours(room)
            self._writes.drop(room)
        for room in self._writes.rooms.values():
            note_not_owned(room.room_id, self.owner)
        if self._events.is_valid:
            await super().release_all()

    async def run_claims(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Claim provisional rooms until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(AGAIN_S)
            rooms = list(self._provisional)
            for start in range(0, len(rooms), CLAIM_ROOMS):
                chunk = [room for room in rooms[start : start + CLAIM_ROOMS] if room in self._provisional]
                if self._events.is_valid and chunk:
                    for room, claim in zip(chunk, await self._try_claim(chunk), strict=True):
                        self._settle_provisional(room, claim)

    # Rooms that are made

    @trio.lowlevel.enable_ki_protection
    async def _load(self, rooms: Sequence[SavedRoom]) -> None:
        """Claim these rooms, and let them begin, or not."""
        waiting, until_s = list(rooms), trio.current_time() + SETTLES_S
        try:
            while waiting:
                unsettled: list[SavedRoom] = []
                pause_s = 0.0
                for room, claim in zip(waiting, await self._try_claim(waiting), strict=True):
                    if isinstance(claim, Unsettled) and trio.current_time() < until_s:
                        unsettled.append(room)
                        pause_s = max(pause_s, min(claim.settled_in_s, AGAIN_S))
                    else:
                        self._settle(room, claim)
                waiting = unsettled
                if waiting:
                    await trio.sleep(pause_s)
        finally:
            for room in waiting:
                if room.is_loading:
                    self._settle(room, None)

    def _settle(self, room: SavedRoom, claim: Claim | None) -> None:
        """Let a room begin that was made, or give it to its owner."""
        actor = room.actor
        room.is_loading = False
        if actor is None or not self._writes.is_current(room):
            if actor is not None:
                actor.resume()
            return
        if isinstance(claim, Held):
            self._writes.drop(room)
            self._events.on_held(actor, claim.owner)
        elif isinstance(claim, Claimed) and self._events.is_valid:
            self._restore(room, actor, claim)
            self._begin(actor)
        elif self._events.begins_provisional(actor):
            self._begin_provisional(room, actor)
        else:
            self._writes.drop(room)

    def _restore(self, room: SavedRoom, actor: RoomActor, claimed: Claimed) -> None:
        room.claimed_by = self._writes.owner
        note_owned(room.room_id, room.claimed_by, claimed.fence)
        room.copy = restore_moved(
            actor,
            claimed,
            self._events.tail_of(actor.room_id),
            self._events.view_of(actor.room_id),
            now_s=trio.current_time(),
            now_ms=self._now_ms(),
            grace_s=self._grace_s,
        )
        record = claimed.record
        goes_on = bool(room.memory.parents) if record is None else not record.is_clean
        if goes_on or self._writes.is_closing:
            self._mark(room)

    def _begin(self, actor: RoomActor) -> None:
        self._announce(actor)
        self._events.on_here(actor)
        actor.resume()

    def _begin_provisional(self, room: SavedRoom, actor: RoomActor) -> None:
        actor.standing.is_owned = False
        begin_after(room.memory, self._events.tail_of(actor.room_id), self._events.view_of(actor.room_id))
        self._provisional[room] = None
        self._begin(actor)

    def _on_taken_again(self, room: SavedRoom) -> None:
        assert room.actor is not None
        room.actor.hold()
        if room.copy is None or room.claimed_by != self._writes.owner or not self._events.is_valid:
            room.actor.standing.is_owned = False
            self._provisional[room] = None
        else:
            note_owned(room.room_id, room.claimed_by, room.copy.fence)
        self._begin(room.actor)

    def on_room_made(self, actor: RoomActor) -> None:
        answer = self._answers.get(actor.room_id)
        if answer is None:
            super().on_room_made(actor)
            return
        room = self._writes.rooms[actor.room_id] = SavedRoom(actor.room_id, actor.memory, actor)
        actor.hold()
        self._restore(room, actor, answer)
        self._begin(actor)

    def _on_made_without_store(self, room: SavedRoom) -> None:
        assert room.actor is not None
        room.actor.hold()
        room.is_loading = True
        self._to_load.append(room)  # the store may be back, and only a claim tells
        self._load_wake.set()

    # Rooms that are not ours, or may not be

    def _settle_provisional(self, room: SavedRoom, claim: Claim | None) -> None:
        actor = room.actor
        if room not in self._provisional or actor is None or not self._writes.is_current(room):
            self._provisional.pop(room, None)
            return
        if isinstance(claim, Held):
            self.drop(actor)
            self._events.on_held(actor, claim.owner)
        elif isinstance(claim, Claimed) and self._events.is_valid:
            fence = 0 if room.copy is None or room.copy.is_lost else room.copy.fence
            if claim.record is None or (fence and claim.before == fence):
                room.copy, room.claimed_by = RoomCopy(claim.fence), self._writes.owner
                self._make_owned(room, actor)
            else:
                self.drop(actor)
                self._answers[actor.room_id] = claim
                self._events.on_replaced(actor)
                self._answers.pop(actor.room_id, None)

    def _make_provisional(self, room: SavedRoom, actor: RoomActor) -> None:
        actor.standing.is_owned = False
        note_not_owned(room.room_id, self.owner)
        self._provisional[room] = None
        self._events.on_stale_room(actor)
        actor.tell(ChangeStanding())

    def _make_owned(self, room: SavedRoom, actor: RoomActor) -> None:
        self._provisional.pop(room, None)
        actor.standing.is_owned = True
        note_owned(room.room_id, self.owner, 0 if room.copy is None else room.copy.fence)
        actor.tell(ChangeStanding())
        self._mark(room)

    def _on_lost(self, room: SavedRoom) -> None:
        """Another gateway has claimed a room that was ours."""
        if room.actor is not None and room.actor.standing.is_owned:
            self._make_provisional(room, room.actor)

    def _may_write(self, room: SavedRoom) -> bool:
        is_owned = room.actor is None or room.actor.standing.is_owned
        return is_owned and room.copy is not None and self._events.is_valid

    def _is_not_ours(self, room: SavedRoom) -> bool:
        self._provisional.pop(room, None)
        return room.copy is None or room.copy.is_lost

    def _mark(self, room: SavedRoom) -> None:
        if room.copy is not None:
            super()._mark(room)

    async def _try_claim(self, rooms: Sequence[SavedRoom]) -> Sequence[Claim | None]:
        """Claim these rooms; None for each when there is no answer in time."""
        owner = self._writes.owner
        if not self._events.is_valid:
            return [None] * len(rooms)
        fences = {room.room_id: room.copy.fence for room in rooms if room.copy is not None and not room.copy.is_lost}
        try:
            with trio.move_on_after(LOAD_S):
                if any(room.follows_write for room in rooms):
                    async with self._writes.lock:
                        pass  # the write has ended
                await self._remove_deleted(rooms)
                claims = await self._store.claim_unless_held([room.room_id for room in rooms], owner, fences=fences)
                if owner == self._writes.owner:  # the claims of a run that was declared dead are void
                    return claims
        except Unavailable as problem:
            self._note_down(problem.message)
        return [None] * len(rooms)
