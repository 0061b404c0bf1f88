"""Runs the model with different settings, and prints what each needs, what is used up first, and at which load."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tests.bench.cluster.costs import Costs
from tests.bench.cluster.model import Cluster, Load, Network
from tests.bench.cluster.population import Population, Routing, make_sizes, place
from tests.bench.cluster.report import Figures
from tests.bench.cluster.restart import largest_welcome, restart

RUN_S: Final = 0.5
STRAY: Final = 0.01
FULL: Final = 0.8
"""A resource of which more is used is a limit: queues grow soon after that."""
LEAST: Final = 1 / 8
STEPS: Final = 4
"""Halvings of the interval in which the limit is."""
DEFAULT_LARGEST: Final = 2_000
"""`MAX_MEMBERS_PER_ROOM`, when nothing is set."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a cluster is set up. `spread_above`: rooms with more members are not routed; 0: all are."""

    name: str
    routing: Routing
    shards: int = 1
    spread_above: int = 0
    largest: int | None = None


SETTINGS: Final = (
    Setting("any gateway", "none"),
    Setting("any gateway", "none", shards=6),
    Setting("by room", "room"),
    Setting("by room", "room", shards=3),
    Setting("by room, over 2,000 any", "room", shards=3, spread_above=2_000),
    Setting("by room, all under 2,000", "room", largest=DEFAULT_LARGEST),
    Setting("by room, all under 2,000", "room", shards=3, largest=DEFAULT_LARGEST),
)
ENDED: Final = (1, 10, 100)


def simulate(seed: int, members: int, largest: int, gateways: int, costs: Costs) -> None:
    """Print the tables, as Markdown."""
    print(
        f"{gateways} gateways, {members:,} members in rooms of 2 to {largest:,}. {Load()}, {Network()}, seed {seed}.\n"
    )
    _print_row("routing", "Redis", "far", "connections", "packets/s", "writes/s", "gateway", "Redis", "p50", "limit")
    _print_row(*["---"] * 10)
    for setting in SETTINGS:
        people, _ = _people(setting, seed, members, largest, gateways)
        figures = _run(people, setting, costs, seed, 1.0)
        name, factor = find_limit(people, setting, costs, seed)
        _print_row(
            setting.name,
            str(setting.shards),
            f"{figures.remote_share:.0%}",
            f"{figures.connections:,}",
            f"{figures.packets:,.0f}, {figures.packet_mb:,.0f} MB",
            f"{figures.writes:,.0f}, {figures.write_mb:,.0f} MB",
            _share(figures.gateway_cpu),
            _share(figures.redis_cpu),
            _milliseconds(figures.p50_ms) if figures.limit[1] < 1 else "grows",
            f"{name}, {factor}",
        )
    _print_restarts(seed, members, largest, gateways, costs)


def _print_row(*words: str) -> None:
    print(f"| {' | '.join(words)} |", flush=True)


def _share(used: float) -> str:
    return f"{used:.0%}" if used < 1 else "over 100%"


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else "over 100 ms"


def _people(
    setting: Setting, seed: int, members: int, largest: int, gateways: int
) -> tuple[Population, np.random.Generator]:
    rng = np.random.default_rng(seed)
    sizes = make_sizes(rng, members, min(largest, setting.largest or largest))
    spread = setting.spread_above
    return place(rng, sizes, gateways, setting.routing, stray=STRAY, spread_above=spread), rng


def _run(people: Population, setting: Setting, costs: Costs, seed: int, factor: float) -> Figures:
    rng = np.random.default_rng(seed)
    cluster = Cluster(rng, people, replace(Load(), factor=factor), Network(shards=setting.shards), costs)
    return cluster.run(RUN_S)


def find_limit(people: Population, setting: Setting, costs: Costs, seed: int) -> tuple[str, str]:
    """What is used up first, and at how many times the load; loads from an eighth to eight times are tried."""
    low, high = LEAST, 1 / LEAST
    name, is_tried = "none", False
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        resource, used = _run(people, setting, costs, seed, middle).limit
        if used > FULL:
            high, name = middle, resource
        else:
            low, is_tried = middle, True
    return name, f"{low:.1f} times" if is_tried else f"below {high:.1f} times"


def _print_restarts(seed: int, members: int, largest: int, gateways: int, costs: Costs) -> None:
    people, rng = _people(SETTINGS[2], seed, members, largest, gateways)
    print()
    _print_row("gateways that end", "Redis", "rooms", "claims/s", "all claimed after", "too late")
    _print_row(*["---"] * 6)
    for ended in sorted({max(1, share * gateways // 100) for share in ENDED}):
        for shards in (1, 6):
            done = restart(rng, people, Network(shards=shards), costs, ended=ended)
            figures = f"{done.claims_per_s:,.0f}", f"{done.all_after_s:.1f} s", f"{done.late_share:.0%}"
            _print_row(str(ended), str(shards), f"{done.rooms:,}", *figures)
    print()
    for spread in (1, 10, gateways):
        size = largest_welcome(Network(), costs, gateways=spread)
        print(f"Largest room whose members are all welcomed within 5 s, on {spread} gateways: {size:,}")
