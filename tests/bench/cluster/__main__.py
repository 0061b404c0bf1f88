"""Many gateways: where the first limit is.

usage: python -m tests.bench.cluster simulate [--seed 1] [--members 1000000] [--gateways 100] [--costs FILE]
       python -m tests.bench.cluster measure [--seconds 3] > FILE      the simulation's constants, on this machine
       python -m tests.bench.cluster check [--costs FILE] [--load TOOL]     two real gateways beside the simulation
       python -m tests.bench.cluster spread [--rounds 2] [--seconds 3]     what workers and a cluster cost a delivery
       python -m tests.bench.cluster compare [--rounds 2] [--load TOOL]    beside Socket.IO with its Redis adapter
       python -m tests.bench.cluster rolling [--members 500]    both gateways replaced under load
       python -m tests.bench.cluster faults [--seconds 600] [--seed 1] [--kind "Redis killed"]    all that can fail, or
                                                       some of it, and what members notice

`simulate` needs nothing but a few minutes. The others start real servers, and share the machine with them. Without
`--load` the load tool (`load.c`) is compiled. docs/scaling.md has the figures.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from tests.bench.cluster.check import check
from tests.bench.cluster.compare import compare
from tests.bench.cluster.costs import MEASURED, Costs
from tests.bench.cluster.fault_kinds import KINDS
from tests.bench.cluster.faults import faults
from tests.bench.cluster.measure import measure
from tests.bench.cluster.rolling import rolling
from tests.bench.cluster.simulate import simulate
from tests.bench.cluster.spread import spread

MEMBERS: Final = 1_000_000
CROWD: Final = 500
ROOMS: Final = 25
PAUSE_S: Final = 1.0


def main() -> None:
    """Run one command."""
    ask = argparse.ArgumentParser(
        description=__doc__, usage=argparse.SUPPRESS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("command", choices=("simulate", "measure", "check", "spread", "compare", "rolling", "faults"))
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--members", type=int)
    ask.add_argument("--largest", type=int, default=50_000)
    ask.add_argument("--gateways", type=int, default=100)
    ask.add_argument("--rounds", type=int, default=2)
    ask.add_argument("--seconds", type=float, default=3.0)
    ask.add_argument("--costs", type=Path)
    ask.add_argument("--load")
    ask.add_argument("--kind", choices=KINDS, action="append")
    args = ask.parse_args()
    costs = MEASURED if args.costs is None else Costs.read(args.costs.read_text())
    match args.command:
        case "simulate":
            simulate(args.seed, args.members or MEMBERS, args.largest, args.gateways, costs)
        case "measure":
            print(measure(args.seconds, args.rounds).to_json())
        case "check":
            check(costs, args.seconds, args.load)
        case "spread":
            spread(args.rounds, args.seconds)
        case "rolling":
            rolling(args.members or CROWD, ROOMS, PAUSE_S)
        case "faults":
            sys.exit(not faults(args.seconds, args.seed, args.kind or KINDS))
        case _:
            compare(args.rounds, args.seconds, args.load)


if __name__ == "__main__":
    main()
