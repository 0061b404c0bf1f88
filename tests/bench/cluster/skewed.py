"""Runs `omnisonic` with a wall clock that is wrong. usage: python -m tests.bench.cluster.skewed SECONDS COMMAND..."""

import sys
import time


def skew(seconds: float) -> None:
    """Let the wall clock of this process be off by so much. Before anything else is imported that takes the time."""
    now_s, now_ns = time.time, time.time_ns
    time.time = lambda: now_s() + seconds
    time.time_ns = lambda: now_ns() + round(seconds * 1e9)


if __name__ == "__main__":
    skew(float(sys.argv.pop(1)))
    from omnisonic.__main__ import main

    main()
