"""Hand-written stand-ins for the store and the bus, which can be told to fail or to hang."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.models import MemberId, PresenceMember, RoomId, UserId
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.bus import ROOM_EVENTS, Bus, BusEvent, Delivery, Gap
from omnisonic.stores.bus.events import Reply, RoomEvent, RoomSaid, decode
from omnisonic.stores.presence import Lease, LeaseBound, PresenceStore


class Trouble:
    """What is wrong with a dependency now: nothing, "down" (it says so), "hung" (it never answers) or "broken"."""

    def __init__(self) -> None:
        self.kind = ""

    async def strike(self) -> None:
        match self.kind:
            case "down":
                raise Unavailable("Nobody is home.", retry_after_s=2.5)
            case "hung":
                await asyncio.Event().wait()
            case "broken":
                raise ZeroDivisionError("SELECT secret FROM /etc/passwd")


class FakePresence:
    """A roster that never expires, and remembers what it was given. `rounds` is how often it counted.

    It keeps to no bound, and knows the last one that it was given.
    """

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.rooms: dict[RoomId, dict[MemberId, Lease]] = {}
        self.rounds = 0
        self.bound: LeaseBound | None = None
        self.once_put: Callable[[], Awaitable[None]] | None = None
        """What happens to somebody else when a lease was just put."""

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        await self.trouble.strike()

    async def forget_owner(self, owner: str) -> None:
        await self.trouble.strike()

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        await self.trouble.strike()
        return True

    async def put_lease(
        self,
        room: RoomId,
        member: PresenceMember,
        *,
        ttl_s: float,
        person: UserId | None = None,
        bound: LeaseBound | None = None,
    ) -> bool:
        await self.trouble.strike()
        self.bound = bound
        leases = self.rooms.setdefault(room, {})
        if (there := leases.get(member.member_id)) is not None and there.person not in (None, person):
            return False
        leases[member.member_id] = Lease(member, ttl_s, person)
        if self.once_put is not None:
            await self.once_put()
        return True

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        await self.trouble.strike()
        there = self.rooms.get(room, {}).get(member_id)
        if there is None or there.person not in (None, person):
            return False
        del self.rooms[room][member_id]
        return True

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        await self.trouble.strike()
        leases = self.rooms.get(room, {})
        for name in [name for name, lease in leases.items() if person in (None, lease.person)]:
            del leases[name]

    async def leases(self, room: RoomId) -> list[Lease]:
        await self.trouble.strike()
        return [lease for _, lease in sorted(self.rooms.get(room, {}).items())]

    async def members(self, room: RoomId) -> list[PresenceMember]:
        return [lease.member for lease in await self.leases(room)]

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        await self.trouble.strike()
        self.rounds += 1
        return [len(self.rooms.get(room, {})) for room in rooms]

    async def ping(self) -> None:
        await self.trouble.strike()

    async def aclose(self) -> None:
        pass


class FakeBus:
    """A bus in one loop, which keeps what was published.

    `gateway` is what a gateway would reply to something said into a room; without it, or when it says None, none does.
    """

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.published: list[Delivery] = []
        self.gateway: Callable[[RoomSaid], Reply | None] | None = None
        self._listeners: list[tuple[tuple[str, ...], asyncio.Queue[BusEvent]]] = []

    async def publish(self, channel: str, data: bytes) -> int:
        await self.trouble.strike()
        self.published.append(Delivery(channel, data))
        if channel == ROOM_EVENTS and self.gateway is not None:
            self._reply(decode(data), self.gateway)
            return 1
        return self._deliver(channel, data)

    @property
    def events(self) -> list[RoomEvent]:
        """What the rooms were told, but for the traces in which it was."""
        reported = [decode(each.data) for each in self.published if each.channel == ROOM_EVENTS]
        return [msgspec.structs.replace(event, trace=None) for event in reported]

    @property
    def traces(self) -> list[Trace | None]:
        """The trace in which the rooms were told each of that."""
        return [decode(each.data).trace for each in self.published if each.channel == ROOM_EVENTS]

    def _reply(self, event: RoomEvent, gateway: Callable[[RoomSaid], Reply | None]) -> None:
        if isinstance(event, RoomSaid) and event.reply_to is not None and (reply := gateway(event)) is not None:
            self._deliver(event.reply_to, msgspec.json.encode(reply))

    def _deliver(self, channel: str, data: bytes) -> int:
        received = [queue for channels, queue in self._listeners if channel in channels]
        for queue in received:
            queue.put_nowait(Gap())
            queue.put_nowait(Delivery(channel, data))
        return len(received)

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[BusEvent]]:
        await self.trouble.strike()
        listener = (channels, asyncio.Queue[BusEvent]())
        self._listeners.append(listener)
        try:
            yield _drain(listener[1])
        finally:
            self._listeners.remove(listener)

    async def aclose(self) -> None:
        pass


async def _drain(queue: asyncio.Queue[BusEvent]) -> AsyncIterator[BusEvent]:
    while True:
        yield await queue.get()


_presence_fits: type[PresenceStore] = FakePresence
_bus_fits: type[Bus] = FakeBus
