"""Members who write down what they hear, and check that its order has no silent hole (SPEC 5.4, 5.5).

They do what docs/realtime.md says of clients: after another `welcome` they send again what had no `ack`.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from tests.clients import CLOSE, TEXT, Bare

SAY_S: Final = 0.02
AGAIN_S: Final = 0.2
LISTENS_S: Final = 60.0


@dataclass
class Record:
    """What was said where in which order, as all witnesses together know it."""

    said: dict[tuple[str, int], str] = field(default_factory=dict)
    """By epoch and offset."""
    problems: list[str] = field(default_factory=list)

    def note(self, place: tuple[str, int], payload: str, witness: str) -> None:
        """A witness has heard this at this place."""
        first = self.said.setdefault(place, payload)
        if first != payload:
            self.problems.append(f"{witness}: {place} is {payload}, and was {first}")


class Witness:
    """One member, who says numbered messages, and checks that what they hear has an order without silent holes.

    Attributes:
        heard: How often each message of others was heard.
        count: How many numbered messages were said.
        unanswered: The numbers of those that were not acknowledged yet.
        acked_at_s: When one was acknowledged, by trio's clock.
        told: How often the member was told that something may be missing.
    """

    def __init__(self, name: str, member: Bare, record: Record) -> None:
        self.name = name
        self.heard = Counter[str]()
        self.count = 0
        self.unanswered: dict[int, None] = {}
        self.acked_at_s: list[float] = []
        self.told = 0
        self.last_heard = ""
        self._member = member
        self._sending = trio.Lock()
        self._record = record
        self._epoch: str = member.welcome["payload"]["epoch"]
        self._next: int = member.welcome["payload"]["offset"] + 1
        self._own: set[int] = set()
        self._may_miss = False
        self._is_degraded = False
        self._heard_degraded: set[str] = set()
        self._holes: list[tuple[str, list[int]]] = []

    async def talk(self, pause_s: float = SAY_S) -> None:
        """Say one message after another, until cancelled."""
        while True:
            self.count += 1
            self.unanswered[self.count] = None
            await self._say(f"{self.name}{self.count}", id=self.count)
            await trio.sleep(pause_s)

    async def _say_again(self) -> None:
        for number in list(self.unanswered):
            await self._say(f"{self.name}{number}", id=number)

    async def say_until_heard(self, others: Iterable["Witness"], word: str = "at last") -> None:
        """Say something until all others have heard it, as a client does that gets no acknowledgement."""
        word = f"{self.name} {word}"
        while any(other.heard[word] == 0 for other in others if other is not self):
            await self._say(word)
            await trio.sleep(AGAIN_S)

    async def _say(self, payload: str, **fields: object) -> None:
        with trio.CancelScope(shield=True):
            async with self._sending:
                await self._member.say("note", payload, **fields)

    async def listen(self) -> None:
        """Hear until cancelled."""
        self._member.deadline_s = LISTENS_S
        async with trio.open_nursery() as nursery:
            while True:
                first, payload = await self._member.frame()
                assert first != CLOSE, f"{self.name} was closed: {payload!r}"
                if first == TEXT:
                    message = json.loads(payload)
                    self._take(message)
                    if message["type"] == "welcome":
                        nursery.start_soon(self._say_again)

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "welcome":
                self._begin(message["payload"])
            case "history.gap":
                self._may_miss = True
                self.told += 1
            case "room.degraded" | "room.restored":
                self._is_degraded = message["type"] == "room.degraded"
            case "ack":
                self._own.add(message["payload"]["offset"])
                self.unanswered.pop(message["payload"]["id"], None)
                self.acked_at_s.append(trio.current_time())
            case "note":
                self._hear(message)

    def _begin(self, welcome: dict[str, Any]) -> None:
        self._is_degraded = False
        self._may_miss = not welcome["recovered"]
        self._epoch, self._next = welcome["epoch"], welcome["offset"] + 1

    def _hear(self, message: dict[str, Any]) -> None:
        offset, payload = message["offset"], message["payload"]
        self.heard[payload] += 1
        self.last_heard = payload
        if self._is_degraded:
            self._heard_degraded.add(payload)
        self._record.note((self._epoch, offset), payload, self.name)
        if offset < self._next and not self._may_miss:
            self._record.problems.append(f"{self.name}: {self._epoch}:{offset} after {self._next - 1}")
        missed = set(range(self._next, offset)) - self._own
        if missed and not self._may_miss and not self._is_degraded:
            self._holes.append((self._epoch, sorted(missed)))
        self._may_miss = False
        self._next = offset + 1

    @property
    def holes(self) -> list[str]:
        """Messages of others that were missed, and nobody said so."""
        return [
            f"{self.name}: {epoch}:{offset} {self._record.said[epoch, offset]}"
            for epoch, offsets in self._holes
            for offset in offsets
            if not self._record.said.get((epoch, offset), self.name).startswith(self.name)
        ]

    @property
    def doubles(self) -> list[str]:
        """Numbered messages of others that were heard more than once."""
        return [f"{self.name}: {word}" for word, times in self.heard.items() if times > 1 and " " not in word]

    def missed(self, others: Iterable["Witness"]) -> list[str]:
        """Numbered messages of others that were never heard here."""
        words = [f"{each.name}{n}" for each in others if each is not self for n in range(1, each.count + 1)]
        return [word for word in words if not self.heard[word]]

    @property
    def again(self) -> list[str]:
        """Those of the doubles that were heard while the room was degraded, and may not have been part of its order."""
        return [each for each in self.doubles if each.removeprefix(f"{self.name}: ") in self._heard_degraded]
