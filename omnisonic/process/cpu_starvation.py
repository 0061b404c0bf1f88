"""CPU starvation: whether a process was late because of the machine, not because of what it works on.

Linux; elsewhere the answer is no.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
AT_LEAST: Final = 0.5
"""A process with less than this part of its time limit as CPU time is starved."""

RUNNABLE: Final = "R"
ENDED: Final = "Z"


def is_cpu_starved(pid: int, within_s: float) -> bool:
    """Whether the machine is to blame that the result of a process is not there after `within_s`.

    It is when the process and its children had less than half of `within_s` as CPU time, and one of them wants to run
    or they have waited for a processor for half of the rest. It is also when the process has ended: then whoever waits
    for it got no CPU time to notice that.
    """
    if sys.platform != "linux":
        return False
    ran_s, waited_s, is_runnable = 0.0, 0.0, False
    for each in _process_tree(pid):
        state, had_s = _read_stat(each)
        if each == pid and state == ENDED:
            return True
        ran_s += had_s
        waited_s += _waited_s(each)
        is_runnable |= state == RUNNABLE
    return ran_s < AT_LEAST * within_s and (is_runnable or waited_s >= AT_LEAST * (within_s - ran_s))


def _read_stat(pid: int) -> tuple[str, float]:
    """The state of a process and its CPU time, in seconds (proc_pid_stat(5))."""
    try:
        # The name, which comes before, is in parentheses and may hold anything.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has been waited for
        return ENDED, 0.0
    return stat[0], (int(stat[11]) + int(stat[12])) / TICKS_PER_S


def _waited_s(pid: int) -> float:
    """For how long the threads of a process were ready to run and did not; 0 where the kernel does not count it."""
    waited_ns = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            waited_ns += int(thread.read_text().split()[1])
    return waited_ns / 1e9


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for each in map(int, pids):
            yield from _process_tree(each)
