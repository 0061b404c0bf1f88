"""CPU starvation: whether a process was late because it got hardly any CPU time. Linux; elsewhere the answer is no."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
AT_LEAST: Final = 0.5
"""A process with less than this part of its time limit as CPU time is starved."""


def is_cpu_starved(pid: int, within_s: float) -> bool:
    """Whether the process or a child wants to run, and together they had less than half of `within_s` as CPU time."""
    ran_s, is_runnable = 0.0, False
    for each in _process_tree(pid):
        try:
            # The name, which comes before, is in parentheses and may hold anything.
            stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ran_s += (int(stat[11]) + int(stat[12])) / TICKS_PER_S
        is_runnable |= stat[0] == "R"
    return is_runnable and ran_s < AT_LEAST * within_s


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for each in map(int, pids):
            yield from _process_tree(each)
