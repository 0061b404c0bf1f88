"""Faults of all kinds at random, and what members notice of each: a table, and whether there ever were two owners.

*goes on*: the longest time without an acknowledgement for a member whose gateway has no fault; from when the fault
began, or, where it was Redis that failed, from when it was back. *together*: from the end of the fault until everybody
hears everybody.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from typing import Final

import trio

from tests.bench.cluster.fault_kinds import KINDS, Fault
from tests.bench.cluster.scene import ROOM, SETTLES_S, Scene, open_scene
from tests.cluster.ownership import judge_owners
from tests.cluster.witnesses import Witness

CALM_S: Final = (0.5, 2.0)


@dataclass
class Row:
    """What members noticed of one kind of fault.

    Attributes:
        tries: How often there was one.
        drops: Connections that ended at gateways that did not.
        doubles: Messages that a member heard twice, without those in `again`.
        again: Messages that were heard twice, first while the member had been told that the room is degraded.
        lost: Messages that a member missed, and nobody said so.
        told: How often a member was told that something may be missing.
    """

    tries: int = 0
    drops: int = 0
    doubles: int = 0
    again: int = 0
    lost: int = 0
    told: int = 0
    goes_on_s: float = 0.0
    together_s: float = 0.0


def faults(seconds: float, seed: int, kinds: Collection[str]) -> bool:
    """Make faults of these kinds for so long, and print the table.

    Returns:
        Whether there never were two owners, nor anything lost.
    """
    rows = {kind: Row() for kind in kinds}
    overlaps, problems, moves = trio.run(_make_faults, rows, seconds, random.Random(seed))
    print(f"seed {seed}")
    print(f"{'':>24}" + "".join(f"{each.name:>12}" for each in fields(Row)))
    for kind, row in rows.items():
        figures = [getattr(row, each.name) for each in fields(Row)]
        cells = [f"{each:>12.1f}" if isinstance(each, float) else f"{each:>12}" for each in figures]
        print(f"{kind:>24}" + "".join(cells))
    print(f"two owners at a time: {overlaps}, turns of owners: {moves}, in another order: {len(problems)}")
    for problem in problems[:10]:
        print(problem)
    return not overlaps and not problems and not any(row.lost or row.doubles for row in rows.values())


async def _make_faults(rows: dict[str, Row], seconds: float, chance: random.Random) -> tuple[int, list[str], int]:
    async with open_scene() as scene:
        until_s = trio.current_time() + seconds
        next_kinds: list[str] = []
        while trio.current_time() < until_s:
            next_kinds = next_kinds or chance.sample(list(rows), len(rows))
            kind = next_kinds.pop()
            await trio.sleep(chance.uniform(*CALM_S))
            word = f"{kind} {rows[kind].tries}"
            try:
                await _try(scene, rows[kind], partial(KINDS[kind], scene, chance), word)
            except trio.TooSlowError:
                scene.record.problems.append(f"{word}: not together within {SETTLES_S:g} s")
                break
    judge = judge_owners(event for node in scene.nodes for event in node.events)
    return len(judge.overlaps()), scene.record.problems, len(judge.turns[ROOM])


async def _try(scene: Scene, row: Row, make: Callable[[], Awaitable[Fault]], word: str) -> None:
    """One fault, and what came of it."""
    await _all_hear(scene.present, f"{word} before")
    before = _count(scene)
    fault = await make()
    await _all_hear(scene.present, f"{word} after")
    together_s = trio.current_time() - fault.ended_s
    with trio.fail_after(SETTLES_S):
        while any(witness.unanswered for witness in scene.present):  # noqa: ASYNC110 - it has no event
            await trio.sleep(0.05)
    row.tries += 1
    row.goes_on_s = max(row.goes_on_s, *(_pause_s(witness, fault) for witness in fault.others))
    row.together_s = max(row.together_s, together_s)
    for name, value in (_count(scene) - before).items():
        setattr(row, name, getattr(row, name) + value)
    print(
        f"{trio.current_time():9.1f} {word}: {dict(_count(scene) - before)} together after {together_s:.1f} s",
        flush=True,
    )


def _pause_s(witness: Witness, fault: Fault) -> float:
    """The longest time without an acknowledgement, from the fault's time on."""
    times = [at_s for at_s in witness.acked_at_s if at_s > fault.from_s]
    return max((after_s - before_s for before_s, after_s in pairwise([fault.from_s, *times])), default=0.0)


def _count(scene: Scene) -> Counter[str]:
    counts = Counter(drops=scene.dropped)
    for witness in scene.witnesses:
        counts.update(
            doubles=len(witness.doubles) - len(witness.again),
            again=len(witness.again),
            lost=len(witness.holes),
            told=witness.told,
        )
    return counts


async def _all_hear(witnesses: list[Witness], word: str) -> None:
    with trio.fail_after(SETTLES_S):
        async with trio.open_nursery() as nursery:
            for witness in witnesses:
                nursery.start_soon(witness.say_until_heard, witnesses, word)
