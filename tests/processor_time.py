"""A clock that stands still while this thread waits for a processor: what other programs take counts against nobody."""

import time
from contextlib import suppress
from pathlib import Path


def unhindered_s() -> float:
    """Seconds, of which only differences mean something. Call it in one thread.

    Where the kernel does not tell how long a thread was ready to run and did not (proc(5): schedstat), no time is left
    out. Time that a hypervisor takes is never known.
    """
    waited_s = 0.0
    with suppress(OSError):
        waited_s = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return time.monotonic() - waited_s
