"""Tells a process that got hardly any processor from one that used it for too long, or waits for something else. Linux;
elsewhere nobody is ever found to starve.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
AT_LEAST: Final = 0.5
"""The part of the time that a process was promised to have all for itself."""


def is_cpu_starved(pid: int, within_s: float) -> bool:
    """Whether this process, or one that it started, wants to run, and they all had less than half of `within_s`."""
    ran_s, is_runnable = 0.0, False
    for each in _family(pid):
        try:
            # The name, which comes before, is in parentheses and may hold anything.
            stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ran_s += (int(stat[11]) + int(stat[12])) / TICKS_PER_S
        is_runnable |= stat[0] == "R"
    return is_runnable and ran_s < AT_LEAST * within_s


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for each in map(int, pids):
            yield from _family(each)
