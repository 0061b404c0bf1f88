"""CPU priority of processes (sched(7)): run only in idle time, or be scheduled sooner. So rooms do not wait.

`use_only_idle_time` is for mixdowns and audio analysis (SCHED_IDLE). A higher niceness is not enough: a nice process
that has waited for long may run for milliseconds while a room waits. On a machine that is always busy, such a process
hardly runs at all.

`shorten_time_slice` is for the gateway (Linux 6.12 and later). A thread with a shorter time slice than the running one
is scheduled at once when it wakes up. It gets no more CPU time than before, only sooner.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
from typing import Final

NICENESS: Final = 10
"""Added to the niceness as well, for systems without SCHED_IDLE and sandboxes that forbid it."""
SHORTEST_S: Final = 0.0001
"""The shortest time slice that the kernel grants."""

_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""The number of sched_setattr(2), by machine."""
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQII")
"""struct sched_attr: size, policy, flags, niceness, priority, runtime (ns), deadline, period, and two clamps."""


def use_only_idle_time(pid: int) -> None:
    """Let the process `pid`, and whatever it starts, run only while no other process wants the CPU.

    Call it right after the start, from outside, so that even the start of the process delays nobody.
    """
    with contextlib.suppress(OSError):  # it has exited
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + NICENESS)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def shorten_time_slice(slice_s: float = SHORTEST_S) -> bool:
    """Ask for time slices of `slice_s` seconds, for this thread and those that it will start.

    Returns whether the system accepted. A kernel before 6.12 accepts and changes nothing. The niceness stays.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, round(slice_s * 1e9), 0, 0, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, wanted, 0) == 0)
