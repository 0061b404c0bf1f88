"""Whether the machine had more to do than it could."""

import re
from contextlib import suppress
from pathlib import Path


def waited_s() -> float:
    """For how long something was ready to run and did not: on this machine, or in this process where the kernel counts
    only for processes (pressure stall information; proc(5): schedstat). Linux; elsewhere zero.
    """
    with suppress(OSError):
        found = re.search(r"^some .* total=(\d+)$", Path("/proc/pressure/cpu").read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) / 1e6
    with suppress(OSError):
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    return 0.0
