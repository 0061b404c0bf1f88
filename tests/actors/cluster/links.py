"""Gateways' links on a bus that a test can spoil, and what they told their gateways."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.stores.bus import Bus, BusEvent
from omnisonic.wire.peer_messages import Ask, PeerMessage

RESET = "reset"
SILENT = "silent"


class Received:
    """Writes down what links tell, in order: the id of an `Ask`, or one of the words above."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.news = trio.Event()

    def on_message(self, peer: str, message: PeerMessage) -> None:
        assert isinstance(message, Ask)
        self._note(peer, message.id)

    def on_reset(self, peer: str) -> None:
        self._note(peer, RESET)

    def on_silent(self, peer: str) -> None:
        self._note(peer, SILENT)

    def _note(self, peer: str, what: str) -> None:
        self.told.append((peer, what))
        self.news.set()
        self.news = trio.Event()

    def of(self, peer: str) -> list[str]:
        """What was told of `peer`."""
        return [what for about, what in self.told if about == peer]

    async def until(self, peer: str, what: str, times: int = 1) -> None:
        """Wait until this was told of `peer`, so many times in all."""
        while self.of(peer).count(what) < times:
            await self.news.wait()


def ask(number: int, what: bytes = b"") -> Ask:
    """A message that can be told from others."""
    return Ask(str(number), what)


def numbers(told: list[str]) -> Iterator[list[int]]:
    """The numbers of the messages between resets."""
    part: list[int] = []
    for what in told:
        if what == RESET:
            yield part
            part = []
        elif what != SILENT:
            part.append(int(what))
    yield part


class Gateway:
    """One end: links, and what they told."""

    def __init__(self, bus: Bus, run: str) -> None:
        self.run = run
        self.heard = Received()
        self.links = PeerLinks(bus, run, self.heard)


@asynccontextmanager
async def running(*gateways: Gateway) -> AsyncIterator[None]:
    """Run the links of these until the block ends."""
    async with trio.open_nursery() as nursery:
        for gateway in gateways:
            await nursery.start(gateway.links.run)
        yield
        nursery.cancel_scope.cancel()


class Spy:
    """A bus that counts and keeps what is published on another one."""

    def __init__(self, bus: Bus) -> None:
        self.published: list[tuple[str, bytes]] = []
        self._bus = bus

    async def publish(self, channel: str, data: bytes) -> int:
        self.published.append((channel, data))
        return await self._bus.publish(channel, data)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[BusEvent]]:
        return self._bus.subscribe(*channels)

    async def aclose(self) -> None:
        await self._bus.aclose()
