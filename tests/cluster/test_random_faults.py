"""Gateways that are cut off at random: there is never a second owner, and never a silent hole (SPEC 5.5)."""

import json
import os
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Final

import trio

from tests.clients import CLOSE, TEXT, Bare
from tests.cluster.gateways import Stores, cluster_of, open_cluster
from tests.rooms import Stage, eventually

FAULTS_S: Final = float(os.environ.get("CLUSTER_FAULTS_S", "12"))
LOOK_S: Final = 0.005
SAY_S: Final = 0.02
CUT_S: Final = (0.2, 6.0)
CALM_S: Final = (0.2, 3.0)
SETTLES_S: Final = 15.0


class Witness:
    """One member, who says numbered messages, and checks that what they hear has an order without silent holes."""

    def __init__(self, name: str, member: Bare, said: dict[tuple[str, int], Any]) -> None:
        self.name = name
        self.problems: list[str] = []
        self.heard = Counter[str]()
        self.last_heard = ""
        self._member = member
        self._said = said
        self._epoch: str = member.welcome["payload"]["epoch"]
        self._next: int = member.welcome["payload"]["offset"] + 1
        self._own: set[int] = set()
        self._may_miss = False
        self._is_degraded = False
        self._count = 0
        self._holes: list[tuple[str, list[int]]] = []

    async def talk(self) -> None:
        while True:
            self._count += 1
            await self._member.say("note", f"{self.name}{self._count}", id=self._count)
            await trio.sleep(SAY_S)

    async def say_until_heard(self, others: list["Witness"]) -> None:
        """Say something until all others have heard it, as a client does that gets no acknowledgement."""
        word = f"{self.name} at last"
        while any(other.heard[word] == 0 for other in others if other is not self):
            await self._member.say("note", word)
            await trio.sleep(0.2)

    async def listen(self) -> None:
        self._member.deadline_s = 60.0
        while True:
            first, payload = await self._member.frame()
            assert first != CLOSE, f"{self.name} was closed: {payload!r}"
            if first != TEXT:
                continue
            message = json.loads(payload)
            match message["type"]:
                case "welcome":
                    self._begin(message["payload"])
                case "history.gap":
                    self._may_miss = True
                case "room.degraded" | "room.restored":
                    self._is_degraded = message["type"] == "room.degraded"
                case "ack":
                    self._own.add(message["payload"]["offset"])
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
        first = self._said.setdefault((self._epoch, offset), payload)
        if first != payload:
            self.problems.append(f"{self.name}: {self._epoch}:{offset} is {payload}, and was {first}")
        if offset < self._next and not self._may_miss:
            self.problems.append(f"{self.name}: {self._epoch}:{offset} after {self._next - 1}")
        missed = set(range(self._next, offset)) - self._own
        if missed and not self._may_miss and not self._is_degraded:
            self._holes.append((self._epoch, sorted(missed)))
        self._may_miss = False
        self._next = offset + 1

    @property
    def holes(self) -> list[str]:
        """Messages of others that were missed, and nobody said so."""
        return [
            f"{self.name}: {epoch}:{offset} {self._said[epoch, offset]}"
            for epoch, offsets in self._holes
            for offset in offsets
            if not str(self._said.get((epoch, offset), self.name)).startswith(self.name)
        ]


async def test_faults_at_random_make_no_second_owner_and_no_silent_hole() -> None:
    """Three gateways are cut off from everything, from the store or from the bus, each on its own."""
    seed = int(os.environ.get("CLUSTER_SEED", random.randrange(1 << 32)))
    print(f"CLUSTER_SEED={seed}")
    chance, stores, said = random.Random(seed), Stores(), dict[tuple[str, int], Any]()
    both: list[list[int]] = []
    async with open_cluster("a", "b", "c", stores=stores, grace_s=5) as stages, AsyncExitStack() as stack:
        witnesses = []
        for number, stage in enumerate(stages * 2):
            name = "abcdef"[number]
            member = await stack.enter_async_context(await stage.bare_member(name))
            witnesses.append(Witness(name, member, said))
        async with trio.open_nursery() as nursery:
            for witness in witnesses:
                nursery.start_soon(witness.listen)
            with trio.move_on_after(FAULTS_S):
                async with trio.open_nursery() as talking:
                    talking.start_soon(_watch_owners, stages, both)
                    for witness in witnesses:
                        talking.start_soon(witness.talk)
                    for name in ("a", "b", "c"):
                        talking.start_soon(_cut_off, stores, name, chance)
            for name in ("a", "b", "c"):
                stores.cut_off(name, is_away=False)
            with trio.fail_after(SETTLES_S):
                async with trio.open_nursery() as ending:
                    for witness in witnesses:
                        ending.start_soon(witness.say_until_heard, witnesses)
            await eventually(lambda: len(_owners(stages)) == 1)
            nursery.cancel_scope.cancel()
    assert both == []
    assert [problem for witness in witnesses for problem in witness.problems] == []
    assert [hole for witness in witnesses for hole in witness.holes] == []
    assert sum(sum(witness.heard.values()) for witness in witnesses) > 1_000


def _owners(stages: list[Stage]) -> list[int]:
    clusters = [cluster_of(stage) for stage in stages]
    return [n for n, each in enumerate(clusters) if each.claims.owns("jam") and each.lease.is_valid]


async def _watch_owners(stages: list[Stage], both: list[list[int]]) -> None:
    while True:
        if len(owners := _owners(stages)) > 1:
            both.append(owners)
        await trio.sleep(LOOK_S)


async def _cut_off(stores: Stores, name: str, chance: random.Random) -> None:
    while True:
        await trio.sleep(chance.uniform(*CALM_S))
        what = chance.randrange(3)
        if what != 1:
            stores.memories[name].is_away = True
        if what != 2:
            stores.busses[name].is_away = True
        await trio.sleep(chance.uniform(*CUT_S))
        stores.cut_off(name, is_away=False)
