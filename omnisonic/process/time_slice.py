"""How long a process runs at a time before another one may have its processor (Linux 6.12 and later, sched(7)).

A thread with a shorter slice than the one that runs is let in at once when it wakes up, while a longer one waits until
the running one's is over. It gets no more of the processor than before, only sooner.
"""

import ctypes
import os
import platform
import struct
import sys
from typing import Final

SHORTEST_S: Final = 0.0001
"""The least that the kernel grants."""

_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""The number of sched_setattr(2), by machine."""
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQII")
"""struct sched_attr: size, policy, flags, niceness, priority, runtime (ns), deadline, period, and two clamps."""


def shorten_time_slice(slice_s: float = SHORTEST_S) -> bool:
    """Ask for slices of `slice_s` seconds for this thread and those that it will start; whether the system took it.

    A kernel before 6.12 takes it and leaves everything as it was. The thread's niceness is kept.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, round(slice_s * 1e9), 0, 0, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, wanted, 0) == 0)
