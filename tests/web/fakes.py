"""Hand-written stand-ins for the store and the bus, which can be told to fail or to hang."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from omnisonic.bus import Bus, Delivery, Gap, Heard
from omnisonic.errors import Unavailable
from omnisonic.models import MemberId, PresenceMember, RoomId
from omnisonic.presence import Lease, PresenceStore


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
    """A roster that never expires, and remembers the time to live of what it was given."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.rooms: dict[RoomId, dict[MemberId, Lease]] = {}

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        await self.trouble.strike()

    async def forget_owner(self, owner: str) -> None:
        await self.trouble.strike()

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        await self.trouble.strike()
        return True

    async def put_lease(self, room: RoomId, member: PresenceMember, *, ttl_s: float) -> None:
        await self.trouble.strike()
        self.rooms.setdefault(room, {})[member.member_id] = Lease(member, ttl_s)

    async def drop_lease(self, room: RoomId, member_id: MemberId) -> bool:
        await self.trouble.strike()
        return self.rooms.get(room, {}).pop(member_id, None) is not None

    async def leases(self, room: RoomId) -> list[Lease]:
        await self.trouble.strike()
        return [lease for _, lease in sorted(self.rooms.get(room, {}).items())]

    async def members(self, room: RoomId) -> list[PresenceMember]:
        return [lease.member for lease in await self.leases(room)]

    async def ping(self) -> None:
        await self.trouble.strike()

    async def aclose(self) -> None:
        pass


class FakeBus:
    """A bus in one loop, which keeps what was published."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.published: list[Delivery] = []
        self._listeners: list[tuple[tuple[str, ...], asyncio.Queue[Heard]]] = []

    async def publish(self, channel: str, data: bytes) -> int:
        await self.trouble.strike()
        self.published.append(Delivery(channel, data))
        heard = [queue for channels, queue in self._listeners if channel in channels]
        for queue in heard:
            queue.put_nowait(Gap())
            queue.put_nowait(Delivery(channel, data))
        return len(heard)

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[Heard]]:
        await self.trouble.strike()
        listener = (channels, asyncio.Queue[Heard]())
        self._listeners.append(listener)
        try:
            yield _drain(listener[1])
        finally:
            self._listeners.remove(listener)

    async def aclose(self) -> None:
        pass


async def _drain(queue: asyncio.Queue[Heard]) -> AsyncIterator[Heard]:
    while True:
        yield await queue.get()


_presence_fits: type[PresenceStore] = FakePresence
_bus_fits: type[Bus] = FakeBus
