"""Runs the model with different settings, and prints what each needs, what is used up first, and at which load."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tests.bench.cluster.costs import Costs
from tests.bench.cluster.model import Cluster, Load, Network
from tests.bench.cluster.population import Population, Routing, make_sizes, place
from tests.bench.cluster.report import Figures
from tests.bench.cluster.restart import largest_welcome, restart

RUN_S: Final = 1.0
STRAY: Final = 0.01
FULL: Final = 0.8
"""A resource of which more is used is a limit: queues grow soon after that."""
STEPS: Final = 5
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
    """Print the tables."""
    print(f"{gateways} gateways, {members:,} members in rooms of 2 to {largest:,}; {Load()}; {Network()}")
    heads = ("routing", "shards", "remote", "most conn.", "deliv./s", "packets/s", "MB/s", "writes/s", "MB/s")
    more = ("gw CPU", "mean", "gw NIC", "Redis", "p50", "p99 far", "lag", "first limit", "at load")
    print(f"{heads[0]:>25}" + "".join(f"{head:>11}" for head in (*heads[1:], *more)))
    for setting in SETTINGS:
        people, _ = _people(setting, seed, members, largest, gateways)
        figures = _run(people, setting, costs, seed, 1.0)
        name, factor = find_limit(people, setting, costs, seed)
        print(f"{setting.name:>25}{setting.shards:>11}" + _row(figures) + f"{name:>13} x{factor:.2g}", flush=True)
    _print_restarts(seed, members, largest, gateways, costs)


def _row(figures: Figures) -> str:
    words = (
        f"{figures.remote_share:.0%}",
        f"{figures.connections:,}",
        f"{figures.deliveries:,.0f}",
        f"{figures.packets:,.0f}",
        f"{figures.packet_mb:,.0f}",
        f"{figures.writes:,.0f}",
        f"{figures.write_mb:,.0f}",
        f"{figures.gateway_cpu:.0%}",
        f"{figures.gateway_cpu_mean:.0%}",
        f"{figures.gateway_nic:.0%}",
        f"{max(figures.redis_cpu, figures.redis_nic):.0%}",
        f"{figures.p50_ms:.1f} ms",
        f"{figures.remote_p99_ms:.0f} ms",
        f"{figures.lag_ms:.0f} ms",
    )
    return "".join(f"{word:>11}" for word in words)


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


def find_limit(people: Population, setting: Setting, costs: Costs, seed: int) -> tuple[str, float]:
    """What is used up first, and at how many times the load, at most 16 times and at least a sixteenth."""
    low, high = 1 / 16, 16.0
    name = ""
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        resource, used = _run(people, setting, costs, seed, middle).limit
        if used > FULL:
            high, name = middle, resource
        else:
            low = middle
    return name or "none", low


def _print_restarts(seed: int, members: int, largest: int, gateways: int, costs: Costs) -> None:
    print(
        f"\n{'gateways that end':>25}"
        + "".join(f"{head:>11}" for head in ("shards", "rooms", "claims/s", "all after", "late", "MB"))
    )
    people, rng = _people(SETTINGS[2], seed, members, largest, gateways)
    counts = [min(ended * gateways // 100, gateways) or 1 for ended in ENDED]
    for ended in counts:
        for shards in (1, 3, 6):
            done = restart(rng, people, Network(shards=shards), costs, ended=ended)
            words = (
                f"{shards}",
                f"{done.rooms:,}",
                f"{done.claims_per_s:,.0f}",
                f"{done.all_after_s:.2f} s",
                f"{done.late_share:.0%}",
                f"{done.record_mb:,.0f}",
            )
            print(f"{ended:>25}" + "".join(f"{word:>11}" for word in words), flush=True)
    for spread in (1, 10, gateways):
        print(
            f"largest room whose members are all welcomed within 5 s, on {spread} gateways: "
            f"{largest_welcome(Network(), costs, gateways=spread):,}"
        )
