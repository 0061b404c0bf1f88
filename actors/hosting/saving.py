"""Loading and saving the state of a program's rooms, by their own `load` and `save` (SPEC 8).

A room that defines `load` holds its mail until its state is there; nobody else waits. When `load` fails, or takes
longer than `LOAD_S`, the room does not begin, because it would overwrite what it could not read: who waited for it is
closed with 1011, and the next one who enters tries again. A room that defines `save` is saved after its turns, at most
once in `Room.save_every_s`, one save of a room at a time, and at the end.

Overload: turns coalesce, and `SAVES` rooms are saved at once. Crash of a room: saved when it has started again; `save`
fails: tried again, more and more seldom. Room moved to another gateway: a save that is under way is cancelled.
Shutdown: `save_all` saves what has changed, and waits for saves that are under way, until its deadline; then they are
cancelled.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from omnisonic.actors.hosting.hosted_room import HostedRoom, hosted_room
from omnisonic.actors.hosting.room import Room
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.runtime.attribution import attribute_steps
from omnisonic.models import RoomId
from omnisonic.wire.closing import CloseCode, Closing

LOAD_S: Final = 5.0
SAVE_S: Final = 10.0
"""How long one `load` and one `save` may take."""
SAVES: Final = 16
RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Save:
    """A save that is under way, or waits for its turn. `hosted` is what it saves; None before, and when given up."""

    hosted: HostedRoom | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)

    def give_up(self) -> bool:
        """Cancel it. Returns whether anything is not saved therefore."""
        hosted, self.hosted = self.hosted, None
        if hosted is not None:
            self.scope.cancel()
        return hosted is not None


class RoomStates:
    """Loads and saves the rooms of one gateway. It learns of new rooms as a watcher of the registry."""

    def __init__(self, registry: Registry, nursery: trio.Nursery) -> None:
        self._registry = registry
        self._nursery = nursery
        self._unsaved: dict[RoomId, HostedRoom] = {}
        """The rooms that have changed, and whose save has not begun."""
        self._saves: dict[RoomId, _Save] = {}
        self._saving: set[RoomId] = set()
        """The rooms with a task that saves them until they are saved."""
        self._limit = trio.CapacityLimiter(SAVES)
        self._is_closing = False

    def on_room_made(self, actor: RoomActor) -> None:
        """Load the state of a new room; until then its mail waits."""
        hosted = hosted_room(actor)
        if hosted is None or type(hosted.user_room).load is Room.load:
            return
        save = self._saves.get(actor.room_id)
        unsaved = self._unsaved.get(actor.room_id) or (None if save is None else save.hosted)
        if unsaved is not None:  # forgotten, and not saved yet
            hosted.user_room.state = unsaved.user_room.state
            self.on_turn(hosted)
            return
        actor.hold()
        self._nursery.start_soon(self._load, actor, hosted.user_room)

    def on_roster_change(self, actor: RoomActor) -> None:
        """Do nothing: the turn counts, not who is there."""

    def on_room_moved(self, actor: RoomActor) -> None:
        """Save this room no more: another gateway does, and what is saved here later would replace what it saves."""
        unsaved, save = self._unsaved.pop(actor.room_id, None), self._saves.get(actor.room_id)
        if (save is not None and save.give_up()) or unsaved is not None:
            _log.error("room.not_saved", extra={"room": actor.room_id})

    async def save_room(self, room_id: RoomId) -> None:
        """Save this room now, if it has changed. Returns when no save of it is under way any more."""
        await self._save_once(room_id)

    def on_turn(self, hosted: HostedRoom) -> None:
        """Save this room soon: it has had a turn."""
        if type(hosted.user_room).save is Room.save:
            return
        self._unsaved[hosted.name] = hosted
        if hosted.name not in self._saving:
            self._saving.add(hosted.name)
            self._nursery.start_soon(self._save_until_saved, hosted.name)

    async def save_all(self, deadline_s: float = SAVE_S) -> None:
        """Save everything that has changed. Returns when that is done, or after the deadline."""
        self._is_closing = True
        with trio.move_on_after(deadline_s):
            async with trio.open_nursery() as nursery:
                for room_id in self._unsaved | self._saves:
                    nursery.start_soon(self._save_once, room_id)
        given_up = {room_id: save for room_id, save in self._saves.items() if save.give_up()}
        for room_id in self._unsaved | given_up:
            _log.error("room.not_saved", extra={"room": room_id})

    @trio.lowlevel.enable_ki_protection
    async def _load(self, actor: RoomActor, room: Room[Any]) -> None:
        problem: BaseException | None = None
        state: object = None
        try:
            with trio.fail_after(LOAD_S):
                state = await attribute_steps(self._registry.dispatcher, actor, room.load(actor.room_id))
        except Exception as failure:  # noqa: BLE001 - a program's hook may raise anything
            problem = failure
        if problem is None:
            if state is not None:
                room.state = state
            actor.resume()
            return
        _log.error("room.load_failed", extra={"room": actor.room_id}, exc_info=problem)
        self._registry.drop(actor, Closing(CloseCode.INTERNAL_ERROR, "the room's state could not be loaded"))

    @trio.lowlevel.enable_ki_protection
    async def _save_until_saved(self, room_id: RoomId) -> None:
        """Save the room, and again while it has turns or cannot be saved. One task for each room that changes."""
        retry_s = RETRY_S
        try:
            while room_id in self._unsaved and not self._is_closing:
                if await self._save_once(room_id):
                    retry_s = RETRY_S
                    await trio.sleep(self._pause_s(room_id))
                else:
                    await trio.sleep(retry_s)
                    retry_s = min(2 * retry_s, LONGEST_RETRY_S)
        finally:
            self._saving.discard(room_id)

    @trio.lowlevel.enable_ki_protection
    async def _save_once(self, room_id: RoomId) -> bool:
        """Save the room as it is now. False when that failed, and while it has crashed or is not owned here.

        Waits for a save of it that is under way: when that ends later, it would replace what this one saves.
        """
        while (earlier := self._saves.get(room_id)) is not None:
            await earlier.ended.wait()
        save = self._saves[room_id] = _Save()
        try:
            async with self._limit:
                return await self._save_unsaved(room_id, save)
        finally:
            del self._saves[room_id]
            save.ended.set()

    async def _save_unsaved(self, room_id: RoomId, save: _Save) -> bool:
        save.hosted = hosted = self._unsaved.pop(room_id, None)
        if hosted is None:
            return True
        try:
            if hosted.crash is None and hosted.context.standing.is_owned:
                with save.scope, trio.fail_after(SAVE_S):
                    await self._save(hosted)
                return True  # also when it was given up
        except Exception as failure:  # noqa: BLE001 - a program's hook may raise anything
            _log.error("room.save_failed", extra={"room": room_id}, exc_info=failure)
            if save.hosted is None:  # given up
                return True
        except BaseException:
            self._unsaved.setdefault(room_id, hosted)
            raise
        self._unsaved.setdefault(room_id, self._current(room_id) or hosted)
        return False

    async def _save(self, hosted: HostedRoom) -> None:
        saving = hosted.user_room.save(hosted.name, hosted.user_room.state)
        actor = self._registry.get(hosted.name)
        await (saving if actor is None else attribute_steps(self._registry.dispatcher, actor, saving))

    def _current(self, room_id: RoomId) -> HostedRoom | None:
        actor = self._registry.get(room_id)
        return None if actor is None else hosted_room(actor)

    def _pause_s(self, room_id: RoomId) -> float:
        hosted = self._unsaved.get(room_id) or self._current(room_id)
        return 0.0 if hosted is None else max(0.0, hosted.user_room.save_every_s)
