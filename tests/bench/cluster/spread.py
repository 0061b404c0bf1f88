"""What a delivery costs a gateway alone, one with two workers, and one in a cluster whose rooms are its own.

All three run, each with a Valkey of its own, and have the same bursts in turns. What is measured is the processor time
of all processes of a gateway, without that of opening connections, so another program does little harm.
"""

import os
import statistics
from contextlib import ExitStack
from typing import Final

from tests.bench.cluster.measure import burst_s
from tests.bench.cluster.serving import Server, gateway, gateways, valkey

SHAPES: Final = {(1, 100): 16, (20, 50): 16, (100, 8): 8, (200, 4): 4}
"""Rooms and members, and how many messages a burst to each room has."""
ALONE: Final = "alone"


def spread(rounds: int, seconds: float) -> None:
    """Print the processor time of a delivery, of each gateway in each shape, and its ratio to that of the first."""
    with ExitStack() as stack:
        urls = [stack.enter_context(valkey())[0] for _ in range(3)]
        servers: dict[str, Server] = {
            ALONE: stack.enter_context(gateways(1, urls[0]))[0],
            "two workers": stack.enter_context(gateways(1, urls[1], {"GATEWAY_WORKERS": "2"}))[0],
            "in a cluster": stack.enter_context(gateway(urls[2], "one")),
        }
        for (rooms, members), messages in SHAPES.items():
            print(f"load of the machine: {os.getloadavg()[0]:.1f}", flush=True)
            deliveries = messages * (members - 1)
            costs: dict[str, list[float]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, server in servers.items():
                    costs[name].append(burst_s(server, members, messages, seconds, rooms=rooms) / deliveries)
            for name, each in costs.items():
                ratio = statistics.median(cost / alone for cost, alone in zip(each, costs[ALONE], strict=True))
                least_us = min(each) * 1e6
                print(
                    f"{rooms:>4} x {members:<4} {name:>12} {least_us:>6.2f} us a delivery, {ratio:.2f} of alone",
                    flush=True,
                )
