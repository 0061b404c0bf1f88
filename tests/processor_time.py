"""A clock that stands still while a thread waits for a processor: what other programs take counts against nobody."""

import time
from contextlib import suppress
from pathlib import Path


def unhindered_s(*processes: int) -> float:
    """Seconds, of which only differences mean something. Call it in one thread.

    The clock stands still while this thread waits, and while the main threads of `processes` do: those that answer it
    one after another. Where the kernel does not tell how long a thread was ready to run and did not (proc(5):
    schedstat), no time is left out. Time that a hypervisor takes is never known.
    """
    threads = ["thread-self", *(f"{process}/task/{process}" for process in processes)]
    return time.monotonic() - sum(map(_waited_s, threads))


def _waited_s(thread: str) -> float:
    with suppress(OSError):
        return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) / 1e9
    return 0.0
