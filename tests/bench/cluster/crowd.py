"""A crowd on the client of the package, at several gateways, and what became of what its members said.

The first members of each room speak; everybody listens. A client finds a gateway as behind a proxy: they are tried in
turn until one accepts.
"""

import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import trio

from omnisonic.client.backend import Stream
from omnisonic.client.connection import JoinRequest
from omnisonic.client.errors import NotTaken
from omnisonic.client.membership import open_membership
from omnisonic.client.reconnect_policy import ReconnectPolicy
from omnisonic.client.rooms import ClientRoom
from omnisonic.client.trio_backend import TrioBackend

SPEAKERS: Final = 2
"""In each room; they enter at different gateways."""
ANSWER_S: Final = 60.0
AT_ONCE: Final = 20
"""So many members enter at a time."""
INBOX_BYTES: Final = 64 * 1_048_576


class Ports(TrioBackend):
    """The ports of gateways that may accept, as a proxy knows them. `opened_at_s`: when connections were opened."""

    def __init__(self, ports: list[int], first: int) -> None:
        self.opened_at_s: list[float] = []
        self._ports = ports
        self._next = first

    async def open_stream(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> Stream:
        """A connection to the next one that accepts. Errors: OSError when none does."""
        problem: OSError | None = None
        for _ in list(self._ports):
            self._next += 1
            try:
                stream = await super().open_stream(host, self._ports[self._next % len(self._ports)], ssl_context)
            except OSError as refused:
                problem = refused
            else:
                self.opened_at_s.append(trio.current_time())
                return stream
        raise problem or OSError("there is no gateway")


@dataclass
class Person:
    """One member, and what they heard: each word, and when."""

    name: str
    room: str
    ports: Ports
    heard: list[tuple[str, float]] = field(default_factory=list)
    gaps: int = 0
    client: ClientRoom | None = None

    async def listen(self) -> None:
        """Hear until the membership ends."""
        assert self.client is not None
        async for message in self.client:
            if message.type == "note":
                self.heard.append((message.payload, trio.current_time()))
            elif message.type == "history.gap":
                self.gaps += 1

    def pauses_s(self) -> tuple[list[float], list[float]]:
        """How long nothing was heard between two messages: while the connection stayed, and while another opened."""
        stayed: list[float] = []
        moved: list[float] = []
        for (_, before_s), (_, after_s) in pairwise(self.heard):
            has_moved = any(before_s < at_s <= after_s for at_s in self.ports.opened_at_s)
            (moved if has_moved else stayed).append(after_s - before_s)
        return stayed, moved


@dataclass(frozen=True)
class Outcome:
    """What became of what was said. `deliveries` are those that should have been.

    Attributes:
        said: How many messages were acknowledged.
        refused: How many were not.
        lost: Deliveries of acknowledged messages that did not happen.
        doubled: Deliveries too many.
        disordered: Members who heard a room in another order than others.
        gaps: How often a member was told of a gap.
        reconnected: How many times a member had to open another connection.
        stayed_pause_s: The longest time in which a member heard nothing who only listens, and whose connection stayed.
        moved_pause_s: The same of those who had to reconnect.
    """

    said: int
    refused: int
    deliveries: int
    lost: int
    doubled: int
    disordered: int
    gaps: int
    reconnected: int
    stayed_pause_s: float
    moved_pause_s: float


class Crowd:
    """Members in rooms, evenly, at the gateways on these ports, which may change. Entered with `open_crowd`."""

    def __init__(self, ports: list[int], members: int, rooms: int) -> None:
        self.people = [
            Person(f"m{number}", f"room{number % rooms}", Ports(ports, number // rooms)) for number in range(members)
        ]
        self.acked: dict[str, list[str]] = {f"room{number}": [] for number in range(rooms)}
        self.refused = 0
        self._speakers = self.people[: SPEAKERS * rooms]
        self._saying = 0

    async def talk(self, pause_s: float) -> None:
        """Each speaker says something every `pause_s`, until cancelled; what was begun is ended by `settle`."""
        count = 0
        while True:
            for number, speaker in enumerate(self._speakers):
                count += 1
                self._saying += 1
                self._nursery.start_soon(self._say, speaker, f"{speaker.name} {count}")
                if number % AT_ONCE == AT_ONCE - 1:
                    await trio.sleep(pause_s * AT_ONCE / len(self._speakers))
            await trio.sleep(pause_s * (len(self._speakers) % AT_ONCE) / len(self._speakers))

    async def settle(self, deadline_s: float) -> None:
        """Wait until all that was said is acknowledged or refused, and heard; `deadline_s` at most."""
        with trio.move_on_after(deadline_s):
            while self._saying or self.count().lost:  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.5)

    def count(self) -> Outcome:
        """What became of everything so far."""
        lost = doubled = disordered = deliveries = 0
        stayed_s, moved_s = [0.0], [0.0]
        orders: dict[str, list[str]] = {}
        for person in self.people[len(self._speakers) :]:
            stayed, moved = person.pauses_s()
            stayed_s += stayed
            moved_s += moved
        for person in self.people:
            words = [word for word, _ in person.heard]
            times = Counter(words)
            own = f"{person.name} "
            should = [word for word in self.acked[person.room] if not word.startswith(own)]
            deliveries += len(should)
            lost += sum(not times[word] for word in should)
            doubled += sum(count - 1 for count in times.values())
            disordered += not _agree(orders.setdefault(person.room, words), words)
        return Outcome(
            said=sum(map(len, self.acked.values())),
            refused=self.refused,
            deliveries=deliveries,
            lost=lost,
            doubled=doubled,
            disordered=disordered,
            gaps=sum(person.gaps for person in self.people),
            reconnected=sum(len(person.ports.opened_at_s) - 1 for person in self.people),
            stayed_pause_s=max(stayed_s),
            moved_pause_s=max(moved_s),
        )

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Enter with all members, and listen until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for start in range(0, len(self.people), AT_ONCE):
                async with trio.open_nursery() as entering:
                    for person in self.people[start : start + AT_ONCE]:
                        entering.start_soon(self._nursery.start, self._live, person)
            task_status.started()

    async def _live(self, person: Person, task_status: trio.TaskStatus[None]) -> None:
        request = JoinRequest("ws://127.0.0.1", person.room, person.name)
        async with open_membership(
            person.ports, request, ReconnectPolicy(), give_up_after_s=ANSWER_S, inbox_bytes=INBOX_BYTES
        ) as person.client:
            task_status.started()
            await person.listen()

    async def _say(self, speaker: Person, word: str) -> None:
        assert speaker.client is not None
        try:
            await speaker.client.ask("note", word, timeout_s=ANSWER_S)
        except NotTaken:
            self.refused += 1
        else:
            self.acked[speaker.room].append(word)
        finally:
            self._saying -= 1


def _agree(one: list[str], other: list[str]) -> bool:
    """Whether both have in the same order what both have."""
    both = set(one) & set(other)
    return [word for word in one if word in both] == [word for word in other if word in both]


@asynccontextmanager
async def open_crowd(ports: list[int], members: int, rooms: int) -> AsyncIterator[Crowd]:
    """A crowd that is in its rooms, until the block ends."""
    crowd = Crowd(ports, members, rooms)
    async with trio.open_nursery() as nursery:
        await nursery.start(crowd.run)
        yield crowd
        nursery.cancel_scope.cancel()
