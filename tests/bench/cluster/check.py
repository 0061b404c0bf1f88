"""The simulation beside a real run: two gateways and a Valkey, the members of each room split evenly."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import redis

from tests.bench.cluster.costs import Costs
from tests.bench.cluster.load import run_load
from tests.bench.cluster.measure import processor_s
from tests.bench.cluster.model import Cluster, Load, Network
from tests.bench.cluster.population import Population
from tests.bench.cluster.report import Figures
from tests.bench.cluster.serving import gateways, valkey

SHAPES: Final = (((1, 100), 50.0), ((20, 50), 10.0), ((100, 8), 10.0))
"""Rooms and members, and messages a second of each room's speaker."""
SHORT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Run:
    deliveries: float
    packets: float
    gateway_cpu: float
    redis_cpu: float
    remote_p50_ms: float


def check(costs: Costs, seconds: float, program: str | None) -> None:
    """Print measured and simulated figures for each shape."""
    heads = ("deliveries/s", "packets/s", "gateway CPU", "Redis CPU", "other p50")
    print(f"{'rooms x members':>16} {'':>10}" + "".join(f"{head:>14}" for head in heads))
    for shape, rate in SHAPES:
        simulated = simulate_even(shape, rate, costs, seconds)
        for name, run in (("measured", _real(shape, rate, seconds, program)), ("simulated", simulated)):
            label = f"{shape[0]} x {shape[1]}"
            words = (
                f"{run.deliveries:,.0f}",
                f"{run.packets:,.0f}",
                f"{run.gateway_cpu:.1%}",
                f"{run.redis_cpu:.1%}",
                f"{run.remote_p50_ms:.2f} ms",
            )
            print(f"{label:>16} {name:>10}" + "".join(f"{word:>14}" for word in words), flush=True)


def simulate_even(shape: tuple[int, int], rate: float, costs: Costs, seconds: float) -> Figures:
    """The model with two gateways, and half of each room on each."""
    rooms, members = shape
    here = (members + 1) // 2
    people = Population(
        gateways=2,
        size=np.full(rooms, members),
        owner=np.zeros(rooms, np.int64),  # the speaker comes first, and so do all of the load's rooms
        local=np.full(rooms, here),
        entry_gateway=np.tile([0, 1], rooms),
        entry_members=np.tile([here, members - here], rooms),
        entry_begin=np.arange(rooms + 1) * 2,
    )
    load = Load(rate_per_s=rate / members, room_rate_per_s=rate, stay_s=1e12)
    return Cluster(np.random.default_rng(1), people, load, Network(hop_s=0.00005), costs).run(seconds)


def _real(shape: tuple[int, int], rate: float, seconds: float, program: str | None) -> _Run:
    """What a run of `SHORT_S` and one of `seconds` more need: the difference is without joining and leaving."""
    with valkey() as (url, pid), gateways(2, url) as servers, redis.Redis.from_url(url) as client:
        pids = [*(server.pid for server in servers), pid]
        used: list[list[float]] = []
        for lasts_s in (SHORT_S, SHORT_S, SHORT_S + seconds):  # the first warms everything up
            before = [*map(processor_s, pids), _published(client)]
            seen = run_load(servers, shape, lasts_s, rate=rate, program=program)
            after = [*map(processor_s, pids), _published(client)]
            used.append([end - begin for begin, end in zip(before, after, strict=True)])
        *cpu, redis_cpu, packets = ((more - less) / seconds for less, more in zip(*used[1:], strict=True))
    return _Run(seen.deliveries_per_s, packets, max(cpu), redis_cpu, seen.there_p50_us / 1000)


def _published(client: redis.Redis) -> int:
    """How many messages were published in this Valkey, sharded or not."""
    stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("publish", "spublish"))
