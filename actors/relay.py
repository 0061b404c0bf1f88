"""The relay: brings what happens outside into the rooms (SPEC 3, presence and rooms rows; DESIGN 1).

It listens on the bus for leases, for what the web side says into rooms, and for rights that have ended, which are the
bouncer's (`omnisonic.actors.bouncer`). It reads a room's leases from the presence store when the room is new or when events
may have been missed. The store is the truth, the bus only makes it quick.

Overload: the bus drops and says so (`Gap`), and the store is read; what was said into a room is lost, and whoever said
it gets no reply. Replies that the bus does not take in time are dropped. The store down: the rooms that are to be read wait,
and are read on its return. Crash: restarted by its supervisor, which is a gap. Shutdown: cancelled.
"""

import logging
from contextlib import suppress
from typing import Final

import msgspec
import trio

from omnisonic.actors.cell import RoomCell
from omnisonic.actors.mailbox import DropLease, PutLease, SyncLeases
from omnisonic.actors.registry import Registry
from omnisonic.actors.roster import Entry
from omnisonic.bus import ROOM_EVENTS, Bus, Delivery, Gap
from omnisonic.bus.events import LeaseDropped, LeasePut, RoomEvent, decode
from omnisonic.errors import Unavailable
from omnisonic.models import Member, RoomId
from omnisonic.presence import PresenceStore

RETRY_S: Final = 0.25

_log = logging.getLogger(__name__)


class Relay:
    """Carries events and leases into the rooms of one gateway."""

    def __init__(self, store: PresenceStore, bus: Bus, registry: Registry) -> None:
        self._store = store
        self._bus = bus
        self._registry = registry
        self._unread: dict[RoomId, None] = {}
        self._reading: RoomId | None = None
        self._wake = trio.Event()

    def room_made(self, cell: RoomCell) -> None:
        """Read this room's leases soon."""
        self._read_soon(cell.room_id)

    def roster_changed(self, cell: RoomCell) -> None:
        """Of no concern here."""

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell rooms what the bus says, until cancelled. The bus down at first: it is tried again."""
        task_status.started()
        while True:
            with suppress(Unavailable):
                async with self._bus.subscribe(ROOM_EVENTS) as events:
                    self._read_all()
                    async for heard in events:
                        match heard:
                            case Delivery():
                                self._tell(heard.data)
                            case Gap():
                                self._read_all()
            await trio.sleep(RETRY_S)

    async def read_leases(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the leases of rooms that are to be read, until cancelled."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._unread:
                self._reading = room_id = next(iter(self._unread))
                del self._unread[room_id]
                try:
                    await self._read(room_id)
                except Unavailable:
                    self._unread[room_id] = None
                    await trio.sleep(RETRY_S)
                finally:
                    self._reading = None

    async def _read(self, room_id: RoomId) -> None:
        if self._registry.get(room_id) is None:
            return
        leases = await self._store.leases(room_id)
        cell = self._registry.get(room_id)
        if cell is None or room_id in self._unread:
            return  # an event came in meanwhile: what was read may be older than it, so it is read again
        now_s = trio.current_time()
        cell.tell(SyncLeases(tuple(Entry(_plain(each.member), None, now_s + each.ttl_s) for each in leases)))

    def _tell(self, data: bytes) -> None:
        try:
            event = decode(data)
        except msgspec.DecodeError as problem:
            _log.warning("relay.unknown_event", extra={"problem": str(problem)})
            return
        cell = self._registry.get(event.room)
        if cell is not None:
            self._tell_room(cell, event)

    def _tell_room(self, cell: RoomCell, event: RoomEvent) -> None:
        if self._reading == cell.room_id:
            self._read_soon(cell.room_id)
        match event:
            case LeasePut():
                cell.tell(PutLease(event.member, trio.current_time() + event.ttl_s))
            case LeaseDropped():
                cell.tell(DropLease(event.member_id))

    def _read_all(self) -> None:
        for cell in self._registry:
            self._read_soon(cell.room_id)

    def _read_soon(self, room_id: RoomId) -> None:
        self._unread[room_id] = None
        self._wake.set()


def _plain(member: Member) -> Member:
    return Member(member.member_id, member.display_name, member.status)
