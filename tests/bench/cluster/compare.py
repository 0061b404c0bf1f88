"""Two gateways and a Valkey beside two servers on Socket.IO with its Redis adapter, in turns, under the same load.

The members of each room are split evenly over the two servers. The load tool speaks plain WebSocket to ours and
Socket.IO to theirs, with the same payload, and does the same work for each delivery. Everything shares the machine.
"""

import os

from tests.bench.cluster.load import WINDOWS, Figures, run_load
from tests.bench.cluster.serving import gateways, socketio, valkey

LIGHT_SHAPE = (20, 8)
LIGHT_RATE = 5.0


def compare(rounds: int, seconds: float, program: str | None) -> None:
    """Print a line for each round and shape: deliveries a second of both, the ratio; then p50 at light load."""
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print(f"{'rooms x members':>16} {'socket.io/s':>12} {'gateways/s':>12} {'ratio':>7}")
    for _ in range(rounds):
        theirs, ours, alone = _measure(seconds, program)
        for shape in WINDOWS:
            one, other = theirs[shape].deliveries_per_s, ours[shape].deliveries_per_s
            print(f"{f'{shape[0]} x {shape[1]}':>16} {one:>12,.0f} {other:>12,.0f} {other / one:>7.1f}")
        print(f"p50 at light load ({LIGHT_SHAPE[0]} x {LIGHT_SHAPE[1]}, {LIGHT_RATE:g} messages a second each):")
        for name, figures in (("socket.io", theirs), ("gateways", ours)):
            light = figures[LIGHT_SHAPE]
            here, there = light.here_p50_us / 1000, light.there_p50_us / 1000
            print(f"{name:>16} same server {here:.2f} ms, other server {there:.2f} ms")
        print(f"{'one gateway':>16} {alone.here_p50_us / 1000:.2f} ms", flush=True)


def _measure(
    seconds: float, program: str | None
) -> tuple[dict[tuple[int, int], Figures], dict[tuple[int, int], Figures], Figures]:
    """What both did in each shape, and one gateway alone at light load."""
    with valkey() as (url, _):
        with socketio(2, url) as servers:
            theirs = {shape: run_load(servers, shape, seconds, is_socketio=True, program=program) for shape in WINDOWS}
            theirs[LIGHT_SHAPE] = run_load(
                servers, LIGHT_SHAPE, seconds, rate=LIGHT_RATE, is_socketio=True, program=program
            )
        with gateways(2, url) as servers:
            ours = {shape: run_load(servers, shape, seconds, program=program) for shape in WINDOWS}
            ours[LIGHT_SHAPE] = run_load(servers, LIGHT_SHAPE, seconds, rate=LIGHT_RATE, program=program)
        with gateways(1, url) as servers:
            alone = run_load(servers, LIGHT_SHAPE, seconds, rate=LIGHT_RATE, program=program)
    return theirs, ours, alone
