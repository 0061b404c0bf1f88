"""Many gateways: where the first limit is.

usage: python -m tests.bench.cluster simulate [--seed 1] [--members 1000000] [--gateways 100] [--costs FILE]
       python -m tests.bench.cluster measure [--seconds 3] > FILE      the simulation's constants, on this machine
       python -m tests.bench.cluster check [--costs FILE] [--load TOOL]     two real gateways beside the simulation
       python -m tests.bench.cluster compare [--rounds 2] [--load TOOL]    beside Socket.IO with its Redis adapter

`simulate` needs nothing but a few minutes. The others start real servers, and share the machine with them. Without
`--load` the load tool (`load.c`) is compiled. docs/scaling.md has the figures.
"""

import argparse
from pathlib import Path

from tests.bench.cluster.check import check
from tests.bench.cluster.compare import compare
from tests.bench.cluster.costs import MEASURED, Costs
from tests.bench.cluster.measure import measure
from tests.bench.cluster.simulate import simulate


def main() -> None:
    """Run one command."""
    ask = argparse.ArgumentParser(
        description=__doc__, usage=argparse.SUPPRESS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("command", choices=("simulate", "measure", "check", "compare"))
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--members", type=int, default=1_000_000)
    ask.add_argument("--largest", type=int, default=50_000)
    ask.add_argument("--gateways", type=int, default=100)
    ask.add_argument("--rounds", type=int, default=2)
    ask.add_argument("--seconds", type=float, default=3.0)
    ask.add_argument("--costs", type=Path)
    ask.add_argument("--load")
    args = ask.parse_args()
    costs = MEASURED if args.costs is None else Costs.read(args.costs.read_text())
    match args.command:
        case "simulate":
            simulate(args.seed, args.members, args.largest, args.gateways, costs)
        case "measure":
            print(measure(args.seconds, args.rounds).to_json())
        case "check":
            check(costs, args.seconds, args.load)
        case _:
            compare(args.rounds, args.seconds, args.load)


if __name__ == "__main__":
    main()
