"""Gateways that claim rooms as they are told to, while all goes wrong for them, and a judge of what they do.

A gateway does what `omnisonic.stores.room_memory` asks of one, and nothing better: it renews its lease, claims,
writes, releases, and shows the numbers that it holds. Between any two steps it may stand still for any time. The judge
notes when each held which room and was valid: less than `VALID_S` after it sent the last renewal that was answered
alive. No two may ever have held one room at the same time.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from typing import Final, TypeVar

import trio

from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import Claim, Claimed, Outcome, RoomMemoryStore, RoomWrite

T = TypeVar("T")

LEASE_S: Final = 0.45
VALID_S: Final = 0.3
RENEW_S: Final = 0.05
ROOMS: Final = tuple(f"room {number}" for number in range(8))
LONG_S: Final = 2 * LEASE_S
"""How long a gateway stands still that all others must take for dead."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One gateway held a room and was valid, from when to when."""

    gateway: str
    from_s: float
    until_s: float


@dataclass
class Judge:
    """What was held when, and how often what happened."""

    turns: dict[RoomId, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    events: Counter[str] = field(default_factory=Counter)

    def note(self, room: RoomId, turn: Turn) -> None:
        """One more turn."""
        if turn.until_s > turn.from_s:
            self.turns[room].append(turn)

    def acquit(self) -> None:
        """Fail unless all was as it must be."""
        assert self.overlaps() == []
        assert not self.events["robbed"], "The room of a valid run was taken."

    def overlaps(self) -> list[tuple[RoomId, Turn, Turn]]:
        """All that must never be: two gateways with one room at one time."""
        found = []
        for room, turns in self.turns.items():
            in_order = sorted(turns, key=lambda turn: turn.from_s)
            for at, one in enumerate(in_order):
                for other in in_order[at + 1 :]:
                    if other.from_s >= one.until_s:
                        break
                    if other.gateway != one.gateway:
                        found.append((room, one, other))
        return found

    def has_seen(self, enough: Mapping[str, int]) -> bool:
        """Whether everything in `enough` has happened so often."""
        takeovers = sum(one.gateway != other.gateway for turns in self.turns.values() for one, other in pairwise(turns))
        seen = self.events | Counter(takeover=takeovers)
        return all(seen[name] >= number for name, number in enough.items())


class Gateway:
    """One gateway, under one name after the other."""

    def __init__(self, name: str, store: RoomMemoryStore, judge: Judge, chance: random.Random) -> None:
        self._name = name
        self._store = store
        self._judge = judge
        self._chance = chance
        self._numbers = count(1)
        self._run = ""
        self._is_begun = False
        self._valid_until_s = -math.inf
        self._held: dict[RoomId, tuple[int, float]] = {}
        """The fence of each room that is held, and since when this gateway has held it and been valid."""
        self._shown: dict[RoomId, int] = {}
        self._shown_until_s = -math.inf
        """What was held when the run was declared dead, and until when that may be shown."""
        self._still_until_s = 0.0

    async def run(self) -> None:
        """Renew and claim until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_renewals)
                nursery.start_soon(self._run_claims)
        finally:
            self._drop_all()

    async def _run_renewals(self) -> None:
        while True:
            begins = not self._is_begun
            if begins:
                self._run = f"{self._name} {next(self._numbers)}"
            run, sent_at_s = self._run, trio.current_time()
            renewal = await self._ask(partial(self._store.renew, run, begins=begins, ttl_s=LEASE_S))
            if renewal is None:
                self._judge.events["unanswered"] += 1
            elif run == self._run and renewal.is_alive:
                self._is_begun = True
                self._prolong(sent_at_s + VALID_S)
            elif run == self._run and not begins:
                self._judge.events["dead"] += 1
                self._shown = {room: fence for room, (fence, _) in self._held.items()}
                self._shown_until_s = self._valid_until_s
                self._drop_all()
                self._run, self._is_begun = "", False  # what is answered to it from now on does not count
                await self._ask(partial(self._store.end, run))
            await trio.sleep(RENEW_S)

    async def _run_claims(self) -> None:
        while True:
            await trio.sleep(self._chance.uniform(0, RENEW_S))
            room, action = self._chance.choice(ROOMS), self._chance.random()
            if not self._is_begun:
                continue
            if room not in self._held:
                await self._claim(room)
            elif action < 0.9:
                await self._write(room, is_release=action > 0.6)
            elif action > 0.94:
                await self._leave()

    async def _claim(self, room: RoomId) -> None:
        run = self._run
        shows = False

        async def call() -> list[Claim]:
            nonlocal shows
            shows = room in self._shown and trio.current_time() < self._shown_until_s
            fences = {room: self._shown[room]} if shows else None
            return await self._store.claim_unless_held([room], run, fences=fences)

        answers = await self._ask(call)
        if answers is None or run != self._run:
            return
        [answer] = answers
        self._judge.events[type(answer).__name__] += 1
        if isinstance(answer, Claimed):
            self._judge.events["shown"] += shows
            self._held[room] = answer.fence, trio.current_time()

    async def _write(self, room: RoomId, *, is_release: bool) -> None:
        fence, _ = self._held[room]
        if is_release:
            self._drop(room)
        write = RoomWrite(room, fence, next(self._numbers), {"by": b"!"}, is_whole=True, is_release=is_release)
        outcomes = await self._ask(partial(self._store.write, [write]))
        if outcomes == [Outcome.LOST] and room in self._held and self._held[room][0] == fence:
            self._judge.events["robbed"] += trio.current_time() < self._valid_until_s
            self._drop(room)

    async def _leave(self) -> None:
        """End the run, as a gateway does that is stopped; another one begins."""
        run, self._run, self._is_begun = self._run, "", False
        self._drop_all()
        self._shown = {}
        self._judge.events["left"] += 1
        await self._ask(partial(self._store.end, run))

    def _prolong(self, until_s: float) -> None:
        """The run is valid until then. Where it was not for a while, its turns have ended, and others begin."""
        now_s = trio.current_time()
        if now_s >= self._valid_until_s:
            for room, (fence, _) in list(self._held.items()):
                self._drop(room)
                self._held[room] = fence, now_s
        self._valid_until_s = until_s

    def _drop(self, room: RoomId) -> None:
        _, since_s = self._held.pop(room)
        self._judge.note(room, Turn(self._name, since_s, min(trio.current_time(), self._valid_until_s)))

    def _drop_all(self) -> None:
        for room in list(self._held):
            self._drop(room)

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The answer to `call`; None when there is none. Before and after it the gateway may stand still."""
        await self._stand_still()
        try:
            answer = await call()
        except Unavailable:
            answer = None
        await self._stand_still()
        return answer

    async def _stand_still(self) -> None:
        if self._chance.random() < 0.01:
            self._still_until_s = trio.current_time() + self._chance.uniform(0, LONG_S)
        await trio.sleep_until(self._still_until_s)


async def let_gateways_run(
    stores: Sequence[RoomMemoryStore],
    harm: Callable[[random.Random], Awaitable[object]],
    *,
    seed: int,
    enough: Mapping[str, int],
) -> Judge:
    """Let a gateway run at each of these stores, and do `harm` now and then, until all has happened often enough.

    `enough` has how often: events, and takeovers as `takeover`.
    """
    chance = random.Random(seed)
    judge = Judge()
    async with trio.open_nursery() as nursery:
        for number, store in enumerate(stores):
            gateway = Gateway(f"gateway {number}", store, judge, random.Random(chance.random()))
            nursery.start_soon(gateway.run)
        while not judge.has_seen(enough):
            await trio.sleep(chance.uniform(0, 3 * LEASE_S))
            await harm(chance)
        nursery.cancel_scope.cancel()
    return judge
