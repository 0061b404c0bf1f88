"""Rosters are read for all who wait at once, and never from before they asked."""

import asyncio

import pytest

from omnisonic.errors import Unavailable
from omnisonic.http.api.presence import RosterReader
from omnisonic.models import PresenceMember
from omnisonic.stores.presence import Lease
from tests.http.fakes import FakePresence


class SlowPresence(FakePresence):
    """A store whose reads are answered when the test says so, with the roster of that moment's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[asyncio.Event] = []

    async def members(self, room: str) -> list[PresenceMember]:
        found = await super().members(room)
        self.reads.append(asyncio.Event())
        await self.reads[-1].wait()
        return found

    def come(self, name: str) -> None:
        self.rooms.setdefault("jam", {})[name] = Lease(PresenceMember(name, name), 60)


def test_who_asks_during_a_read_gets_the_next_one() -> None:
    """A hundred who come while one is read share one more read, and see who came meanwhile."""

    async def ask() -> None:
        presence = SlowPresence()
        reads = RosterReader(presence)
        first = asyncio.create_task(reads.members("jam"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        presence.come("ada")
        others = [asyncio.create_task(reads.members("jam")) for _ in range(100)]
        await asyncio.sleep(0)
        others[0].cancel()
        presence.reads[0].set()
        assert b"ada" not in await first
        await asyncio.sleep(0)
        presence.reads[1].set()
        answers = await asyncio.gather(*others[1:])
        assert len(set(answers)) == 1
        assert b'"ada"' in answers[0]
        assert len(presence.reads) == 2

    asyncio.run(asyncio.wait_for(ask(), 5))


def test_rooms_do_not_wait_for_one_another() -> None:
    """Each room has its own read under way."""

    async def ask() -> None:
        presence = SlowPresence()
        reads = RosterReader(presence)
        asked = [asyncio.create_task(reads.members(room)) for room in ("jam", "other")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(presence.reads) == 2
        for read in presence.reads:
            read.set()
        assert await asyncio.gather(*asked) == [b'{"members":[]}'] * 2

    asyncio.run(asyncio.wait_for(ask(), 5))


@pytest.mark.parametrize("kind", ["down", "hung"])
def test_a_read_that_fails_fails_for_all_who_wait(kind: str) -> None:
    """`Unavailable` to each, also to those who came during it; and the next read is well again."""

    async def ask() -> None:
        presence = FakePresence()
        presence.trouble.kind = kind
        reads = RosterReader(presence)
        asked = [asyncio.create_task(reads.members("jam")) for _ in range(3)]
        await asyncio.sleep(0)
        asked.append(asyncio.create_task(reads.members("jam")))
        failures = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(failure) for failure in failures} == {Unavailable}
        presence.trouble.kind = ""
        assert await reads.members("jam") == b'{"members":[]}'

    asyncio.run(asyncio.wait_for(ask(), 5))
