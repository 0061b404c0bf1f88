"""The presence mirror: writes rosters to the presence store, so that the REST API can read them (SPEC 5.4).

Rooms only report that their roster changed; the mirror reads it later, so any number of changes in a short time is one
write. Only the mirror waits for the store; rooms never do.

Overload: writes coalesce, at most `BATCH_ROOMS` rooms a call. Store slow or unavailable: each call ends at its deadline
and what was not written stays to be written; when the store is back, everything is written again. Store emptied: the
next beat finds that the store does not know this gateway, and everything is written again. Crash: restarted by its
supervisor, the same. Shutdown: a last write, within `LAST_WRITE_S`, removes this gateway's rosters.
"""

import logging
from collections.abc import Sequence
from typing import Final

import trio
from opentelemetry import trace

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.registry import Registry
from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.presence import PresenceStore, RosterLine

BATCH_ROOMS: Final = 100
COALESCE_S: Final = 0.05
"""After a write, changes gather for this long before the next."""
BEAT_S: Final = 0.5
"""How often the store is asked whether it still knows this gateway; if not, it has been emptied."""
RETRY_S: Final = 0.25
LAST_WRITE_S: Final = 1.0

_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("realtime-gateway")


class PresenceMirror:
    """Keeps the store's rosters of one gateway (`owner`) equal to the rooms'. Times are seconds."""

    def __init__(self, store: PresenceStore, registry: Registry, *, owner: str, ttl_s: int) -> None:
        self._store = store
        self._registry = registry
        self._owner = owner
        self._ttl_s = ttl_s
        self._stale_since_s: dict[RoomId, float] = {}
        self._clock = trio.lowlevel.current_clock().current_time
        """The time as trio has it, on any thread: metrics are read on another one."""
        self._wake = trio.Event()
        self._is_up = True

    def on_roster_change(self, actor: RoomActor) -> None:
        """Write this room's roster soon."""
        self._stale_since_s.setdefault(actor.room_id, trio.current_time())
        self._wake.set()

    def on_room_made(self, actor: RoomActor) -> None:
        """Nothing to do: an empty room is not in the store."""

    def on_room_moved(self, actor: RoomActor) -> None:
        """Remove this room's roster: the next owner writes it."""
        self.on_roster_change(actor)

    @property
    def lag_s(self) -> float:
        """How long the oldest unwritten change has waited; 0 when there is none."""
        if not self._stale_since_s:
            return 0.0
        return self._clock() - min(self._stale_since_s.values(), default=self._clock())

    @property
    def is_up(self) -> bool:
        """Whether the store took the last call."""
        return self._is_up

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Mirror until cancelled."""
        task_status.started()
        await self._clean_up()
        beat_at_s = refresh_at_s = trio.current_time()
        while True:
            now_s = trio.current_time()
            if now_s >= refresh_at_s:
                self._mark_all()
                refresh_at_s = now_s + self._ttl_s / 3
            try:
                if now_s >= beat_at_s:
                    if not await self._store.beat(self._owner, ttl_s=self._ttl_s):
                        self._mark_all()
                    beat_at_s = now_s + BEAT_S
                await self._write()
            except Unavailable as problem:
                self._note_down(problem)
                await trio.sleep(RETRY_S)
            else:
                self._note_up()
                await trio.sleep(COALESCE_S)
                with trio.move_on_at(min(beat_at_s, refresh_at_s)):
                    await self._wake.wait()

    async def remove_rosters(self) -> None:
        """Remove this gateway's rosters from the store. Waits at most `LAST_WRITE_S`."""
        with trio.move_on_after(LAST_WRITE_S):
            try:
                await self._store.forget_owner(self._owner)
            except Unavailable as problem:
                self._note_down(problem)

    async def _clean_up(self) -> None:
        """Remove the rosters of an earlier gateway of this name that did not shut down cleanly."""
        while True:
            try:
                await self._store.forget_owner(self._owner)
            except Unavailable as problem:
                self._note_down(problem)
                await trio.sleep(RETRY_S)
            else:
                return

    async def _write(self) -> None:
        """Write every roster that has changed. Errors: `Unavailable`; what was not written stays to be written."""
        self._wake = trio.Event()
        while self._stale_since_s:
            taken = dict(list(self._stale_since_s.items())[:BATCH_ROOMS])
            for room_id in taken:
                del self._stale_since_s[room_id]
            rosters = {room_id: self._members(room_id) for room_id in taken}
            try:
                with _tracer.start_as_current_span("presence.touch", attributes={"rooms": len(rosters)}):
                    await self._store.write_rosters(self._owner, rosters, ttl_s=self._ttl_s)
            except BaseException:
                self._stale_since_s = taken | self._stale_since_s
                raise

    def _members(self, room_id: RoomId) -> Sequence[RosterLine]:
        """The members with a connection, and those who are waited for. Leases are in the store already."""
        actor = self._registry.get(room_id)
        if actor is None:
            return ()
        return [
            RosterLine(
                entry.member.member_id,
                entry.member.display_name,
                entry.member.status,
                person=entry.person,
                connected=entry.connection is not None,
                account=entry.member.account,
            )
            for entry in actor.entries
            if entry.connection is not None or entry.wait is not None
        ]

    def _mark_all(self) -> None:
        for actor in self._registry:
            if actor.entries:
                self.on_roster_change(actor)

    def _note_down(self, problem: Unavailable) -> None:
        if self._is_up:
            self._is_up = False
            _log.warning("mirror.down", extra={"problem": problem.message})

    def _note_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._mark_all()
            _log.info("mirror.up", extra={"rooms": len(self._stale_since_s)})
