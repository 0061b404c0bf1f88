"""Deliveries a second of the gateway as a ratio to a plain trio-websocket relay, on this machine, in turns.

usage: python -m tests.bench [--rounds 2] [--seconds 2]

The load is Python too and shares the machine, so the ratio is a lower bound; what it is good for is before and after.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.load import deliveries_per_s

SHAPES = ((1, 100), (20, 50), (100, 8), (200, 4))
GATEWAY = [sys.executable, "-m", "omnisonic", "gateway"]
PLAIN = [sys.executable, "-m", "tests.bench.plain_relay"]


@contextmanager
def running(command: list[str]) -> Iterator[int]:
    """Run a server on a free port, which is the last number in the first line it prints."""
    quiet = {"GATEWAY_PORT": "0", "MEMBER_RATE_PER_S": "0", "ROOM_ACCESS": "open", "OTEL_TRACES_EXPORTER": "none"}
    process = subprocess.Popen(command, env={**os.environ, **quiet}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().strip().rpartition(":")[2].rstrip("/"))
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Print a line a shape and round."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--rounds", type=int, default=2)
    ask.add_argument("--seconds", type=float, default=2.0)
    args = ask.parse_args()
    print(f"{'rooms x members':>16} {'plain/s':>10} {'gateway/s':>10} {'ratio':>7}")
    for _ in range(args.rounds):
        for rooms, members in SHAPES:
            with running(PLAIN) as port:
                plain = deliveries_per_s(port, rooms, members, args.seconds)
            with running(GATEWAY) as port:
                ours = deliveries_per_s(port, rooms, members, args.seconds)
            print(f"{f'{rooms} x {members}':>16} {plain:>10,.0f} {ours:>10,.0f} {ours / plain:>7.1f}")


if __name__ == "__main__":
    main()
