"""Lets a process run while nobody else wants the processor (SCHED_IDLE, sched(7)), so that rooms do not wait for it.

Being nice is not enough: a process that had to wait for long is owed some time, and whoever wakes up meanwhile waits
until it has had it, milliseconds on end. Where other programs keep all processors busy, it hardly runs at all.
"""

import contextlib
import os
from typing import Final

NICENESS: Final = 10
"""Where the system knows no spare time, or a sandbox forbids to ask for it."""


def use_only_idle_time(pid: int) -> None:
    """Let everybody else go before the process `pid`, which has just been started, and whatever it becomes or starts.

    From outside, so that not even its own start gets in anybody's way.
    """
    with contextlib.suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + NICENESS)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
