"""What a member says reaches their stream in whichever process of the web it is (SPEC 5)."""

import asyncio
from typing import cast

import pytest

from omnisonic.errors import Unavailable
from omnisonic.http.api.event_streams import EventStreams
from omnisonic.http.api.member_connection import MemberConnection
from omnisonic.wire.frames import TEXT, Frame
from tests.http.fakes import FakeBus


class Sent:
    """A connection that remembers what was sent on it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.arrived = asyncio.Event()

    def send(self, frames: list[Frame]) -> None:
        self.frames += frames
        self.arrived.set()


def test_a_message_finds_its_stream_over_the_bus() -> None:
    """In its own process without the bus, in another by it. One that has ended, or of another room, is none."""

    async def run() -> None:
        bus = FakeBus()
        here, there = EventStreams(bus), EventStreams(bus)
        connection = Sent()
        stream = await here.add("jam", cast("MemberConnection", connection))
        assert await here.send(stream, "jam", [(TEXT, b"1")])
        assert await there.send(stream, "jam", [(TEXT, b"2"), (TEXT, b"3")])
        async with asyncio.timeout(5):
            while len(connection.frames) < 3:
                connection.arrived.clear()
                await connection.arrived.wait()
        assert [payload for _, payload in connection.frames] == [b"1", b"2", b"3"]
        assert not await here.send(stream, "another", [(TEXT, b"4")])
        assert not await there.send("no stream at all", "jam", [(TEXT, b"4")])
        bus.trouble.kind = "down"
        with pytest.raises(Unavailable):
            await there.send(stream, "jam", [(TEXT, b"4")])
        bus.trouble.kind = ""
        here.discard(stream)
        assert not await here.send(stream, "jam", [(TEXT, b"4")])
        assert len(connection.frames) == 3
        await asyncio.sleep(0)  # so that the listener ends
        assert not await there.send(stream, "jam", [(TEXT, b"4")])

    asyncio.run(run())


def test_what_is_for_a_stream_that_has_ended_elsewhere_is_dropped_there() -> None:
    """It is passed on, as that process has another stream; whoever has that one gets nothing of it."""

    async def run() -> None:
        bus = FakeBus()
        here, there = EventStreams(bus), EventStreams(bus)
        ended, open_one = Sent(), Sent()
        stream = await here.add("jam", cast("MemberConnection", ended))
        other = await here.add("jam", cast("MemberConnection", open_one))
        here.discard(stream)
        assert await there.send(stream, "jam", [(TEXT, b"1")])
        assert await there.send(other, "jam", [(TEXT, b"2")])
        async with asyncio.timeout(5):
            await open_one.arrived.wait()
        assert ended.frames == []
        assert open_one.frames == [(TEXT, b"2")]
        here.discard(other)

    asyncio.run(run())
