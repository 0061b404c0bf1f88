"""Two gateways and a Valkey beside two servers on Socket.IO with its Redis adapter, in turns, under the same load.

The members of each room are split evenly over the two servers. The load tool speaks plain WebSocket to ours and
Socket.IO to theirs, with the same payload, and does the same work for each delivery. Everything shares the machine.
"""

import os
from typing import Final

from tests.bench.cluster.load import WINDOWS, run_load
from tests.bench.cluster.serving import Server, gateways, socketio, valkey

LIGHT_SHAPE: Final = (20, 8)
LIGHT_RATE: Final = 5.0


def compare(rounds: int, seconds: float, program: str | None) -> None:
    """Print a line for each server and shape, and the ratios after each round."""
    for _ in range(rounds):
        print(f"load of the machine: {os.getloadavg()[0]:.1f}", flush=True)
        with valkey() as (url, _), socketio(2, url) as servers:
            theirs = _measure("2 x socket.io", servers, seconds, program, is_socketio=True)
        with valkey() as (url, _), gateways(2, url) as servers:
            ours = _measure("2 gateways", servers, seconds, program)
        with valkey() as (url, _), gateways(1, url) as servers:
            _print_light("1 gateway", servers, seconds, program)
        for shape in WINDOWS:
            print(f"{'ratio':>14} {shape[0]:>4} x {shape[1]:<4} {ours[shape] / theirs[shape]:.1f}", flush=True)


def _measure(
    name: str, servers: list[Server], seconds: float, program: str | None, *, is_socketio: bool = False
) -> dict[tuple[int, int], float]:
    """Deliveries a second in each shape."""
    deliveries = {}
    for shape in WINDOWS:
        figures = run_load(servers, shape, seconds, is_socketio=is_socketio, program=program)
        deliveries[shape] = figures.deliveries_per_s
        print(f"{name:>14} {shape[0]:>4} x {shape[1]:<4} {figures.deliveries_per_s:>10,.0f} deliveries/s", flush=True)
    _print_light(name, servers, seconds, program, is_socketio=is_socketio)
    return deliveries


def _print_light(
    name: str, servers: list[Server], seconds: float, program: str | None, *, is_socketio: bool = False
) -> None:
    figures = run_load(servers, LIGHT_SHAPE, seconds, rate=LIGHT_RATE, is_socketio=is_socketio, program=program)
    there = f", other server {figures.there_p50_us / 1000:.2f} ms" if len(servers) > 1 else ""
    load = f"{LIGHT_SHAPE[0]:>4} x {LIGHT_SHAPE[1]:<4} at {LIGHT_RATE:g}/s"
    print(f"{name:>14} {load} p50: same server {figures.here_p50_us / 1000:.2f} ms{there}", flush=True)
