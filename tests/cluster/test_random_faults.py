"""Gateways that are cut off at random: there is never a second owner, and never a silent hole (SPEC 5.5)."""

import os
import random
from contextlib import AsyncExitStack
from typing import Final

import pytest
import trio

from tests.cluster.gateways import Stores, cluster_of, open_cluster
from tests.cluster.ownership import judge_owners, owner_log
from tests.cluster.witnesses import Record, Witness
from tests.rooms import Stage, eventually

FAULTS_S: Final = float(os.environ.get("CLUSTER_FAULTS_S", "12"))
LOOK_S: Final = 0.005
CUT_S: Final = (0.2, 6.0)
CALM_S: Final = (0.2, 3.0)
SETTLES_S: Final = 15.0


@pytest.mark.lasts(FAULTS_S)
async def test_faults_at_random_make_no_second_owner_and_no_silent_hole() -> None:
    """Three gateways are cut off from everything, from the store or from the bus, each on its own.

    The first fault is not left to chance: another takes the room over.
    """
    seed = int(os.environ.get("CLUSTER_SEED", random.randrange(1 << 32)))
    print(f"CLUSTER_SEED={seed}")
    chance, stores, record = random.Random(seed), Stores(), Record()
    both: list[list[int]] = []
    with owner_log() as log:
        witnesses = await _run_faults(stores, chance, record, both)
    assert both == []
    judge = judge_owners(log.events)
    assert judge.overlaps() == []
    assert len(judge.turns["jam"]) > 1
    assert record.problems == []
    assert [hole for witness in witnesses for hole in witness.holes] == []
    assert sum(sum(witness.heard.values()) for witness in witnesses) > 1_000


async def _run_faults(stores: Stores, chance: random.Random, record: Record, both: list[list[int]]) -> list[Witness]:
    witnesses = []
    async with open_cluster("a", "b", "c", stores=stores, grace_s=5) as stages, AsyncExitStack() as stack:
        for number, stage in enumerate(stages * 2):
            name = "abcdef"[number]
            member = await stack.enter_async_context(await stage.bare_member(name))
            witnesses.append(Witness(name, member, record))
        async with trio.open_nursery() as nursery:
            for witness in witnesses:
                nursery.start_soon(witness.listen)
            async with trio.open_nursery() as talking:
                talking.start_soon(_watch_owners, stages, both)
                for witness in witnesses:
                    talking.start_soon(witness.talk)
                await _cut_off_owner(stores, stages)
                with trio.move_on_after(FAULTS_S):
                    async with trio.open_nursery() as faults:
                        for name in ("a", "b", "c"):
                            faults.start_soon(_cut_off, stores, name, chance)
                talking.cancel_scope.cancel()
            for name in ("a", "b", "c"):
                stores.cut_off(name, is_away=False)
            with trio.fail_after(SETTLES_S):
                async with trio.open_nursery() as ending:
                    for witness in witnesses:
                        ending.start_soon(witness.say_until_heard, witnesses)
            await eventually(lambda: len(_owners(stages)) == 1)
            nursery.cancel_scope.cancel()
    return witnesses


def _owners(stages: list[Stage]) -> list[int]:
    clusters = [cluster_of(stage) for stage in stages]
    return [n for n, each in enumerate(clusters) if each.claims.owns("jam") and each.lease.is_valid]


async def _watch_owners(stages: list[Stage], both: list[list[int]]) -> None:
    while True:
        if len(owners := _owners(stages)) > 1:
            both.append(owners)
        await trio.sleep(LOOK_S)


async def _cut_off_owner(stores: Stores, stages: list[Stage]) -> None:
    [owner] = _owners(stages)
    stores.cut_off("abc"[owner])
    await eventually(lambda: len(others := _owners(stages)) == 1 and others != [owner])
    stores.cut_off("abc"[owner], is_away=False)


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
