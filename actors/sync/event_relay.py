"""The event relay: brings events from the bus into the rooms (SPEC 3, presence and rooms rows; DESIGN 1).

It subscribes to leases, to messages that the web side sends into rooms, and to revoked rights, which it passes to
access revocation. It reads a room's leases from the presence store when the room is new or events may have been lost.
The store is the truth; the bus only makes it fast.

Overload: the bus drops events and reports a `Gap`; the store is read again. Messages into rooms are lost then, and
their sender gets no reply. Replies that the bus does not take are dropped. Store unavailable: rooms wait to be read
until it is back. Crash: restarted by its supervisor, which counts as a gap. Shutdown: cancelled.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, assert_never

import msgspec
import trio

from omnisonic.actors.admission.revocation import AccessRevocation
from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.mailbox import Dismiss, DropLease, DropLeasesOf, ExternalMessage, PutLease, SyncLeases
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.seat import Entry
from omnisonic.errors import Unavailable
from omnisonic.models import Member, RoomId
from omnisonic.stores.bus import ROOM_EVENTS, Bus, Delivery, Gap
from omnisonic.stores.bus.events import (
    LeaseDropped,
    LeasePut,
    LoginEnded,
    Reply,
    RoleChanged,
    RoleLost,
    RoomClosed,
    RoomSaid,
    decode,
)
from omnisonic.stores.presence import PresenceStore
from omnisonic.wire.closing import CloseCode, Closing, is_utf8
from omnisonic.wire.messages import Envelope

RETRY_S: Final = 0.25
REPLIES: Final = 256
"""Replies that may wait for the bus."""

_log = logging.getLogger(__name__)


class EventRelay:
    """Brings events and leases into the rooms of one gateway, and revoked rights to access revocation."""

    def __init__(self, store: PresenceStore, bus: Bus, registry: Registry, revocation: AccessRevocation) -> None:
        self._store = store
        self._bus = bus
        self._registry = registry
        self._revocation = revocation
        self._replies_in, self._replies_out = trio.open_memory_channel[tuple[str, Reply]](REPLIES)
        self._unread: dict[RoomId, None] = {}
        self._reading: RoomId | None = None
        self._wake = trio.Event()

    @property
    def is_behind(self) -> bool:
        """Whether some rooms' leases are not read yet."""
        return bool(self._unread) or self._reading is not None

    def on_room_made(self, actor: RoomActor) -> None:
        """Read this room's leases soon."""
        self._read_soon(actor.room_id)

    def on_roster_change(self, actor: RoomActor) -> None:
        """Nothing to do: leases do not depend on it."""

    def on_room_moved(self, actor: RoomActor) -> None:
        """Nothing to do: the next owner reads the leases."""

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass events from the bus to the rooms, until cancelled. Subscribes again when the bus is unavailable."""
        task_status.started()
        while True:
            with suppress(Unavailable):
                async with self._bus.subscribe(ROOM_EVENTS) as events:
                    self._resync()
                    async for event in events:
                        match event:
                            case Delivery():
                                self._handle_event(event.data)
                            case Gap():
                                self._resync()
            await trio.sleep(RETRY_S)

    async def send_replies(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Publish the replies to messages from outside, until cancelled."""
        task_status.started()
        async for channel, reply in self._replies_out:
            with suppress(Unavailable):
                await self._bus.publish(channel, msgspec.json.encode(reply))

    async def read_leases(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read leases of rooms that need it, until cancelled."""
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
        actor = self._registry.get(room_id)
        if actor is None or room_id in self._unread:
            return  # an event came in meanwhile: what was read may be older than it, so it is read again
        now_s = trio.current_time()
        entries = (Entry(_to_member(each.member), None, now_s + each.ttl_s, each.person) for each in leases)
        actor.tell(SyncLeases(tuple(entries)))

    def _handle_event(self, data: bytes) -> None:
        if not is_utf8(data):  # msgspec does not look into payloads
            _log.warning("relay.unknown_event", extra={"problem": "It is not UTF-8."})
            return
        try:
            event = decode(data)
        except msgspec.DecodeError as problem:
            _log.warning("relay.unknown_event", extra={"problem": str(problem)})
            return
        match event:
            case LoginEnded():
                self._revocation.revoke_login(event.login)
                return
            case RoleLost():
                self._revocation.revoke_role(event.room, event.person)
            case RoleChanged():
                self._revocation.change_role(event.room, event.person, is_listener=event.role == "listener")
                return
            case RoomClosed():
                self._revocation.revoke_room(event.room)
                if self._registry.memory_watcher is not None:
                    self._registry.memory_watcher.on_room_deleted(event.room)
            case LeasePut() | LeaseDropped() | RoomSaid():
                pass
            case _ as never:
                assert_never(never)
        actor = self._registry.get(event.room)
        if actor is not None:
            self._tell_room(actor, event)

    def _tell_room(self, actor: RoomActor, event: LeasePut | LeaseDropped | RoomSaid | RoomClosed | RoleLost) -> None:
        match event:
            case LeasePut():
                self._note_lease_change(actor)
                actor.tell(PutLease(event.member, trio.current_time() + event.ttl_s, event.person, event.trace))
            case LeaseDropped():
                self._note_lease_change(actor)
                actor.tell(DropLease(event.member_id, event.person, event.trace))
            case RoomSaid():
                envelope = Envelope(event.type, event.payload, event.to)
                actor.tell(ExternalMessage(envelope, self._make_reply(event.reply_to), event.trace))
            case RoleLost():
                actor.tell(DropLeasesOf(event.person, event.trace))
            case RoomClosed():
                actor.tell(Dismiss(Closing(CloseCode.ROOM_CLOSED), event.trace, ends_room=True))
            case _ as never:
                assert_never(never)

    def _make_reply(self, channel: str | None) -> Callable[[Reply], None]:
        return _ignore_reply if channel is None else partial(self._reply, channel)

    def _reply(self, channel: str, reply: Reply) -> None:
        try:
            self._replies_in.send_nowait((channel, reply))
        except trio.WouldBlock:
            _log.warning("relay.reply_dropped")

    def _resync(self) -> None:
        """Events may have been lost: read everything again."""
        for actor in self._registry:
            self._read_soon(actor.room_id)
        self._revocation.recheck_soon()

    def _note_lease_change(self, actor: RoomActor) -> None:
        if self._reading == actor.room_id:
            self._read_soon(actor.room_id)

    def _read_soon(self, room_id: RoomId) -> None:
        self._unread[room_id] = None
        self._wake.set()


def _ignore_reply(_reply: Reply) -> None:
    """The sender did not ask for a reply."""


def _to_member(member: Member) -> Member:
    return Member(member.member_id, member.display_name, member.status, account=member.account)
